"""A small model and data that it can learn: what the tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar import AutoModelForSequenceClassification, BertConfig
from samovar.training.arguments import TrainingArguments
from samovar.training.report import ReportCallback
from samovar.training.trainer import Trainer

SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 32,
}  # fmt: skip


def config(**options: Any) -> BertConfig:
    return BertConfig(**(SIZES | options))


def model(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_config(config(**options))


def rows(count: int = 48, length: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Token ids whose first decides the label; of 3 … 12 tokens, or padded to `length`."""
    numbers = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        size = int(numbers.integers(3, 13))
        ids = numbers.integers(5, 40, size).tolist()
        row = {"input_ids": ids, "attention_mask": [1] * size, "labels": int(ids[0] > 22)}
        if length is not None:
            row["input_ids"] = ids + [0] * (length - size)
            row["attention_mask"] = [1] * size + [0] * (length - size)
        found.append(row)
    return found


def pad(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows filled up with 0."""
    longest = max(len(row["input_ids"]) for row in batch)
    found = {
        name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in batch])
        for name in ("input_ids", "attention_mask")
    }
    return found | {"labels": torch.tensor([row["labels"] for row in batch])}


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    values = {
        "per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-3, "logging_steps": 1,
        "save_strategy": "no", "use_cpu": True, "disable_tqdm": True,
    }  # fmt: skip
    return TrainingArguments(str(folder), **(values | options))


def trainer(folder: Path, data: Any = None, report: bool = False, **options: Any) -> Trainer:
    """A trainer of the small model; options of `Trainer` are taken out, the others are arguments.

    Without the report, whose pictures take longer than the training.
    """
    parts = {
        name: options.pop(name)
        for name in (
            "model", "model_init", "eval_dataset", "compute_metrics", "callbacks", "compute_loss_func", "optimizers",
            "data_collator",
        )
        if name in options
    }  # fmt: skip
    if "model_init" not in parts:
        parts.setdefault("model", model())
    parts.setdefault("data_collator", pad)
    made = Trainer(args=arguments(folder, **options), train_dataset=rows() if data is None else data, **parts)
    if not report:
        made.remove_callback(ReportCallback)
    return made


def losses(of: Trainer) -> list[float]:
    return [entry["loss"] for entry in of.state.log_history if "loss" in entry]


def weights(of: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in of.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
