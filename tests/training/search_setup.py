"""A model and data so small that a trial takes a fraction of a second, in a module that worker processes can import."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from samovar.architectures.bert import BertConfig, BertForSequenceClassification
from samovar.training.arguments import TrainingArguments
from samovar.training.evaluation import EvalPrediction
from samovar.training.trainer import Trainer


def model_init(trial: Any = None) -> BertForSequenceClassification:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16, num_labels=2,
        )
    )  # fmt: skip


def rows(count: int = 32, seed: int = 0) -> list[dict[str, Any]]:
    """Texts whose first word decides the class."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(3, 32, (count, 6), generator=generator)
    return [{"input_ids": one.tolist(), "attention_mask": [1] * 6, "labels": int(one[0] > 17)} for one in words]


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def trainer(
    folder: Path, *, kind: type[Trainer] = Trainer, parts: dict[str, Any] | None = None, **args: Any
) -> Trainer:
    given = {"num_train_epochs": 1, "save_strategy": "no", "disable_tqdm": True, "use_cpu": True, **args}
    chosen = {"model_init": model_init, "train_dataset": rows(), "eval_dataset": rows(16, 1), **(parts or {})}
    return kind(args=TrainingArguments(str(folder), **given), **chosen)


def rates(trial: Any) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [8, 16]),
    }


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "search" / "trials.csv").open() as file:
        return list(csv.DictReader(file))
