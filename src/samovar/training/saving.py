"""What a trainer keeps and shares: the model, its state, metrics, a card, a repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.hub.atomic import write_beside, write_file
from samovar.training import checkpoints
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import STATE_FILE, TrainerState
from samovar.training.processes import is_sharded


class Saving:
    """The part of `Trainer` that writes."""

    accelerator: Any
    args: TrainingArguments
    model: Any
    wrapped: Any
    processing_class: Any
    state: TrainerState

    def is_world_process_zero(self) -> bool:
        """Whether this is the first of all processes."""
        return bool(self.accelerator.is_main_process)

    def is_local_process_zero(self) -> bool:
        """Whether this is the first process of its machine."""
        return bool(self.accelerator.is_local_main_process)

    def save_model(self, output_dir: str | Path | None = None, _internal_call: bool = False) -> None:
        """The model and its tokenizer or processor, as an ordinary checkpoint folder, all or nothing."""
        sharded = is_sharded(self.accelerator) and self.wrapped is not None
        # All processes take part in putting a sharded model together.
        tensors = self.accelerator.get_state_dict(self.wrapped) if sharded else None
        if self.is_world_process_zero():
            with write_beside(output_dir or self.args.output_dir) as beside:
                self.write_model(beside, tensors)
        self.accelerator.wait_for_everyone()

    def write_model(self, folder: Path, tensors: Mapping[str, Any] | None = None) -> None:
        """Model and processor into a folder."""
        checkpoints.save_weights(self.model, folder, tensors)
        if hasattr(self.processing_class, "save_pretrained"):
            self.processing_class.save_pretrained(folder)

    def create_model_card(self, **about: Any) -> None:
        """`README.md` into the run's folder, with metrics and arguments; `about` as in `training.card.model_card`.

        Sentences that somebody wrote into a card that is there stay.
        """
        from samovar.training.card import model_card

        if self.is_world_process_zero():
            path = Path(self.args.output_dir) / "README.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_text("utf-8") if path.exists() else None
            write_file(path, model_card(self, before=before, **about))

    def save_state(self) -> None:
        """`trainer_state.json` into the run's folder."""
        if self.is_world_process_zero():
            Path(self.args.output_dir).mkdir(parents=True, exist_ok=True)
            write_file(Path(self.args.output_dir) / STATE_FILE, self.state.to_json())

    def log_metrics(self, split: str, metrics: Mapping[str, Any]) -> None:
        """Print metrics as a small table."""
        if self.is_world_process_zero():
            width = max(map(len, metrics), default=0)
            print(f"{split}:")
            for name, value in sorted(metrics.items()):
                print(f"  {name:{width}}  {f'{value:.4g}' if isinstance(value, float) else value}")

    def save_metrics(self, split: str, metrics: Mapping[str, Any], combined: bool = True) -> None:
        """`<split>_results.json` into the run's folder, and all splits together as `all_results.json`."""
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{split}_results.json", json.dumps(dict(metrics), indent=2, sort_keys=True) + "\n")
        if combined:
            path = folder / "all_results.json"
            before = json.loads(path.read_text("utf-8")) if path.exists() else {}
            write_file(path, json.dumps(before | dict(metrics), indent=2, sort_keys=True) + "\n")

    def get_num_trainable_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(one.numel() for one in self.model.parameters() if one.requires_grad)
