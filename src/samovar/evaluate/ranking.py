"""Rankings against what is relevant."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from samovar.evaluate.classification import sklearn_metrics
from samovar.evaluate.columns import ITEMS, NUMBERS, MetricError
from samovar.evaluate.spec import metric

RANKED = {"predictions": ITEMS, "references": ITEMS}


@metric(
    columns={"predictions": NUMBERS, "references": NUMBERS},
    kind="ranking",
    range="0 … 1",
    formula="Σ gain_i / log₂(1 + rank_i), over the same of the best order",
    source="Järvelin and Kekäläinen, ACM Transactions on Information Systems 20, 2002",
    library="scikit-learn `ndcg_score`",
)
def ndcg(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    k: int | None = None,
    sample_weight: Sequence[float] | None = None,
    ignore_ties: bool = False,
) -> dict[str, Any]:
    """Normalised discounted cumulative gain: a row of scores against a row of relevances, the first `k` ranks.

    A row in which nothing is relevant counts as 0. Relevances are 0 or more.

    >>> round(load("ndcg").compute(predictions=[[0.1, 0.2, 0.3, 4, 70]], references=[[10, 0, 0, 1, 5]])["ndcg"], 4)
    0.6957
    """
    if predictions.ndim != 2 or predictions.shape != references.shape:
        raise MetricError(
            f"ndcg takes rows of scores and of relevances; got {predictions.shape} and {references.shape}.",
            "Give both as (rows, candidates).",
        )
    try:
        options = {"k": k, "sample_weight": sample_weight, "ignore_ties": ignore_ties}
        return {"ndcg": float(sklearn_metrics().ndcg_score(references, predictions, **options))}
    except ValueError as error:
        raise MetricError(f"ndcg: {error}", "Change the options or the inputs.") from error


@metric(
    columns=RANKED,
    kind="ranking",
    range="0 … 1",
    formula="mean over rows of 1 / rank of the first relevant item; 0 where there is none",
    source="Voorhees, The TREC-8 question answering track report, 1999",
    library="this package",
)
def mrr(predictions: list[list[Any]], references: list[list[Any]], *, k: int | None = None) -> dict[str, Any]:
    """Mean reciprocal rank: how far up the first relevant item stands, among the first `k`.

    A row of references without an item is refused: no rank would be right.

    >>> load("mrr").compute(predictions=[["a", "b", "c"], ["c", "a", "b"]], references=[["b"], ["c", "a"]])
    {'mrr': 0.75}
    """
    checked(predictions, references)
    first = None if k is None else cuts_of([k])[0]
    ranks = [
        next((1 / rank for rank, item in enumerate(ranked[:first], 1) if item in relevant), 0.0)
        for ranked, relevant in zip(predictions, map(set, references), strict=True)
    ]
    return {"mrr": float(np.mean(ranks))}


@metric(
    columns=RANKED,
    kind="ranking",
    range="0 … 1",
    formula="mean over rows of (relevant items among the first k) / (relevant items)",
    source="Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, chapter 8",
    library="this package",
)
def recall_at_k(
    predictions: list[list[Any]], references: list[list[Any]], *, k: int | Sequence[int] = 10
) -> dict[str, Any]:
    """The share of the relevant items that the first `k` hold; for several `k` one value each.

    A row of references without an item is refused: it has no share.

    >>> load("recall_at_k").compute(predictions=[["a", "b", "c"]], references=[["b", "c"]], k=[1, 2])
    {'recall_at_1': 0.0, 'recall_at_2': 0.5}
    """
    checked(predictions, references)
    cuts = cuts_of(k)
    rows = list(zip(predictions, map(set, references), strict=True))

    def recall(cut: int) -> float:
        return float(np.mean([len(relevant & set(ranked[:cut])) / len(relevant) for ranked, relevant in rows]))

    return {f"recall_at_{cut}": recall(cut) for cut in cuts}


def cuts_of(k: Any) -> list[int]:
    """One or more ranks to count to. Raises `MetricError`."""
    cuts = [k] if isinstance(k, Integral) else list(k) if isinstance(k, Sequence | np.ndarray) else []
    if not cuts or not all(isinstance(cut, Integral) and not isinstance(cut, bool) and int(cut) > 0 for cut in cuts):
        raise MetricError(f"k={k!r}.", "Give one whole number above 0, or several.")
    return [int(cut) for cut in cuts]


def checked(predictions: list[list[Any]], references: list[list[Any]]) -> None:
    """Raise `MetricError` for a row with nothing relevant, and for identifiers that cannot be equal."""
    kinds = [{type(item) for row in column for item in row} for column in (predictions, references)]
    if kinds == [{str}, {int}] or kinds == [{int}, {str}]:
        raise MetricError("Some identifiers are text, others numbers.", "Use either throughout.")
    for row, relevant in enumerate(references):
        if not relevant:
            raise MetricError(f"references[{row}] is empty: nothing is relevant.", "Leave such rows out.")
