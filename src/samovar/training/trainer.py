"""`Trainer`: a model, data and arguments → a trained model, its checkpoints and its metrics."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from samovar.errors import InputError, did_you_mean
from samovar.training import checkpoints
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import (
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from samovar.training.checks import LabelCheck, check_variety, claimed, classes_of
from samovar.training.collators import DataCollatorWithPadding, default_data_collator, trimmed
from samovar.training.data import Columns, EpochSampler, accepted_columns, as_dataset, inner, loader, row_lengths
from samovar.training.evaluation import (
    EvalLoopOutput,
    EvalPrediction,
    PredictionOutput,
    evaluation_loop,
    predictions_of,
)
from samovar.training.optimisation import is_causal, make_optimiser, smoothed_loss
from samovar.training.processes import make_accelerator, seed_everything
from samovar.training.pushing import Pushing
from samovar.training.report import ReportCallback
from samovar.training.schedules import get_scheduler
from samovar.training.trackers import tracker_callbacks

logger = logging.getLogger(__name__)


class TrainOutput(NamedTuple):
    """What `train` gives."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Trainer(Pushing):
    """Trains a model that returns a loss.

    ::

        trainer = Trainer(model, TrainingArguments("out"), train_dataset=rows, processing_class=tokenizer)
        trainer.train()

    The names are the field's. Underneath is `accelerate`: one process, several, mixed precision and sharding run the
    same script. Columns that are padding in a whole batch are cut before the model sees them; losses of accumulated
    batches are weighted by their labels, so that 4 × 2 rows train as 8; a run that was killed goes on from its last
    checkpoint as if nothing had been.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[..., nn.Module] | None = None,
        compute_loss_func: Callable[..., Tensor] | None = None,
        compute_metrics: Callable[[EvalPrediction], Mapping[str, float]] | None = None,
        callbacks: Sequence[TrainerCallback | type[TrainerCallback]] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, Any] = (None, None),
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
        tokenizer: Any = None,
    ) -> None:
        self.args = TrainingArguments() if args is None else args
        if (model is None) == (model_init is None):
            raise InputError("A Trainer takes either model or model_init.", "Pass one of them.")
        self.accelerator = make_accelerator(self.args)
        self.model_init = model_init
        self.model: Any = model if model_init is None else self.call_model_init()
        self.processing_class = processing_class if processing_class is not None else tokenizer
        pads = hasattr(self.processing_class, "pad") and hasattr(self.processing_class, "pad_token_id")
        self.data_collator = data_collator or (
            DataCollatorWithPadding(self.processing_class) if pads else default_data_collator
        )
        self.train_dataset = as_dataset(train_dataset, "train_dataset")
        self.eval_dataset = (
            {name: as_dataset(data, f"eval_dataset[{name!r}]") for name, data in eval_dataset.items()}
            if isinstance(eval_dataset, Mapping)
            else as_dataset(eval_dataset, "eval_dataset")
        )
        if self.eval_dataset is None and self.args.eval_strategy != "no" and self.needs_eval_dataset():
            raise InputError(f"eval_strategy={self.args.eval_strategy!r}, but no eval_dataset.", "Pass one.")
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizer, self.lr_scheduler = self.given = optimizers
        self.label_names = list(self.args.label_names or default_labels(self.model))
        self.columns: Columns | None = None
        self.state, self.control = self.new_state(), TrainerControl()
        # What the loop wraps the model into, for several processes or precisions; None before.
        self.wrapped: Any = None
        self.callbacks: list[TrainerCallback] = [DefaultFlowCallback(), *self.hub_callbacks()]
        self.callbacks.append(PrinterCallback() if self.args.disable_tqdm else ProgressCallback())
        for callback in (*tracker_callbacks(self.args.report_to), ReportCallback, *(callbacks or ())):
            self.add_callback(callback)
        self.tell("on_init_end")

    def needs_eval_dataset(self) -> bool:
        """Whether there is nothing to evaluate without one."""
        return True

    def new_state(self) -> TrainerState:
        """A run that has not begun."""
        state = TrainerState()
        state.is_world_process_zero = bool(self.accelerator.is_main_process)
        state.is_local_process_zero = bool(self.accelerator.is_local_main_process)
        return state

    def call_model_init(self, trial: Any = None) -> Any:
        """A new model, by a function with or without the trial as its argument."""
        assert self.model_init is not None
        parameters = inspect.signature(self.model_init).parameters.values()
        places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        if not places or (trial is None and all(one.default is not one.empty for one in places)):
            return self.model_init()
        return self.model_init(trial)

    # Training -----------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | Path | bool | None = None, trial: Any = None) -> TrainOutput:
        """Train to the end; `resume_from_checkpoint` is a checkpoint's folder, or True for the newest.

        Ctrl-C saves a checkpoint and says how to go on. Raises `InputError` for data that the model cannot read,
        `NumericError` when a loss is not finite, with the last checkpoint as it was.
        """
        from samovar.training.loop import Loop

        if self.train_dataset is None:
            raise InputError("There is nothing to train on.", "Pass train_dataset.")
        seed_everything(self.args)
        if self.model_init is not None:
            self.model = self.call_model_init(trial)
            # They belong to the parameters of the model before.
            self.optimizer, self.lr_scheduler = self.given
        check_variety(self.train_dataset, classes_of(self.model))
        self.state, self.wrapped = self.new_state(), None
        resume = self.args.resume_from_checkpoint if resume_from_checkpoint is None else resume_from_checkpoint
        path = checkpoints.find(resume, self.args.output_dir) if resume else None
        alone = claimed(self.args.output_dir) if self.accelerator.is_main_process else nullcontext()
        with alone:
            output = Loop(self, path).run()
        if self.args.push_to_hub:
            self.push_to_hub()
        return output

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], Any] | None = None,
        n_trials: int = 20,
        direction: str | list[str] = "minimize",
        backend: Any = None,
        hp_name: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Train `n_trials` times with other arguments and give the best run; see `training.search`."""
        from samovar.training.search import hyperparameter_search

        return hyperparameter_search(self, hp_space, compute_objective, n_trials, direction, backend, hp_name, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Any:
        """The mean loss of a batch, and the outputs if they are wanted; override it for a loss of your own."""
        smoothing = self.args.label_smoothing_factor
        labels = inputs.get("labels")
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif smoothing and labels is not None and not labels.is_floating_point() and model.training:
            loss = smoothed_loss(outputs["logits"], labels, smoothing, is_causal(model))
        else:
            found: Any = outputs.get("loss") if isinstance(outputs, Mapping) else outputs[0]
            loss = found
        if loss is None:
            raise InputError(*self.why_no_loss())
        return (loss, outputs) if return_outputs else loss

    def why_no_loss(self) -> tuple[str, str]:
        """Cause and next step where a model gave no loss."""
        left = [] if self.columns is None else self.columns.left
        names = ", ".join(self.label_names)
        hints = [f"{name!r} was left out: {did_you_mean(name, self.label_names)}" for name in left]
        near = " ".join(hint for hint in hints if not hint.endswith(": "))
        return f"{type(self.model).__name__} gave no loss.", f"Its data needs the column {names}. {near}".strip()

    def training_step(self, model: nn.Module, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """The loss of one batch, forward only: the loop weights it and goes back through it. For overriding."""
        with self.accelerator.autocast():
            loss: Tensor = self.compute_loss(model, self.placed(inputs), num_items_in_batch=num_items_in_batch)
        return loss

    def create_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser, made from the arguments unless one was given."""
        if self.optimizer is None:
            self.optimizer = make_optimiser(self.model, self.args)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The schedule, made from the arguments unless one was given."""
        if self.lr_scheduler is None:
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type,
                optimizer or self.create_optimizer(),
                self.args.get_warmup_steps(num_training_steps),
                num_training_steps,
                self.args.lr_scheduler_kwargs,
            )
        return self.lr_scheduler

    # Data ---------------------------------------------------------------------------------------------------------

    def collate(self) -> Any:
        """The collator, on the columns that the model reads."""
        if not self.args.remove_unused_columns:
            return self.data_collator
        main_input = getattr(self.model, "main_input_name", "")
        self.columns = Columns(self.data_collator, accepted_columns(self.model, self.label_names), main_input)
        return self.columns

    def label_check(self, name: str) -> LabelCheck | None:
        """What finds labels that no class of the model has."""
        classes = classes_of(self.model) if self.compute_loss_func is None else None
        return None if classes is None else LabelCheck(classes, name)

    def get_train_dataloader(self) -> Any:
        """Batches of the training data, on the CPU; its sampler takes epoch and place."""
        args, data = self.args, self.train_dataset
        size = args.per_device_train_batch_size
        if not hasattr(data, "__len__"):
            return loader(data, self.collate(), args, size)
        lengths = row_lengths(data, args.length_column_name) if args.group_by_length else None
        seed = args.seed if args.data_seed is None else args.data_seed
        sampler = EpochSampler(len(data), seed, size * self.accelerator.num_processes, lengths)
        return loader(data, self.collate(), args, size, sampler, self.label_check("train_dataset"))

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Batches of the data for evaluation, in its order."""
        data = self.eval_dataset if eval_dataset is None else as_dataset(eval_dataset, "eval_dataset")
        if data is None:
            raise InputError("There is nothing to evaluate on.", "Pass eval_dataset.")
        size = self.args.per_device_eval_batch_size
        return loader(data, self.collate(), self.args, size, None, self.label_check("eval_dataset"))

    get_test_dataloader = get_eval_dataloader

    def placed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch without dead padding, on the device."""
        device = self.accelerator.device
        return {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in trimmed(batch).items()
        }

    # Evaluation ---------------------------------------------------------------------------------------------------

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
        **generation: Any,
    ) -> dict[str, float]:
        """Loss, metrics and speed on the evaluation data; of several sets under their names."""
        data = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(data, Mapping):
            found: dict[str, float] = {}
            for name, one in data.items():
                found |= self.evaluate(one, ignore_keys, f"{metric_key_prefix}_{name}", **generation)
            return found
        loss_only = True if self.compute_metrics is None else None
        output = self.evaluation_loop(
            self.get_eval_dataloader(data), "Evaluation", loss_only, ignore_keys, metric_key_prefix
        )
        self.log(output.metrics)
        self.tell("on_evaluate", metrics=output.metrics)
        return output.metrics

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "test",
        **generation: Any,
    ) -> PredictionOutput:
        """Predictions (mapped from disk), labels, and metrics where there are labels."""
        output = self.evaluation_loop(
            self.get_test_dataloader(test_dataset), "Prediction", None, ignore_keys, metric_key_prefix
        )
        self.tell("on_predict", metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str = "Evaluation",
        prediction_loss_only: bool | None = None,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """All batches through the model; predictions go to disk, so that memory stays flat."""
        return evaluation_loop(self, dataloader, bool(prediction_loss_only), ignore_keys, metric_key_prefix)

    def prediction_step(
        self, model: nn.Module, inputs: Mapping[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Any, Any]:
        """One batch → loss, logits, labels; None for what there is not, or is not wanted."""
        batch = self.placed(inputs)
        labels = [batch[name] for name in self.label_names if batch.get(name) is not None]
        with self.accelerator.autocast():
            if labels:
                loss, outputs = self.compute_loss(model, batch, return_outputs=True)
            else:
                loss, outputs = None, model(**batch)
        if prediction_loss_only:
            return loss, None, None
        wanted = labels[0] if len(labels) == 1 else tuple(labels) or None
        return loss, predictions_of(outputs, bool(labels), ignore_keys), wanted

    # Telling ------------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add to the history, and tell the callbacks."""
        logs = {**logs, "epoch": round(self.state.epoch, 4)}
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.tell("on_log", logs=logs)

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """One more, an object or a class."""
        self.callbacks.append(callback() if isinstance(callback, type) else callback)

    def remove_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Without this one, or those of this class."""
        self.callbacks = [
            one
            for one in self.callbacks
            if not (isinstance(one, callback) if isinstance(callback, type) else one is callback)
        ]

    def pop_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        """Take this one, or the first of this class, out and hand it over."""
        found = [one for one in self.callbacks if one is callback or type(one) is callback]
        if found:
            self.callbacks.remove(found[0])
        return found[0] if found else None

    def tell(self, event: str, **more: Any) -> None:
        """Call an event of all callbacks."""
        context = {
            "model": self.model, "processing_class": self.processing_class, "optimizer": self.optimizer,
            "lr_scheduler": self.lr_scheduler, **more,
        }  # fmt: skip
        for callback in self.callbacks:
            changed = getattr(callback, event)(self.args, self.state, self.control, **context)
            if isinstance(changed, TrainerControl):
                self.control = changed

    def best_metric_of(self, metrics: Mapping[str, float]) -> float:
        """The value that ranks models. Raises `InputError` with those that there are."""
        name = str(self.args.metric_for_best_model or "loss")
        key = name if name.startswith("eval_") else f"eval_{name}"
        if key not in metrics:
            hint = did_you_mean(key, list(metrics))
            raise InputError(
                f"metric_for_best_model={name!r}, but the evaluation gives no {key}.",
                f"{hint} It gives: {', '.join(metrics)}.".strip(),
            )
        return float(metrics[key])


def default_labels(model: Any) -> list[str]:
    """The label columns of a model: those parameters of its forward pass that are labels."""
    names = list(inspect.signature(inner(model).forward).parameters)
    if "start_positions" in names and "end_positions" in names:
        return ["start_positions", "end_positions"]
    return [name for name in names if "label" in name] or ["labels"]
