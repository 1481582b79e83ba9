"""A program that trains into a folder, and may end itself after a step; run in processes of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import learner
import torch

from samovar import AutoModelForMaskedLM
from samovar.training.callbacks import TrainerCallback

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "masked": {"dataloader_num_workers": 2},
    "grouped": {"group_by_length": True, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 3,
                "logging_steps": 3, "lr_scheduler_type": "cosine", "warmup_steps": 3},
    "evaluated": {"eval_strategy": "steps", "eval_steps": 2, "lr_scheduler_type": "reduce_lr_on_plateau",
                  "metric_for_best_model": "loss", "load_best_model_at_end": True, "save_steps": 2},
    "stream": {"max_steps": 12},
}  # fmt: skip


class End(TrainerCallback):
    """Ends the process as a machine without power would, or lets no file grow as a full disk does."""

    def __init__(self, step: int, full_disk: bool) -> None:
        self.step, self.full_disk = step, full_disk

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step != self.step:
            return
        if not self.full_disk:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


def masked(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch with words hidden by chance."""
    batch = learner.pad(rows)
    hidden = (torch.rand(batch["input_ids"].shape) < 0.3) & (batch["attention_mask"] > 0)
    hidden[:, 0] = True
    labels = torch.where(hidden, batch["input_ids"], -100)
    return batch | {"input_ids": torch.where(hidden, 1, batch["input_ids"]), "labels": labels}


def program(folder: Path, error: Path, kind: str, end: int, resume: bool, full_disk: bool) -> None:
    """Train; an error is written into that file."""
    # Loading processes are children of this one, and end with it; those of a server of forks would outlive a kill.
    multiprocessing.set_start_method("fork", force=True)
    try:
        train(folder, kind, End(end, full_disk), resume)
    except BaseException:
        error.write_text(traceback.format_exc(), "utf-8")
        sys.exit(1)


def train(folder: Path, kind: str, end: End, resume: bool) -> None:
    """Train, save what came of it, and write down what was logged."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    options = {"save_strategy": "steps", "save_steps": 1} | OPTIONS[kind]
    if kind == "masked":
        options["data_collator"] = masked
    if kind == "evaluated":
        options["eval_dataset"] = learner.rows(9, seed=4)
    torch.manual_seed(1)
    model = learner.model() if kind != "masked" else AutoModelForMaskedLM.from_config(learner.config())
    data = iter(learner.rows(100)) if kind == "stream" else None
    trainer = learner.trainer(folder, data, model=model, callbacks=[end], **options)
    trainer.train(resume_from_checkpoint=resume or None)
    trainer.save_model(folder / "end")
    history = [
        {name: value for name, value in entry.items() if "runtime" not in name and "per_second" not in name}
        for entry in trainer.state.log_history
    ]
    (folder / "history.json").write_text(json.dumps(history))
