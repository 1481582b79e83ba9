"""`TrainingArguments`: how a run trains, by the field's names and defaults, grouped by what they are for."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from samovar.errors import InputError, did_you_mean
from samovar.training.schedules import SchedulerType

logger = logging.getLogger(__name__)

STRATEGIES = ("no", "steps", "epoch")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
HUB_STRATEGIES = ("end", "every_save", "checkpoint", "all_checkpoints")
OPTIMISERS: dict[str, tuple[str, dict[str, Any]]] = {
    "adamw_torch": ("AdamW", {}),
    "adamw_torch_fused": ("AdamW", {"fused": True}),
    "sgd": ("SGD", {}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adafactor": ("Adafactor", {}),
}
# Older spellings → the one of today.
OLDER = {
    "evaluation_strategy": "eval_strategy",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "no_cuda": "use_cpu",
    "activation_checkpointing": "gradient_checkpointing",
    "push_to_hub_model_id": "hub_model_id",
    "push_to_hub_token": "hub_token",
}
# Accepted, and without meaning here: what they switch is on, off or decided elsewhere.
MEANINGLESS = (
    "do_train", "do_eval", "do_predict", "local_rank", "overwrite_output_dir", "log_level", "log_level_replica",
    "log_on_each_node", "save_safetensors", "use_cache", "skip_memory_metrics", "logging_nan_inf_filter",
    "include_num_input_tokens_seen", "eval_do_concat_batches", "debug", "logging_dir", "ddp_timeout",
)  # fmt: skip


@functools.cache
def note(name: str) -> None:
    """Say once that a spelling is an older one."""
    logger.warning("%s is an older spelling: write %s.", name, OLDER[name])


def with_older_spellings(make: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor take older names, with one note, and name the nearest for an unknown one."""

    @functools.wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        known = [one.name for one in dataclasses.fields(self)]
        given: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in OLDER:
                note(name)
                given[OLDER[name]] = value
            elif name in known:
                given[name] = value
            elif name not in MEANINGLESS:
                hint = did_you_mean(name, known)
                raise InputError(f"{type(self).__name__} has no {name!r}.", hint or "Leave it out.")
        make(self, *args, **given)

    return init


@dataclass
class TrainingArguments:
    """How to train.

    Sizes of batches are per device; a step is one update of the weights, after `gradient_accumulation_steps` batches.
    `eval_strategy`, `save_strategy` and `logging_strategy` are "no", "steps" (every `…_steps`; below 1: a share of the
    run) or "epoch". Raises `InputError` for values that contradict each other.
    """

    output_dir: str = "trainer_output"

    # How long, in which portions
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    num_train_epochs: float = 3.0
    max_steps: int = -1
    gradient_accumulation_steps: int = 1

    # The optimiser and its rate
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] = field(default_factory=dict)
    warmup_steps: float = 0
    warmup_ratio: float = 0.0
    optim: str = "adamw_torch_fused"
    optim_args: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = 0.0

    # Numbers and memory
    bf16: bool = False
    fp16: bool = False
    tf32: bool | None = None
    gradient_checkpointing: bool = False
    gradient_checkpointing_kwargs: dict[str, Any] | None = None
    torch_compile: bool = False
    torch_compile_backend: str | None = None
    torch_compile_mode: str | None = None
    use_cpu: bool = False

    # Data
    remove_unused_columns: bool = True
    label_names: list[str] | None = None
    group_by_length: bool = False
    length_column_name: str = "length"
    dataloader_drop_last: bool = False
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_persistent_workers: bool = False
    dataloader_prefetch_factor: int | None = None

    # Looking
    eval_strategy: str = "no"
    eval_steps: float | None = None
    eval_delay: float = 0
    eval_on_start: bool = False
    prediction_loss_only: bool = False
    logging_strategy: str = "steps"
    logging_steps: float = 500
    logging_first_step: bool = False
    report_to: str | list[str] = "none"
    run_name: str | None = None
    disable_tqdm: bool | None = None

    # Keeping
    save_strategy: str = "steps"
    save_steps: float = 500
    save_total_limit: int | None = None
    save_only_model: bool = False
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    resume_from_checkpoint: str | None = None
    ignore_data_skip: bool = False

    # Repeating
    seed: int = 42
    data_seed: int | None = None
    full_determinism: bool = False

    # Sharing
    push_to_hub: bool = False
    hub_model_id: str | None = None
    hub_token: str | None = None
    hub_private_repo: bool | None = None
    hub_strategy: str = "every_save"
    hub_always_push: bool = False
    hub_revision: str | None = None

    def __post_init__(self) -> None:
        self.output_dir = str(Path(self.output_dir).expanduser())
        for name in ("eval_strategy", "save_strategy", "logging_strategy"):
            self.choice(name, (*STRATEGIES, "best") if name == "save_strategy" else STRATEGIES)
        self.choice("hub_strategy", HUB_STRATEGIES)
        self.choice("optim", OPTIMISERS)
        self.choice("lr_scheduler_type", SchedulerType.names())
        # Either says how to compile, and so that it is wanted.
        if self.torch_compile_backend is not None:
            self.choice("torch_compile_backend", torch.compiler.list_backends(exclude_tags=()))
        if self.torch_compile_mode is not None:
            self.choice("torch_compile_mode", COMPILE_MODES)
        self.torch_compile |= self.torch_compile_backend is not None or self.torch_compile_mode is not None
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}.", "Leave it out for the default.")
        if self.bf16 and self.fp16:
            raise InputError("bf16 and fp16 exclude each other.", "Choose one; bf16 needs no loss scaling.")
        if self.eval_strategy == "steps" and self.eval_steps is None:
            self.eval_steps = self.logging_steps
        if self.load_best_model_at_end:
            self.check_best()
        if self.metric_for_best_model is not None and self.greater_is_better is None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")

    def choice(self, name: str, values: Any) -> None:
        """Raise `InputError` unless the argument is one of these."""
        value = str(getattr(self, name))
        setattr(self, name, value)
        if value not in values:
            hint = did_you_mean(value, list(values))
            raise InputError(f"{name}={value!r} is not known.", f"{hint} All: {', '.join(values)}.".strip())

    def check_best(self) -> None:
        """The best model can only be loaded if each is saved when it is measured."""
        if self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.save_strategy == "best":
            return
        same = self.eval_strategy == self.save_strategy != "no"
        if same and self.eval_strategy == "steps" and self.save_steps % (self.eval_steps or 1):
            raise InputError(
                f"save_steps={self.save_steps} is no multiple of eval_steps={self.eval_steps}.",
                "load_best_model_at_end needs a measurement at each save.",
            )
        if not same:
            raise InputError(
                f"load_best_model_at_end with eval_strategy={self.eval_strategy!r}, save_strategy="
                f"{self.save_strategy!r}: the best could not be known.",
                'Set both to "epoch", or both to "steps".',
            )

    def steps_of(self, value: float | None, total: int) -> int:
        """A number of steps; below 1 it is a share of the run."""
        if value is None:
            return 0
        return max(1, round(value * total)) if 0 < value < 1 else int(value)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Steps over which the rate rises."""
        if self.warmup_steps:
            return self.steps_of(self.warmup_steps, num_training_steps)
        return round(self.warmup_ratio * num_training_steps)

    @property
    def mixed_precision(self) -> str:
        """What `accelerate` calls it."""
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "no"

    def optimiser(self) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
        """The class and its arguments."""
        name, extra = OPTIMISERS[self.optim]
        options: dict[str, Any] = {"lr": self.learning_rate, **extra}
        if name == "AdamW":
            options |= {"betas": (self.adam_beta1, self.adam_beta2), "eps": self.adam_epsilon}
        return getattr(torch.optim, name), options | self.optim_args

    def to_dict(self) -> dict[str, Any]:
        """All values; tokens are left out."""
        return {name: value for name, value in dataclasses.asdict(self).items() if not name.endswith("_token")}

    def to_json_string(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


@dataclass
class Seq2SeqTrainingArguments(TrainingArguments):
    """`TrainingArguments` for models that write text: evaluation can generate instead of scoring."""

    predict_with_generate: bool = False
    generation_max_length: int | None = None
    generation_num_beams: int | None = None
    generation_config: Any = None
    sortish_sampler: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # The field's name for rows of like length in one batch.
        self.group_by_length = self.group_by_length or self.sortish_sampler


for kind in (TrainingArguments, Seq2SeqTrainingArguments):
    kind.__init__ = with_older_spellings(kind.__init__)  # type: ignore[method-assign]
