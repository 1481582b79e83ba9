"""How well similarities of embeddings follow people's judgement of two texts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from samovar.errors import InputError, InputTypeError
from samovar.extras import require
from samovar.sentence.evaluators.base import Evaluator, check_equal, chosen_similarities
from samovar.sentence.precision import check_precision
from samovar.sentence.similarity import SimilarityFunction


class EmbeddingSimilarityEvaluator(Evaluator):
    """Pearson's and Spearman's correlation of similarities with `scores`, in -1 … 1; from 2 pairs on.

    Results are `pearson_<similarity>` and `spearman_<similarity>`, after the `name` and `_` if there is one; for
    several `similarity_fn_names` also `pearson_max` and `spearman_max`. The primary one is Spearman's, of
    `main_similarity` (default: the model's). `precision` measures quantized embeddings, `truncate_dim` shortened ones.
    The correlations are SciPy's; a model that gives all pairs one similarity has none (nan).

    Raises `InputError` for columns of unequal length, and for scores that are not finite or all equal.
    """

    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str],
        scores: Sequence[float],
        batch_size: int = 16,
        main_similarity: str | SimilarityFunction | None = None,
        similarity_fn_names: Sequence[str] | None = None,
        name: str = "",
        show_progress_bar: bool = False,
        write_csv: bool = True,
        precision: str | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        parts = ["similarity_evaluation", *filter(None, (name, precision)), "results.csv"]
        super().__init__(name, "_".join(parts), batch_size, write_csv)
        require("scipy", "EmbeddingSimilarityEvaluator")
        check_equal(sentences1=sentences1, sentences2=sentences2, scores=scores)
        if precision is not None:
            check_precision(precision)
        self.sentences1, self.sentences2 = list(sentences1), list(sentences2)
        self.scores = checked_scores(scores)
        self.main_similarity, self.similarity_fn_names = main_similarity, similarity_fn_names
        chosen_similarities(similarity_fn_names, main_similarity)  # A wrong name shows here, not after an epoch.
        self.show_progress_bar, self.precision, self.truncate_dim = show_progress_bar, precision, truncate_dim

    @classmethod
    def from_input_examples(cls, examples: Sequence[Any], **options: Any) -> Self:
        """From `InputExample`s of two texts and a label."""
        return cls(
            [example.texts[0] for example in examples],
            [example.texts[1] for example in examples],
            [example.label for example in examples],
            **options,
        )

    def __call__(
        self, model: Any, output_path: str | Path | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Correlations of the model's similarities with the scores."""
        stats = require("scipy.stats", "EmbeddingSimilarityEvaluator")
        first, second = self.embeddings(model)
        metrics: dict[str, float] = {}
        row: dict[str, float] = {}
        names = chosen_similarities(self.similarity_fn_names, self.main_similarity, model)
        for name in names:
            found = SimilarityFunction.to_similarity_pairwise_fn(name)(first, second).numpy()
            for kind, function in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
                with warnings.catch_warnings():  # Similarities that are all equal: nan says it.
                    warnings.simplefilter("ignore", stats.DegenerateDataWarning)
                    metrics[f"{kind}_{name}"] = row[f"{name}_{kind}"] = float(function(self.scores, found)[0])
        if len(names) > 1:
            for kind in ("pearson", "spearman"):
                metrics[f"{kind}_max"] = max(metrics[f"{kind}_{name}"] for name in names)
        main = chosen_similarities(None, self.main_similarity)
        primary = f"spearman_{main[0] if main else names[0] if len(names) == 1 else 'max'}"
        return self.finish(metrics, row, primary, output_path, epoch, steps)

    def embeddings(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """(pairs, dim) of either column; quantized ones share their steps and come as floats, bits as 0 and 1."""
        both = model.encode(
            self.sentences1 + self.sentences2,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
            precision=self.precision or "float32",
            normalize_embeddings=self.precision is not None,
            truncate_dim=self.truncate_dim,
        )
        if self.precision in ("binary", "ubinary"):
            packed = both.astype(np.int16) + (128 if self.precision == "binary" else 0)
            both = np.unpackbits(packed.astype(np.uint8), axis=1)
        both = both.astype(np.float32)
        return both[: len(self.sentences1)], both[len(self.sentences1) :]


def checked_scores(scores: Sequence[float]) -> np.ndarray:
    """Scores that a correlation is defined for, as float64 (pairs,)."""
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"The scores are no numbers: {error}.", "Give one number per pair.") from error
    if values.ndim != 1 or not np.isfinite(values).all():
        wrong = np.flatnonzero(~np.isfinite(values))[:3].tolist() if values.ndim == 1 else f"of shape {values.shape}"
        raise InputError(f"Scores {wrong} are not finite numbers.", "Give one number per pair.")
    if np.ptp(values) == 0:
        raise InputError(
            f"All {len(values)} scores are {values[0]:g}; a correlation needs some that differ.", "Add other pairs."
        )
    return values
