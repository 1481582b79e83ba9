"""Numbers against numbers, and forecasts of series; computed by scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from samovar.evaluate.classification import sklearn_metrics
from samovar.evaluate.columns import NUMBERS, MetricError
from samovar.evaluate.spec import metric
from samovar.extras import require

VALUES = {"predictions": NUMBERS, "references": NUMBERS}
Weights = Sequence[float] | None


def by_sklearn(name: str, function: str, predictions: np.ndarray, references: np.ndarray, **options: Any) -> Any:
    """What scikit-learn computes; what it refuses as `MetricError`."""
    if predictions.shape != references.shape:
        raise MetricError(
            f"predictions have rows of shape {predictions.shape[1:]}, references of {references.shape[1:]}.",
            "Give both the same outputs.",
        )
    try:
        return getattr(sklearn_metrics(), function)(references, predictions, **options)
    except ValueError as error:
        raise MetricError(f"{name}: {error}", "Change the options or the inputs.") from error


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … ∞",
    better="lower",
    formula="mean of (prediction - reference)²; its root with `squared=False`",
    source="Gauss, Theoria combinationis observationum, 1823",
    library="scikit-learn `mean_squared_error`",
)
def mse(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
    squared: bool = True,
) -> dict[str, Any]:
    """The mean squared error: large errors weigh more than their share.

    >>> load("mse").compute(predictions=[2.5, 0.0, 2, 8], references=[3, -0.5, 2, 7])
    {'mse': 0.375}
    """
    function = "mean_squared_error" if squared else "root_mean_squared_error"
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"mse": by_sklearn("mse", function, predictions, references, **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … ∞, in units of the references",
    better="lower",
    formula="√ mean of (prediction - reference)²",
    source="Gauss, Theoria combinationis observationum, 1823",
    library="scikit-learn `root_mean_squared_error`",
)
def rmse(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """The root of the mean squared error.

    >>> load("rmse").compute(predictions=[1, 2, 3, 6], references=[1, 2, 3, 4])
    {'rmse': 1.0}
    """
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"rmse": by_sklearn("rmse", "root_mean_squared_error", predictions, references, **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … ∞, in units of the references",
    better="lower",
    formula="mean of |prediction - reference|",
    source="Willmott and Matsuura, Climate Research 30, 2005",
    library="scikit-learn `mean_absolute_error`",
)
def mae(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """The mean absolute error: every error weighs its size.

    >>> load("mae").compute(predictions=[2.5, 0.0, 2, 8], references=[3, -0.5, 2, 7])
    {'mae': 0.5}
    """
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"mae": by_sklearn("mae", "mean_absolute_error", predictions, references, **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … ∞; 1 is 100 %",
    better="lower",
    formula="mean of |prediction - reference| / max(|reference|, ε)",
    source="de Myttenaere et al., Neurocomputing 192, 2016",
    library="scikit-learn `mean_absolute_percentage_error`",
)
def mape(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """The mean error as a share of the reference; huge where references are near 0.

    >>> load("mape").compute(predictions=[9, 22], references=[10, 20])
    {'mape': 0.1}
    """
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"mape": by_sklearn("mape", "mean_absolute_percentage_error", predictions, references, **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … 2",
    better="lower",
    formula="mean of 2 · |prediction - reference| / (|prediction| + |reference|); 0 where both are 0",
    source="Makridakis, International Journal of Forecasting 9, 1993",
    library="numpy",
)
def smape(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """The error as a share of the mean of prediction and reference: bounded, and alike in both directions.

    >>> load("smape").compute(predictions=[1, 3], references=[1, 1])
    {'smape': 0.5}
    """
    size = np.abs(predictions) + np.abs(references)
    errors = 2 * np.abs(predictions - references) / np.where(size == 0, 1, size)
    # The mean of absolute errors against 0, so that weights and outputs mean what they mean elsewhere.
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"smape": by_sklearn("smape", "mean_absolute_error", errors, np.zeros_like(errors), **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="0 … ∞; 1 is as good as repeating the last period",
    better="lower",
    formula="mean |prediction - reference| / mean |training_t - training_{t - periodicity}|",
    source="Hyndman and Koehler, International Journal of Forecasting 22, 2006",
    library="scikit-learn `mean_absolute_error`",
)
def mase(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    training: Sequence[float] | np.ndarray | None = None,
    periodicity: int = 1,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """A forecast's mean absolute error over that of the naive forecast on the series it was made from (`training`).

    >>> load("mase").compute(predictions=[5, 7], references=[6, 6], training=[1, 2, 4, 5])["mase"]
    0.75
    """
    if training is None:
        raise MetricError("mase has no training series.", "Pass training=, what came before the forecast.")
    series = np.asarray(NUMBERS.convert(training, "training", 0))
    if series.shape[1:] != references.shape[1:]:
        raise MetricError(
            f"training has rows of shape {series.shape[1:]}, references of {references.shape[1:]}.",
            "Give as many outputs.",
        )
    if not isinstance(periodicity, int) or not 1 <= periodicity < len(series):
        raise MetricError(f"periodicity={periodicity!r} in a series of {len(series)}.", "Give 1 … its length - 1.")
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    error = by_sklearn("mase", "mean_absolute_error", predictions, references, **options)
    before, after = series[:-periodicity], series[periodicity:]
    naive = by_sklearn("mase", "mean_absolute_error", before, after, multioutput=multioutput)
    if np.any(np.asarray(naive) == 0):
        raise MetricError("The training series never changes: the naive error is 0.", "Use mae instead.")
    return {"mase": error / naive}


@metric(
    columns=VALUES,
    kind="regression",
    range="-∞ … 1; 0 is the mean of the references",
    formula="1 - Σ (reference - prediction)² / Σ (reference - mean)²",
    source="Wright, Correlation and causation, Journal of Agricultural Research 20, 1921",
    library="scikit-learn `r2_score`",
)
def r_squared(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    sample_weight: Weights = None,
    multioutput: str | Sequence[float] = "uniform_average",
) -> dict[str, Any]:
    """The share of the references' variance that the predictions explain.

    Where the references never change: 1 if every prediction is right, else 0.

    >>> load("r_squared").compute(predictions=[1, 2, 3, 5], references=[1, 2, 3, 4])
    {'r_squared': 0.8}
    """
    if len(references) < 2:
        raise MetricError("r_squared needs two rows or more.", "Add rows.")
    options = {"sample_weight": sample_weight, "multioutput": multioutput}
    return {"r_squared": by_sklearn("r_squared", "r2_score", predictions, references, **options)}


@metric(
    columns=VALUES,
    kind="regression",
    range="-1 … 1",
    formula="covariance / (standard deviation of predictions · of references)",
    source="Pearson, Proceedings of the Royal Society of London 58, 1895",
    library="scipy `pearsonr`",
)
def pearsonr(predictions: np.ndarray, references: np.ndarray, *, return_pvalue: bool = False) -> dict[str, Any]:
    """How near the pairs lie to a straight line. Columns that never change are refused.

    >>> round(load("pearsonr").compute(predictions=[1, 2, 3, 5], references=[1, 2, 3, 4])["pearsonr"], 4)
    0.9827
    """
    found = correlation("pearsonr", predictions, references)
    value = {"pearsonr": float(found.statistic)}
    return value | ({"p-value": float(found.pvalue)} if return_pvalue else {})


@metric(
    columns=VALUES,
    kind="regression",
    range="-1 … 1",
    formula="Pearson's correlation of the ranks",
    source="Spearman, American Journal of Psychology 15, 1904",
    library="scipy `spearmanr`",
)
def spearmanr(predictions: np.ndarray, references: np.ndarray, *, return_pvalue: bool = False) -> dict[str, Any]:
    """How far predictions and references put the rows in one order. Columns that never change are refused.

    >>> round(load("spearmanr").compute(predictions=[10, 9, 2.5, 6, 4], references=[1, 2, 3, 4, 5])["spearmanr"], 4)
    -0.7
    """
    found = correlation("spearmanr", predictions, references)
    value = {"spearmanr": float(found.statistic)}
    return value | ({"spearmanr_pvalue": float(found.pvalue)} if return_pvalue else {})


def correlation(name: str, predictions: np.ndarray, references: np.ndarray) -> Any:
    """What scipy computes. Raises `MetricError` for fewer than two rows and for columns that never change."""
    for column, values in (("predictions", predictions), ("references", references)):
        if values.ndim != 1:
            raise MetricError(f"{column} have rows of {values.shape[1:]} numbers.", f"{name} takes one a row.")
        if len(values) < 2 or (values == values[0]).all():
            raise MetricError(f"{column} never change: {name} is not defined.", "Give rows that differ.")
    return getattr(require("scipy.stats", f"The metric {name}"), name)(predictions, references)
