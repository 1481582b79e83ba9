"""What happens beside training: state, control, and callbacks that read the one and set the other."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from samovar.errors import CorruptFileError, InputError
from samovar.training.arguments import TrainingArguments

STATE_FILE = "trainer_state.json"


@dataclass
class TrainerState:
    """Where a run is, and what was logged: what `trainer_state.json` holds."""

    epoch: float = 0.0
    global_step: int = 0
    max_steps: int = 0
    num_train_epochs: int = 0
    train_batch_size: int = 0
    logging_steps: int = 0
    eval_steps: int = 0
    save_steps: int = 0
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    log_history: list[dict[str, Any]] = field(default_factory=list)
    stateful_callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> TrainerState:
        """From a checkpoint's file; keys that are not known are left out. Raises `CorruptFileError`."""
        try:
            values = json.loads(path.read_text("utf-8"))
            known = {one.name for one in fields(cls)}
            return cls(**{key: value for key, value in values.items() if key in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise CorruptFileError(
                f"{path} is no state of a run: {error}.", "Resume from another checkpoint."
            ) from error


@dataclass
class TrainerControl:
    """What a callback can ask for."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


Control = TrainerControl


class TrainerCallback:
    """Base: override the events that matter; each gets `(args, state, control, **kwargs)` and may change `control`.

    `kwargs` hold `model`, `processing_class`, `optimizer`, `lr_scheduler`, `train_dataloader`, `eval_dataloader`, and
    at some events `metrics` or `logs`. `state_dict` and `load_state_dict` carry a callback's memory over a resumption.
    """

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: Control, **kwargs: Any) -> Any:
        """The trainer is made."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """Before the first step."""

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After the last."""

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """Before an epoch."""

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After an epoch."""

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """Before a step."""

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After a batch that is accumulated."""

    def on_pre_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """Gradients are there, clipped."""

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """Weights are new, gradients not yet cleared."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After a step."""

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After an evaluation, with its `metrics`."""

    def on_predict(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After a prediction, with its `metrics`."""

    def on_prediction_step(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """After a batch of an evaluation."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """A checkpoint is whole."""

    def on_log(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> Any:
        """`logs` are written."""

    def state_dict(self) -> dict[str, Any]:
        """What to remember, as JSON."""
        return {}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Remember it."""


class DefaultFlowCallback(TrainerCallback):
    """Logs, evaluates and saves when the arguments say so."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """At multiples of the steps, and at the end."""
        step, end = state.global_step, state.global_step >= state.max_steps
        if step == 1 and args.logging_first_step:
            control.should_log = True
        if args.logging_strategy == "steps" and step % max(state.logging_steps, 1) == 0:
            control.should_log = True
        if args.eval_strategy == "steps" and step % max(state.eval_steps, 1) == 0 and args.eval_delay <= step:
            control.should_evaluate = True
        if args.save_strategy == "steps" and state.save_steps and (step % state.save_steps == 0 or end):
            control.should_save = True
        if end:
            control.should_training_stop = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """After each epoch."""
        control.should_log |= args.logging_strategy == "epoch"
        control.should_evaluate |= args.eval_strategy == "epoch" and args.eval_delay <= state.epoch
        control.should_save |= args.save_strategy == "epoch"


class ProgressCallback(TrainerCallback):
    """A bar with the loss and the time left, and each evaluation's values above it."""

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """The bar starts where the run does."""
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="Training", dynamic_ncols=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """One on."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: Control, logs: Any = None, **k: Any
    ) -> None:
        """The loss beside the bar, all else above it."""
        if self.bar is None or not logs:
            return
        if "loss" in logs:
            self.bar.set_postfix(loss=f"{logs['loss']:.4f}")
        else:
            self.bar.write(shown(logs), file=sys.stderr)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """The bar is done."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class PrinterCallback(TrainerCallback):
    """A line for each log, where no bar is wanted."""

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: Control, logs: Any = None, **k: Any
    ) -> None:
        """One line."""
        if state.is_local_process_zero and logs:
            print(shown(logs), file=sys.stderr, flush=True)


def shown(logs: dict[str, Any]) -> str:
    """`eval_loss 0.4127  eval_accuracy 0.831`."""
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in logs.items()
    )


class EarlyStoppingCallback(TrainerCallback):
    """Stops when the metric has not improved by more than the threshold for `early_stopping_patience` evaluations."""

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold
        self.waited = 0
        self.best: float | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Control, **k: Any) -> None:
        """Raises `InputError` where nothing is measured."""
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise InputError(
                "Early stopping needs metric_for_best_model and an eval_strategy.", 'Such as "loss" and "epoch".'
            )

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: Control, metrics: Any = None, **k: Any
    ) -> None:
        """Count evaluations without improvement."""
        name = str(args.metric_for_best_model)
        value = (metrics or {}).get(name if name.startswith("eval_") else f"eval_{name}")
        if value is None:
            return
        sign = 1 if args.greater_is_better else -1
        better = self.best is None or sign * (value - self.best) > self.early_stopping_threshold
        if better and not math.isnan(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.waited >= self.early_stopping_patience:
            control.should_training_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The count and the best value."""
        return {"waited": self.waited, "best": self.best}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Go on from there."""
        self.waited, self.best = int(values["waited"]), values["best"]
