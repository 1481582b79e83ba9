"""`Seq2SeqTrainer`: evaluation and prediction by generating, for models that write text."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import InputError
from samovar.training.evaluation import PredictionOutput
from samovar.training.trainer import Trainer

IGNORED = -100


class Seq2SeqTrainer(Trainer):
    """A `Trainer` whose predictions are token ids that the model generates, with `predict_with_generate`."""

    generation: Mapping[str, Any] = {}

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
        **generation: Any,
    ) -> dict[str, float]:
        """As `Trainer.evaluate`; `generation` is handed to `model.generate`: `max_length`, `num_beams`, …"""
        self.generation = self.completed(generation)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "test",
        **generation: Any,
    ) -> PredictionOutput:
        """As `Trainer.predict`; predictions are ids (rows, length), filled up with -100."""
        self.generation = self.completed(generation)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def completed(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """The options of this call, else those of the arguments."""
        found = dict(generation)
        given = {
            "max_length": getattr(self.args, "generation_max_length", None),
            "num_beams": getattr(self.args, "generation_num_beams", None),
            "generation_config": getattr(self.args, "generation_config", None),
        }
        for name, value in given.items():
            if value is not None and not (name == "max_length" and "max_new_tokens" in found):
                found.setdefault(name, value)
        return found

    def prediction_step(
        self, model: nn.Module, inputs: Mapping[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Any, Any]:
        """One batch → loss, generated ids, labels."""
        if not getattr(self.args, "predict_with_generate", False) or prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if not hasattr(self.model, "generate"):
            raise InputError(f"{type(self.model).__name__} does not generate.", "Pass predict_with_generate=False.")
        loss = None
        if any(inputs.get(name) is not None for name in self.label_names):
            loss, _, _ = super().prediction_step(model, inputs, True, ignore_keys)
        batch = self.placed(inputs)
        labels = batch.pop("labels", None)
        batch.pop("decoder_input_ids", None)
        accepted = inspect.signature(self.model.generate).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in accepted.values())
        with torch.no_grad():
            ids = self.model.generate(
                **{name: value for name, value in batch.items() if takes_all or name in accepted}, **self.generation
            )
        if labels is not None:
            # Both of one width, so that metrics can stand them side by side.
            width = max(ids.shape[1], labels.shape[1])
            ids, labels = (F.pad(one, (0, width - one.shape[1]), value=IGNORED) for one in (ids, labels))
        return loss, ids, labels
