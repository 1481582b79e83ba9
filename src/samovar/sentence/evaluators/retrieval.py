"""How well a search by embeddings finds the documents that answer a query."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError, NumericError
from samovar.sentence.evaluators.base import Evaluator, chosen_similarities
from samovar.sentence.similarity import SimilarityFunction

logger = logging.getLogger(__name__)

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
# Scores that are held at a time, whatever the number of queries: 2²⁶ floats are 256 MB.
SCORES_AT_ONCE = 1 << 26


class InformationRetrievalEvaluator(Evaluator):
    """Accuracy, precision, recall, MRR, NDCG and MAP at k of an exact search, each in 0 … 1, averaged over queries.

    `queries` and `corpus` map ids to texts, `relevant_docs` a query's id to the ids of what answers it; queries that
    nothing answers are left out. Results are `<similarity>_<measure>@<k>`, such as `cosine_ndcg@10`, which is the
    primary one. With rank r from 1, rel(r) 1 for a relevant document and R of them in all:

    - accuracy@k: whether any rel(r ≤ k) is 1; precision@k: Σ rel / k; recall@k: Σ rel / R
    - mrr@k: 1 / r of the first relevant one; map@k: Σ rel(r) · precision@r / min(k, R)
    - ndcg@k: Σ rel(r) / log₂(r + 1), over the same sum for the best order (Järvelin & Kekäläinen, 2002)

    Equal scores rank by id. The corpus is embedded and ranked `corpus_chunk_size` documents at a time, so memory does
    not grow with it. `score_functions` replaces the model's similarity. Prompts go before queries and documents.
    Raises `InputError` where no query has an answer, and for k below 1.
    """

    def __init__(
        self,
        queries: Mapping[Any, str],
        corpus: Mapping[Any, str],
        relevant_docs: Mapping[Any, Collection[Any]],
        corpus_chunk_size: int = 50_000,
        mrr_at_k: Sequence[int] = (10,),
        ndcg_at_k: Sequence[int] = (10,),
        accuracy_at_k: Sequence[int] = (1, 3, 5, 10),
        precision_recall_at_k: Sequence[int] = (1, 3, 5, 10),
        map_at_k: Sequence[int] = (100,),
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
        score_functions: Mapping[str, ScoreFunction] | None = None,
        main_score_function: str | SimilarityFunction | None = None,
        query_prompt: str | None = None,
        query_prompt_name: str | None = None,
        corpus_prompt: str | None = None,
        corpus_prompt_name: str | None = None,
        write_predictions: bool = False,
    ) -> None:
        stem = "_".join(["Information-Retrieval_evaluation", *filter(None, [name])])
        super().__init__(name, f"{stem}_results.csv", batch_size, write_csv)
        if corpus_chunk_size < 1:
            raise InputError(f"corpus_chunk_size must be above 0, got {corpus_chunk_size}.", "Leave it out.")
        self.at = {
            "accuracy": list(accuracy_at_k), "precision": list(precision_recall_at_k),
            "recall": list(precision_recall_at_k), "ndcg": list(ndcg_at_k), "mrr": list(mrr_at_k),
            "map": list(map_at_k),
        }  # fmt: skip
        sizes = [k for values in self.at.values() for k in values]
        if not sizes or min(sizes) < 1 or not ndcg_at_k:
            raise InputError(
                f"Results were asked for at k = {sizes}, NDCG at {list(ndcg_at_k)}.",
                "Give numbers above 0, and at least one for NDCG, which chooses the best model.",
            )
        self.max_k = max(sizes)
        self.relevant = {query: set(relevant_docs[query]) for query in queries if relevant_docs.get(query)}
        if not self.relevant or not corpus:
            raise InputError(
                f"{len(queries)} queries, of which {len(self.relevant)} have answers, in {len(corpus)} documents.",
                "relevant_docs maps ids of queries to sets of ids of documents.",
            )
        self.query_ids, self.queries = list(self.relevant), [queries[query] for query in self.relevant]
        # In the order of ids a lower index wins a tie.
        self.corpus_ids = sorted(corpus, key=lambda key: (type(key).__name__, key))
        self.corpus = [corpus[key] for key in self.corpus_ids]
        absent = set().union(*self.relevant.values()).difference(corpus)
        if absent:
            logger.warning("%d relevant documents, such as %r, are not in the corpus.", len(absent), absent.pop())
        self.corpus_chunk_size, self.truncate_dim = corpus_chunk_size, truncate_dim
        self.show_progress_bar, self.write_predictions = show_progress_bar, write_predictions
        self.score_functions, self.main_score_function = score_functions, main_score_function
        main = str(getattr(main_score_function, "value", main_score_function))
        if score_functions is None:
            chosen_similarities(None, main_score_function)
        elif not score_functions or (main_score_function is not None and main not in score_functions):
            raise InputError(
                f"There is no score function {main!r}.", f"There are: {', '.join(score_functions) or 'none'}."
            )
        self.query_prompts = {"prompt": query_prompt, "prompt_name": query_prompt_name}
        self.corpus_prompts = {"prompt": corpus_prompt, "prompt_name": corpus_prompt_name}
        self.predictions_stem = f"{stem}_predictions"

    def __call__(
        self, model: Any, output_path: str | Path | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """What a search by the model's embeddings is worth."""
        metrics: dict[str, float] = {}
        row: dict[str, float] = {}
        functions = self.functions(model)
        for name, (scores, places) in self.ranked(model, functions).items():
            found = self.measured(places)
            metrics |= {f"{name}_{measure}@{k}": value for (measure, k), value in found.items()}
            row |= {f"{name}-{TITLES[measure]}@{k}": found[measure, k] for measure, k in self.table_order()}
            if self.write_predictions and output_path is not None:
                self.write(Path(output_path), name, scores, places)
        last = f"ndcg@{max(self.at['ndcg'])}"
        main = self.main_score_function
        best = str(getattr(main, "value", main)) if main else max(functions, key=lambda name: metrics[f"{name}_{last}"])
        return self.finish(metrics, row, f"{best}_{last}", output_path, epoch, steps)

    def functions(self, model: Any) -> dict[str, ScoreFunction]:
        """Score functions by name, in the order of names."""
        if self.score_functions is not None:
            return {name: self.score_functions[name] for name in sorted(self.score_functions)}
        names = chosen_similarities(None, self.main_score_function, model)
        return {name: SimilarityFunction.to_similarity_fn(name) for name in names}

    def ranked(self, model: Any, functions: Mapping[str, ScoreFunction]) -> dict[str, tuple[Tensor, Tensor]]:
        """Scores and corpus indices (queries, max k) of the best documents, best first, by each function."""
        options: dict[str, Any] = {
            "batch_size": self.batch_size,
            "show_progress_bar": self.show_progress_bar,
            "truncate_dim": self.truncate_dim,
            "convert_to_tensor": True,
        }
        queries = model.encode_query(self.queries, **self.query_prompts, **options)
        best: dict[str, tuple[Tensor, Tensor]] = {}
        for start in range(0, len(self.corpus), self.corpus_chunk_size):
            chunk = self.corpus[start : start + self.corpus_chunk_size]
            documents = model.encode_document(chunk, **self.corpus_prompts, **options)
            for name, function in functions.items():
                here = top(queries, documents, self.max_k, start, function)
                best[name] = merged(best[name], here, self.max_k) if name in best else here
        return {name: (scores.cpu(), places.cpu()) for name, (scores, places) in best.items()}

    def measured(self, places: Tensor) -> dict[tuple[str, int], float]:
        """Corpus indices (queries, max k) → each measure at each k."""
        hits = np.zeros((len(self.query_ids), self.max_k))
        for row, (query, found) in enumerate(zip(self.query_ids, places.tolist(), strict=True)):
            relevant = self.relevant[query]
            hits[row, : len(found)] = [self.corpus_ids[place] in relevant for place in found]
        answers = np.array([len(self.relevant[query]) for query in self.query_ids])
        wanted = [(name, k) for name, sizes in self.at.items() for k in sizes]
        return {(name, k): float(MEASURES[name](hits[:, :k], answers).mean()) for name, k in wanted}

    def table_order(self) -> list[tuple[str, int]]:
        """The columns of the table that the field's tools read."""
        pairs = [(name, k) for k in self.at["precision"] for name in ("precision", "recall")]
        others = {name: [(name, k) for k in self.at[name]] for name in ("accuracy", "mrr", "ndcg", "map")}
        return others["accuracy"] + pairs + others["mrr"] + others["ndcg"] + others["map"]

    def write(self, folder: Path, name: str, scores: Tensor, places: Tensor) -> None:
        """One line of JSON a query, with what was found for it."""
        from samovar.hub.atomic import write_file

        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        rows = zip(self.query_ids, self.queries, scores.tolist(), places.tolist(), strict=True)
        for query, text, values, found in rows:
            hits = [{"corpus_id": self.corpus_ids[at], "score": value} for at, value in zip(found, values, strict=True)]
            lines.append(json.dumps({"query_id": query, "query": text, "results": hits}, ensure_ascii=False) + "\n")
        write_file(folder / f"{self.predictions_stem}_{name}.jsonl", "".join(lines))


# Ranking -----------------------------------------------------------------------------------------------------------


def top(queries: Tensor, documents: Tensor, count: int, start: int, score: ScoreFunction) -> tuple[Tensor, Tensor]:
    """Scores and indices (queries, count) of the best documents; a band of queries at a time."""
    count = min(count, len(documents))
    bands = [best_of(score(band, documents), count) for band in queries.split(max(SCORES_AT_ONCE // len(documents), 1))]
    return torch.cat([values for values, _ in bands]), torch.cat([places for _, places in bands]) + start


def best_of(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of each row, best first; of equal scores the lower index. Raises `NumericError` for NaN."""
    values, places = scores.topk(count, dim=1)
    if bool(values[:, 0].isnan().any()):  # topk puts NaN first.
        raise NumericError("A score function gave NaN.", "Check it on two embeddings, or leave it out.")
    # topk takes any of those that tie for the last place; only such rows are sorted whole.
    tied = ((scores >= values[:, -1:]).sum(1) > count).nonzero().flatten()
    if len(tied):
        whole, order = scores[tied].sort(dim=1, descending=True, stable=True)
        values[tied], places[tied] = whole[:, :count], order[:, :count]
    return in_order(values, places, count)


def merged(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of both."""
    return in_order(torch.cat([a[0], b[0]], 1), torch.cat([a[1], b[1]], 1), count)


def in_order(values: Tensor, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Rows sorted by score, then by index, and cut."""
    places, order = places.sort(dim=1)
    values, again = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    return values[:, :count], places.gather(1, again)[:, :count]


# Measures: hits (queries, k) and the number of answers (queries,) → (queries,) -----------------------------------


def discounts(k: int) -> np.ndarray:
    """1 / log₂(rank + 1) of ranks 1 … k."""
    return 1 / np.log2(np.arange(2, k + 2))


def reciprocal_rank(hits: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """One over the rank of the first hit, 0 without one."""
    return np.asarray(np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0.0))


def normalized_gain(hits: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Discounted hits, over those of the best order."""
    weights = discounts(hits.shape[1])
    best = weights.cumsum()[np.minimum(answers, hits.shape[1]) - 1]
    return hits @ weights / best


def average_precision(hits: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The mean of the precisions at the hits."""
    precisions = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    return (precisions * hits).sum(1) / np.minimum(answers, hits.shape[1])


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": lambda hits, answers: np.asarray(hits.any(1)),
    "precision": lambda hits, answers: hits.mean(1),
    "recall": lambda hits, answers: hits.sum(1) / answers,
    "ndcg": normalized_gain,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
TITLES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
}
