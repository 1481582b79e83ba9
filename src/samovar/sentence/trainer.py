"""`SentenceTransformerTrainer`: a `Trainer` whose rows are texts and whose loss compares their embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from samovar.errors import InputError, WeightsError
from samovar.sentence.fit import labels_of
from samovar.training.arguments import TrainingArguments
from samovar.training.evaluation import EvalLoopOutput
from samovar.training.optimisation import make_optimiser
from samovar.training.trainer import Trainer

logger = logging.getLogger(__name__)

LABELS = ("label", "labels", "score", "scores")


class SentenceTransformerTrainer(Trainer):
    """Trains a `SentenceTransformer` with one of `sentence.losses`.

    Rows are dictionaries: texts in as many columns as the loss compares, in their order, and `label` or `score` if it
    wants one. `evaluator` (one of `sentence.evaluators`, or several) is asked at each evaluation; what it finds is
    logged as `eval_…`. Everything else, from several processes to resumption, is `Trainer`'s.
    """

    def __init__(
        self,
        model: Any = None,
        args: TrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: nn.Module | None = None,
        evaluator: Any = None,
        **options: Any,
    ) -> None:
        args = TrainingArguments() if args is None else args
        # Texts are no parameters of the model's forward pass: all columns are the loss's.
        args.remove_unused_columns = False
        self.evaluators = [] if evaluator is None else evaluator if isinstance(evaluator, list) else [evaluator]
        if loss is None:
            from samovar.sentence.losses import CosineSimilarityLoss

            loss = CosineSimilarityLoss(model)
        self.loss = loss
        super().__init__(model, args, Tokenize(model), train_dataset, eval_dataset, **options)

    def needs_eval_dataset(self) -> bool:
        """Not where evaluators have data of their own."""
        return not self.evaluators

    def create_optimizer(self) -> torch.optim.Optimizer:
        """Over the model and what the loss has of its own."""
        if self.optimizer is None:
            self.optimizer = make_optimiser(self.loss, self.args)
        return self.optimizer

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of the columns' embeddings."""
        self.loss.model = model
        device = self.accelerator.device
        self.loss.to(device)
        columns = [
            {name: value.to(device) if isinstance(value, Tensor) else value for name, value in column.items()}
            for column in inputs["columns"]
        ]
        found = self.loss(columns, inputs.get("labels"))
        return (found, {}) if return_outputs else found

    def prediction_step(
        self, model: nn.Module, inputs: Mapping[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Any, Any]:
        """The loss of one batch."""
        return self.compute_loss(model, self.placed(inputs)), None, None

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "eval",
        **more: Any,
    ) -> dict[str, float]:  # fmt: skip
        """The loss on the evaluation data if there is any, and what the evaluators find."""
        self.found = self.ask(metric_key_prefix)
        if eval_dataset is None and self.eval_dataset is None and self.evaluators:
            self.log(self.found)
            self.tell("on_evaluate", metrics=self.found)
            return self.found
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix, **more)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """With the evaluators' values beside the loss."""
        output = super().evaluation_loop(*args, **kwargs)
        output.metrics.update(self.found)
        return output

    def ask(self, prefix: str) -> dict[str, float]:
        """What the evaluators find."""
        result: dict[str, float] = {}
        was_training = self.model.training
        for evaluator in self.evaluators:
            found = evaluator(self.model.eval(), None, self.state.epoch, self.state.global_step)
            found = found if isinstance(found, Mapping) else {"evaluator": found}
            result |= {f"{prefix}_{name}": float(value) for name, value in found.items()}
        self.model.train(was_training)
        return result

    found: dict[str, float] = {}


class Tokenize:
    """Rows of texts → `columns`, one dictionary of tensors each, and `labels` if the rows have any."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        """A batch. Raises `InputError` for rows without texts."""
        if not isinstance(rows[0], Mapping):
            raise InputError(f"Rows are dictionaries of texts, got {type(rows[0]).__name__}.", 'Such as {"a": "…"}.')
        names = list(rows[0])
        label = next((name for name in LABELS if name in names), None)
        texts = [name for name in names if name != label and isinstance(rows[0][name], str)]
        if not texts:
            raise InputError(f"No column of {', '.join(names)} holds texts.", "Give strings.")
        columns = [dict(self.model.tokenize([row[name] for row in rows])) for name in texts]
        batch: dict[str, Any] = {"columns": columns, "rows": torch.arange(len(rows))}
        if label is not None:
            batch["labels"] = labels_of([row[label] for row in rows])
        return batch


def load_weights(model: Any, folder: str | Path) -> None:
    """A saved model's weights into one that is there. Raises `WeightsError` where they do not fit."""
    theirs = type(model)(str(folder), device="cpu").state_dict()
    ours = model.state_dict()
    wrong = [name for name in {*theirs, *ours} if np.shape(theirs.get(name, ())) != np.shape(ours.get(name, ()))]
    if wrong:
        raise WeightsError(f"{folder} does not fit this model: {', '.join(sorted(wrong)[:5])}.", "Load its own.")
    with torch.no_grad():
        for name, tensor in ours.items():
            tensor.copy_(theirs[name])
