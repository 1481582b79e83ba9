"""What a trainer keeps and shares: the model, its state, metrics, a card, a repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.errors import InputError
from samovar.hub.atomic import write_beside, write_file
from samovar.training import checkpoints
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import STATE_FILE, TrainerState
from samovar.training.processes import is_sharded

# What a run leaves in its folder that is of use to nobody else.
PRIVATE = ["checkpoint-*", ".*", "runs/*", "search/*", "wandb/*", "mlruns*"]


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

    def push_to_hub(
        self, commit_message: str = "End of training", blocking: bool = True, token: str | None = None, **card: Any
    ) -> Any:
        """Model, processor and card to the repository `hub_model_id` of the endpoint; what `upload_folder` returns."""
        from huggingface_hub import HfApi

        name = self.args.hub_model_id or Path(self.args.output_dir).resolve().name
        if not self.is_world_process_zero():
            return None
        api = HfApi(token=token or self.args.hub_token)
        repository = api.create_repo(name, private=self.args.hub_private_repo, exist_ok=True).repo_id
        folder = Path(self.args.output_dir)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file.", "Choose another output_dir.")
        with write_beside(folder) as beside:
            self.write_model(beside)
        self.create_model_card(model_name=name, **card)
        options: dict[str, Any] = {} if blocking else {"run_as_future": True}
        return api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=commit_message, ignore_patterns=PRIVATE, **options
        )
