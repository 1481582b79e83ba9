"""How often an anchor is nearer to its positive than to its negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from samovar.errors import InputError, did_you_mean
from samovar.sentence.evaluators.base import Evaluator, check_equal, chosen_similarities
from samovar.sentence.similarity import SimilarityFunction


class TripletEvaluator(Evaluator):
    """The share of triplets whose positive is more alike than the negative by more than `margin`, in 0 … 1.

    Results are `<similarity>_accuracy`, for several `similarity_fn_names` also `max_accuracy`. `margin` is a number, or
    one per similarity. Anchors are encoded as queries, the other two as documents. Raises `InputError` for columns of
    unequal length.
    """

    def __init__(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        main_similarity_function: str | SimilarityFunction | None = None,
        margin: float | Mapping[str, float] | None = None,
        name: str = "",
        batch_size: int = 16,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: Sequence[str] | None = None,
    ) -> None:
        parts = ["triplet_evaluation", *filter(None, [name]), "results.csv"]
        super().__init__(name, "_".join(parts), batch_size, write_csv)
        check_equal(anchors=anchors, positives=positives, negatives=negatives)
        self.anchors, self.positives, self.negatives = list(anchors), list(positives), list(negatives)
        self.main_similarity_function, self.similarity_fn_names = main_similarity_function, similarity_fn_names
        chosen_similarities(similarity_fn_names, main_similarity_function)
        known = SimilarityFunction.possible_values()
        self.margin = dict(margin) if isinstance(margin, Mapping) else dict.fromkeys(known, margin or 0.0)
        for key in self.margin:
            if key not in known:
                raise InputError(f"There is no similarity {key!r} for a margin.", did_you_mean(str(key), known))
        self.show_progress_bar, self.truncate_dim = show_progress_bar, truncate_dim

    @classmethod
    def from_input_examples(cls, examples: Sequence[Any], **options: Any) -> Self:
        """From `InputExample`s of three texts."""
        anchors, positives, negatives = ([example.texts[place] for example in examples] for place in range(3))
        return cls(anchors, positives, negatives, **options)

    def __call__(
        self, model: Any, output_path: str | Path | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Accuracies of the model."""
        options = {
            "batch_size": self.batch_size,
            "show_progress_bar": self.show_progress_bar,
            "truncate_dim": self.truncate_dim,
        }
        anchors = model.encode_query(self.anchors, **options)
        others = model.encode_document(self.positives + self.negatives, **options)
        metrics: dict[str, float] = {}
        row: dict[str, float] = {}
        names = chosen_similarities(self.similarity_fn_names, self.main_similarity_function, model)
        for name in names:
            score = SimilarityFunction.to_similarity_pairwise_fn(name)
            near, far = score(anchors, others[: len(anchors)]), score(anchors, others[len(anchors) :])
            share = (near > far + self.margin.get(name, 0.0)).float().mean().item()
            metrics[f"{name}_accuracy"] = row[f"accuracy_{name}"] = share
        if len(names) > 1:
            metrics["max_accuracy"] = max(metrics.values())
        main = chosen_similarities(None, self.main_similarity_function)
        primary = f"{main[0] if main else names[0] if len(names) == 1 else 'max'}_accuracy"
        return self.finish(metrics, row, primary, output_path, epoch, steps)
