"""Groups of near texts, and the nearest pairs, among many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError
from samovar.sentence.similarity import Score, as_matrix, cos_sim

if TYPE_CHECKING:
    from samovar.sentence.model import SentenceTransformer


def community_detection(
    embeddings: Any,
    threshold: float = 0.75,
    min_community_size: int = 10,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> list[list[int]]:
    """Groups of rows whose cosine to the group's centre is at least `threshold`, largest first, without overlap.

    ::

        every row's neighbourhood → largest first → dropped if its centre is taken → minus rows that are taken
                                                                                   → kept if still large enough

    Each group starts with its centre and goes on by falling similarity. (rows, dim); memory: `batch_size` × rows.
    """
    rows = F.normalize(as_matrix(embeddings), dim=1)
    groups: list[tuple[int, np.ndarray]] = []
    with torch.inference_mode():
        for start in bar(range(0, len(rows), batch_size), show_progress_bar, "Communities"):
            scores = rows[start : start + batch_size] @ rows.mT
            counts = (scores >= threshold).sum(1)
            for row in torch.where(counts >= max(min_community_size, 1))[0].tolist():
                near = scores[row].topk(int(counts[row])).indices
                groups.append((start + row, near.cpu().numpy().astype(np.int32)))
    taken = np.zeros(len(rows), dtype=bool)
    kept: list[list[int]] = []
    for centre, members in sorted(groups, key=lambda group: len(group[1]), reverse=True):
        left = members[~taken[members]]
        if not taken[centre] and len(left) >= min_community_size:
            kept.append([centre, *left[left != centre].tolist()])
            taken[left] = True
    return sorted(kept, key=len, reverse=True)


def paraphrase_mining(
    model: SentenceTransformer,
    sentences: list[str],
    show_progress_bar: bool = False,
    batch_size: int | None = None,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: Score = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[float | int]]:
    """The nearest pairs of texts, as [score, first, second], best first (see `paraphrase_mining_embeddings`)."""
    embeddings = model.encode(
        sentences, prompt_name=prompt_name, prompt=prompt, batch_size=batch_size, convert_to_tensor=True,
        show_progress_bar=show_progress_bar, truncate_dim=truncate_dim,
    )  # fmt: skip
    return paraphrase_mining_embeddings(
        embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k, score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Any,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: Score = cos_sim,
) -> list[list[float | int]]:
    """The nearest pairs of rows, as [score, first, second] with first < second, best first, `max_pairs` at most.

    Each row is paired with its `top_k` best of each chunk of the corpus. Raises `InputError` for sizes below 1.
    """
    if min(query_chunk_size, corpus_chunk_size, max_pairs, top_k) < 1:
        raise InputError("Chunk sizes, max_pairs and top_k must be above 0.", "Leave them out for the defaults.")
    rows = as_matrix(embeddings)
    found = Pairs(len(rows), max_pairs)
    with torch.inference_mode():
        for corpus in range(0, len(rows), corpus_chunk_size):
            for query in range(0, len(rows), query_chunk_size):
                part = rows[corpus : corpus + corpus_chunk_size]
                scores = score_function(rows[query : query + query_chunk_size], part)
                # One more than asked for, as each row finds itself.
                best, places = scores.topk(min(top_k + 1, scores.shape[1]), dim=1)
                own = torch.arange(query, query + len(scores), device=rows.device)[:, None].expand_as(places)
                found.add(best, own, places + corpus)
    return found.listed()


class Pairs:
    """The best of the pairs that were added, each once."""

    def __init__(self, rows: int, limit: int) -> None:
        self.rows, self.limit = rows, limit
        self.scores, self.keys = torch.empty(0), torch.empty(0, dtype=torch.long)

    def add(self, scores: Tensor, first: Tensor, second: Tensor) -> None:
        """Pairs of any order; those of a row with itself are left out."""
        low, high = torch.minimum(first, second), torch.maximum(first, second)
        different = low != high
        self.scores = torch.cat([self.scores, scores[different].float().cpu()])
        self.keys = torch.cat([self.keys, (low * self.rows + high)[different].cpu()])
        if len(self.keys) > 4 * self.limit:
            self.prune()

    def prune(self) -> None:
        """Best first, each once, no more than the limit."""
        order = self.scores.argsort(descending=True, stable=True)
        keys, where = torch.unique(self.keys[order], return_inverse=True)
        first = torch.full((len(keys),), len(order), dtype=torch.long).scatter_reduce_(
            0, where, torch.arange(len(order)), "amin"
        )
        kept = order[first.sort().values[: self.limit]]
        self.scores, self.keys = self.scores[kept], self.keys[kept]

    def listed(self) -> list[list[float | int]]:
        """[score, first, second], best first."""
        self.prune()
        pairs = zip(self.scores.tolist(), self.keys.tolist(), strict=True)
        return [[score, *divmod(key, self.rows)] for score, key in pairs]


def bar(steps: range, show: bool, label: str) -> Any:
    """The steps, under a progress bar if it is wanted."""
    if not show:
        return steps
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    return tqdm(steps, desc=label)
