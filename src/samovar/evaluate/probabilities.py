"""Scores and probabilities against classes; all computed by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from samovar.evaluate.classification import Average, sklearn_errors, sklearn_metrics
from samovar.evaluate.columns import LABELS, SCORES, MetricError, Values
from samovar.evaluate.spec import metric


def from_scores(name: str, function: str, references: Values, scores: Values, **options: Any) -> dict[str, Any]:
    """A metric that scikit-learn computes from classes and scores."""
    with sklearn_errors(name, references, references):
        return {name: getattr(sklearn_metrics(), function)(references, scores, **options)}


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
