"""Classes against classes; all computed by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from samovar.evaluate.columns import LABELS, MetricError, Values
from samovar.evaluate.spec import METRICS, metric
from samovar.extras import require

CLASSES = {"predictions": LABELS, "references": LABELS}
Average = str | None


class MetricWarning(UserWarning):
    """A value is stated by convention, because its formula divides by zero."""


def sklearn_metrics() -> Any:
    """`sklearn.metrics`, or the line that installs it."""
    return require("sklearn.metrics", "Metrics")


@contextmanager
def sklearn_errors(name: str, predictions: Values, references: Values) -> Iterator[None]:
    """What scikit-learn refuses as `MetricError`; classes without a prediction or reference in one warning."""
    if isinstance(predictions, list) != isinstance(references, list):
        kinds = ["text" if isinstance(column, list) else "numbers" for column in (predictions, references)]
        raise MetricError(
            f"predictions are {kinds[0]}, references are {kinds[1]}.", "Convert one to the kind of the other."
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (ValueError, TypeError) as error:
            raise MetricError(f"{name}: {str(error).strip()}", "Change the options or the inputs.") from error
    if caught:
        by_hand = isinstance(predictions, list) or (predictions.ndim == 1 == references.ndim)  # type: ignore[union-attr]
        found = set(np.unique(predictions).tolist()) if by_hand else set()
        wanted = set(np.unique(references).tolist()) if by_hand else set()
        reasons = [
            f"{what}: {', '.join(map(str, sorted(labels)))}"
            for what, labels in (("never predicted", wanted - found), ("not in the references", found - wanted))
            if labels
        ]
        reason = "; ".join(reasons) or str(caught[0].message).splitlines()[0]
        option = "zero_division" in METRICS[name].options
        value = "`zero_division` states the value, 0 by default" if option else "the value is scikit-learn's convention"
        warnings.warn(f"{name} divides by zero ({reason}); {value}.", MetricWarning, 4)


def average_of(name: str, average: Average, references: Values, pos_label: Any) -> None:
    """Say what to choose where `average="binary"` does not fit."""
    if average == "binary" and getattr(references, "ndim", 1) == 1:
        labels = np.unique(np.asarray(references)).tolist()
        if len(labels) > 2:
            raise MetricError(
                f"{name} of {len(labels)} classes needs an average.",
                'Pass average="macro" (classes count alike), "micro" (rows do), "weighted", or None (each class).',
            )
        if isinstance(references, list) and pos_label not in labels:
            raise MetricError(
                f"pos_label={pos_label!r} is none of the classes {labels}.",
                f"Pass for example pos_label={labels[-1]!r}.",
            )


def from_counts(
    name: str,
    function: str,
    predictions: Values,
    references: Values,
    average: Average,
    pos_label: Any,
    zero_division: Any,
    **options: Any,
) -> dict[str, Any]:
    """Precision, recall and their mean, which share their options."""
    average_of(name, average, references, pos_label)
    with sklearn_errors(name, predictions, references):
        value = getattr(sklearn_metrics(), function)(
            references, predictions, average=average, pos_label=pos_label, zero_division=zero_division, **options
        )
    return {name: value}


@metric(
    columns=CLASSES,
    kind="classification",
    range="0 … 1",
    formula="right predictions / all",
    source="ISO 5725-1:2023, as used for classifiers",
    library="scikit-learn `accuracy_score`",
)
def accuracy(
    predictions: Values, references: Values, *, normalize: bool = True, sample_weight: Sequence[float] | None = None
) -> dict[str, Any]:
    """The share of rows whose class is right; `normalize=False` counts them instead.

    >>> load("accuracy").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'accuracy': 0.75}
    """
    with sklearn_errors("accuracy", predictions, references):
        score = sklearn_metrics().accuracy_score(
            references, predictions, normalize=normalize, sample_weight=sample_weight
        )
    return {"accuracy": float(score)}


@metric(
    columns=CLASSES,
    kind="classification",
    range="0 … 1 (`adjusted=True`: 0 is chance)",
    formula="mean over classes of recall",
    source="Brodersen et al., The balanced accuracy and its posterior distribution, ICPR 2010",
    library="scikit-learn `balanced_accuracy_score`",
)
def balanced_accuracy(
    predictions: Values, references: Values, *, sample_weight: Sequence[float] | None = None, adjusted: bool = False
) -> dict[str, Any]:
    """Accuracy in which every class counts alike, however rare it is.

    >>> load("balanced_accuracy").compute(predictions=[0, 0, 0, 0], references=[0, 0, 0, 1])
    {'balanced_accuracy': 0.5}
    """
    with sklearn_errors("balanced_accuracy", predictions, references):
        score = sklearn_metrics().balanced_accuracy_score(
            references, predictions, sample_weight=sample_weight, adjusted=adjusted
        )
    return {"balanced_accuracy": score}


@metric(
    columns=CLASSES,
    kind="classification",
    range="0 … 1",
    formula="2 · precision · recall / (precision + recall)",
    source="van Rijsbergen, Information Retrieval, 1979",
    library="scikit-learn `f1_score`",
)
def f1(
    predictions: Values,
    references: Values,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Sequence[float] | None = None,
    zero_division: Any = "warn",
) -> dict[str, Any]:
    """The harmonic mean of precision and recall. More than two classes need `average`.

    >>> load("f1").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'f1': 0.6666666666666666}
    """
    return from_counts(
        "f1", "f1_score", predictions, references, average, pos_label, zero_division,
        labels=labels, sample_weight=sample_weight,
    )  # fmt: skip


@metric(
    columns=CLASSES,
    kind="classification",
    range="0 … 1",
    formula="true positives / (true positives + false positives)",
    source="van Rijsbergen, Information Retrieval, 1979",
    library="scikit-learn `precision_score`",
)
def precision(
    predictions: Values,
    references: Values,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Sequence[float] | None = None,
    zero_division: Any = "warn",
) -> dict[str, Any]:
    """Of the rows predicted positive, the share that is. More than two classes need `average`.

    >>> load("precision").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'precision': 0.5}
    """
    return from_counts(
        "precision", "precision_score", predictions, references, average, pos_label, zero_division,
        labels=labels, sample_weight=sample_weight,
    )  # fmt: skip


@metric(
    columns=CLASSES,
    kind="classification",
    range="0 … 1",
    formula="true positives / (true positives + false negatives)",
    source="van Rijsbergen, Information Retrieval, 1979",
    library="scikit-learn `recall_score`",
)
def recall(
    predictions: Values,
    references: Values,
    *,
    labels: Sequence[Any] | None = None,
    pos_label: Any = 1,
    average: Average = "binary",
    sample_weight: Sequence[float] | None = None,
    zero_division: Any = "warn",
) -> dict[str, Any]:
    """Of the rows that are positive, the share that was found. More than two classes need `average`.

    >>> load("recall").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 1])
    {'recall': 0.5}
    """
    return from_counts(
        "recall", "recall_score", predictions, references, average, pos_label, zero_division,
        labels=labels, sample_weight=sample_weight,
    )  # fmt: skip


@metric(
    columns=CLASSES,
    kind="classification",
    range="-1 … 1; 0 is chance",
    formula="(TP · TN - FP · FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)), generalised to several classes",
    source="Matthews, Biochimica et Biophysica Acta 405, 1975",
    library="scikit-learn `matthews_corrcoef`",
)
def matthews_correlation(
    predictions: Values, references: Values, *, sample_weight: Sequence[float] | None = None
) -> dict[str, Any]:
    """The correlation of predicted and true classes: fair even where classes are of very different sizes.

    >>> load("matthews_correlation").compute(predictions=[1, 1, 0, 0], references=[1, 1, 1, 0])
    {'matthews_correlation': 0.5773502691896258}
    """
    with sklearn_errors("matthews_correlation", predictions, references):
        score = sklearn_metrics().matthews_corrcoef(references, predictions, sample_weight=sample_weight)
    return {"matthews_correlation": float(score)}


@metric(
    columns=CLASSES,
    kind="classification",
    range="-1 … 1; 0 is chance",
    formula="(agreement - agreement by chance) / (1 - agreement by chance)",
    source="Cohen, Educational and Psychological Measurement 20, 1960",
    library="scikit-learn `cohen_kappa_score`",
)
def cohen_kappa(
    predictions: Values,
    references: Values,
    *,
    labels: Sequence[Any] | None = None,
    weights: str | None = None,
    sample_weight: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Agreement beyond chance; `weights="linear"` or `"quadratic"` forgives near misses of ordered classes.

    >>> load("cohen_kappa").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'cohen_kappa': 0.5}
    """
    with sklearn_errors("cohen_kappa", predictions, references):
        score = sklearn_metrics().cohen_kappa_score(
            references, predictions, labels=labels, weights=weights, sample_weight=sample_weight
        )
    return {"cohen_kappa": score}


@metric(
    columns=CLASSES,
    kind="classification",
    range="counts; shares with `normalize`",
    formula="entry (i, j): rows of class i that were predicted as j",
    source="Stehman, Remote Sensing of Environment 62, 1997",
    library="scikit-learn `confusion_matrix`",
)
def confusion_matrix(
    predictions: Values,
    references: Values,
    *,
    labels: Sequence[Any] | None = None,
    sample_weight: Sequence[float] | None = None,
    normalize: str | None = None,
) -> dict[str, Any]:
    """Which classes are taken for which; `normalize` over `"true"`, `"pred"` or `"all"`.

    >>> load("confusion_matrix").compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])["confusion_matrix"].tolist()
    [[2, 1], [0, 1]]
    """
    with sklearn_errors("confusion_matrix", predictions, references):
        matrix = sklearn_metrics().confusion_matrix(
            references, predictions, labels=labels, sample_weight=sample_weight, normalize=normalize
        )
    return {"confusion_matrix": matrix}
