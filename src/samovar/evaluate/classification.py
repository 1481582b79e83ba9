"""Classes against classes, and scores against classes; all computed by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from samovar.evaluate.columns import LABELS, SCORES, MetricError, Values
from samovar.evaluate.spec import metric
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
        warnings.warn(
            f"{name} divides by zero ({reason}); `zero_division` states the value, 0 by default.", MetricWarning, 4
        )


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
    columns={"references": LABELS, "prediction_scores": SCORES},
    kind="classification",
    range="0 … 1; 0.5 is chance",
    formula="∫ true positive rate d(false positive rate): how often a positive row scores above a negative one",
    source="Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27, 2006",
    library="scikit-learn `roc_auc_score`",
)
def roc_auc(
    references: Values,
    prediction_scores: Values,
    *,
    average: Average = "macro",
    sample_weight: Sequence[float] | None = None,
    max_fpr: float | None = None,
    multi_class: str = "raise",
    labels: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """The area under the curve of true against false positives. For more than two classes give a row of probabilities
    and `multi_class="ovr"` or `"ovo"`.

    >>> load("roc_auc").compute(references=[0, 0, 1, 1], prediction_scores=[0.1, 0.4, 0.35, 0.8])
    {'roc_auc': 0.75}
    """
    one_class = getattr(references, "ndim", 1) == 1 and len(np.unique(np.asarray(references))) < 2
    if one_class:
        raise MetricError("roc_auc is not defined where all references are of one class.", "Add rows of another.")
    return from_scores(
        "roc_auc", "roc_auc_score", references, prediction_scores,
        average=average, sample_weight=sample_weight, max_fpr=max_fpr, multi_class=multi_class, labels=labels,
    )  # fmt: skip


@metric(
    columns={"references": LABELS, "prediction_scores": SCORES},
    kind="classification",
    range="0 … 1; the share of positives is chance",
    formula="Σ (recall_n - recall_{n-1}) · precision_n over thresholds",
    source="Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006",
    library="scikit-learn `average_precision_score`",
)
def pr_auc(
    references: Values,
    prediction_scores: Values,
    *,
    average: Average = "macro",
    pos_label: Any = 1,
    sample_weight: Sequence[float] | None = None,
) -> dict[str, Any]:
    """The area under the curve of precision against recall (average precision): for rare positives.

    >>> load("pr_auc").compute(references=[0, 0, 1, 1], prediction_scores=[0.1, 0.4, 0.35, 0.8])
    {'pr_auc': 0.8333333333333333}
    """
    return from_scores(
        "pr_auc", "average_precision_score", references, prediction_scores,
        average=average, pos_label=pos_label, sample_weight=sample_weight,
    )  # fmt: skip


def from_scores(name: str, function: str, references: Values, scores: Values, **options: Any) -> dict[str, Any]:
    """A metric that scikit-learn computes from classes and scores."""
    with sklearn_errors(name, references, references):
        return {name: getattr(sklearn_metrics(), function)(references, scores, **options)}


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
    columns={"references": LABELS, "predictions": SCORES},
    kind="classification",
    range="0 … ∞",
    better="lower",
    formula="- mean of log(probability given to the true class)",
    source="Good, Rational decisions, Journal of the Royal Statistical Society B 14, 1952",
    library="scikit-learn `log_loss`",
)
def log_loss(
    references: Values,
    predictions: Values,
    *,
    normalize: bool = True,
    sample_weight: Sequence[float] | None = None,
    labels: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """How surprised the probabilities are by the true classes: one a row for two classes, else one a row and class.

    >>> round(load("log_loss").compute(references=[0, 1], predictions=[0.1, 0.8])["log_loss"], 4)
    0.1643
    """
    options = {"normalize": normalize, "sample_weight": sample_weight, "labels": labels}
    return from_scores("log_loss", "log_loss", references, predictions, **options)


@metric(
    columns={"references": LABELS, "predictions": SCORES},
    kind="classification",
    range="0 … 1",
    better="lower",
    formula="mean of (probability of the positive class - 1 if it is the true one, else 0)²",
    source="Brier, Monthly Weather Review 78, 1950",
    library="scikit-learn `brier_score_loss`",
)
def brier_score(
    references: Values,
    predictions: Values,
    *,
    sample_weight: Sequence[float] | None = None,
    pos_label: Any = None,
) -> dict[str, Any]:
    """The squared error of probabilities.

    >>> load("brier_score").compute(references=[0, 0, 1, 1], predictions=[0.1, 0.9, 0.8, 0.3])
    {'brier_score': 0.3375}
    """
    options = {"sample_weight": sample_weight, "pos_label": pos_label}
    return from_scores("brier_score", "brier_score_loss", references, predictions, **options)


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
