"""The nearest rows of a corpus, at the speed at which memory gives them; and the field's names for similarities."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError
from samovar.sentence.clusters import community_detection, paraphrase_mining, paraphrase_mining_embeddings
from samovar.sentence.similarity import (
    Score,
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
    two,
)

__all__ = [
    "community_detection", "cos_sim", "dot_score", "euclidean_sim", "manhattan_sim", "normalize_embeddings",
    "pairwise_cos_sim", "pairwise_dot_score", "pairwise_euclidean_sim", "pairwise_manhattan_sim", "paraphrase_mining",
    "paraphrase_mining_embeddings", "semantic_search", "truncate_embeddings",
]  # fmt: skip

# Rows whose products and lengths are computed while they are in the cache: 1,024 of 384 floats are 1.5 MB.
CACHE_BYTES = 3 << 19


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: Score = cos_sim,
) -> list[list[dict[str, int | float]]]:
    """The `top_k` rows of the corpus for each query, best first, as `{"corpus_id": …, "score": …}`.

    Exact: every row is compared. (queries, dim) and (corpus, dim); memory is bounded by the two chunk sizes. The
    corpus is never copied. Where its rows have length 1 pass `score_function=dot_score`: that takes no longer than
    memory needs to give all rows once. Raises `InputError` for widths that differ.
    """
    for name, size in (("query_chunk_size", query_chunk_size), ("corpus_chunk_size", corpus_chunk_size)):
        if size < 1:
            raise InputError(f"{name} must be above 0, got {size}.", "Leave it out for the default.")
    if top_k < 1:
        raise InputError(f"top_k must be above 0, got {top_k}.", "Ask for at least one row.")
    queries, corpus = two(query_embeddings, corpus_embeddings)
    score = scores_by_cosine if score_function is cos_sim else score_function
    if score_function is cos_sim:
        queries = F.normalize(queries, dim=1)
    found: list[list[dict[str, int | float]]] = []
    with torch.inference_mode():
        for start in range(0, len(queries), query_chunk_size):
            chunk = queries[start : start + query_chunk_size]
            values, rows = best_rows(chunk, corpus, corpus_chunk_size, top_k, score)
            found += [
                [{"corpus_id": row, "score": value} for row, value in zip(ids, scores, strict=True)]
                for ids, scores in zip(rows.tolist(), values.tolist(), strict=True)
            ]
    return found


def best_rows(queries: Tensor, corpus: Tensor, size: int, count: int, score: Score) -> tuple[Tensor, Tensor]:
    """Scores and indices (queries, count) of the best rows, best first, merged over chunks of the corpus."""
    values = queries.new_empty(len(queries), 0)
    rows = torch.empty(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(corpus), size):
        scores = score(queries, corpus[start : start + size])
        best, places = scores.topk(min(count, scores.shape[1]), dim=1)
        values, rows = torch.cat([values, best], 1), torch.cat([rows, places + start], 1)
        if values.shape[1] > count:
            values, order = values.topk(count, dim=1)
            rows = rows.gather(1, order)
    return values, rows


def scores_by_cosine(queries: Tensor, corpus: Tensor) -> Tensor:
    """Cosines of queries of length 1 and rows of any length: products and lengths in one pass over memory."""
    scores = queries.new_empty(len(queries), len(corpus))
    block = max(CACHE_BYTES // (corpus.shape[1] * corpus.element_size()), 1) if corpus.is_cpu else len(corpus)
    for start in range(0, len(corpus), block):
        part = corpus[start : start + block]
        lengths = torch.linalg.vector_norm(part, dim=1).clamp_(min=1e-12)
        torch.div(queries @ part.mT, lengths, out=scores[:, start : start + block])
    return scores


def normalize_embeddings(embeddings: Tensor) -> Tensor:
    """(rows, dim) → the same at length 1."""
    return F.normalize(embeddings, p=2, dim=1)


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """The first features of each row (Matryoshka, arXiv:2205.13147)."""
    return embeddings[..., :truncate_dim]
