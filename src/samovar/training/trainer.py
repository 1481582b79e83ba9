"""`Trainer`: a model, data and arguments → a trained model, its checkpoints and its metrics."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from samovar.errors import InputError, NumericError, did_you_mean
from samovar.extras import require
from samovar.training import checkpoints
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import (
    STATE_FILE,
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from samovar.training.collators import DataCollatorWithPadding, default_data_collator, trimmed
from samovar.training.data import Columns, EpochSampler, accepted_columns, as_dataset, loader, row_lengths
from samovar.training.evaluation import EvalLoopOutput, EvalPrediction, PredictionOutput, Spool
from samovar.training.optimisation import is_causal, make_optimiser, smoothed_loss
from samovar.training.schedules import get_scheduler

logger = logging.getLogger(__name__)


class TrainOutput(NamedTuple):
    """What `train` gives."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Trainer:
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
        require("accelerate", "Training")
        from accelerate import Accelerator, DataLoaderConfiguration  # type: ignore[import-untyped]
        from accelerate.utils import set_seed  # type: ignore[import-untyped]

        if self.args.full_determinism:
            torch.use_deterministic_algorithms(True)
        set_seed(self.args.seed)
        self.accelerator = Accelerator(
            mixed_precision=self.args.mixed_precision,
            cpu=self.args.use_cpu,
            step_scheduler_with_optimizer=False,
            dataloader_config=DataLoaderConfiguration(use_seedable_sampler=False),
        )
        self.model_init = model_init
        self.model: Any = model if model_init is None else model_init()
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
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizer, self.lr_scheduler = optimizers
        self.label_names = list(self.args.label_names or default_labels(self.model))
        self.state, self.control = TrainerState(), TrainerControl()
        self.state.is_world_process_zero = self.accelerator.is_main_process
        self.state.is_local_process_zero = self.accelerator.is_local_main_process
        quiet = self.args.disable_tqdm
        shown: TrainerCallback = PrinterCallback() if quiet else ProgressCallback()
        self.callbacks: list[TrainerCallback] = [DefaultFlowCallback(), shown]
        for callback in callbacks or ():
            self.add_callback(callback)
        self.wrapped: Any = None
        self.tell("on_init_end")

    # Training -----------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | Path | bool | None = None, trial: Any = None) -> TrainOutput:
        """Train to the end; `resume_from_checkpoint` is a checkpoint's folder, or True for the newest.

        Ctrl-C saves a checkpoint and says how to go on. Raises `InputError` for data that the model cannot read,
        `NumericError` when a loss is not finite, with the last checkpoint as it was.
        """
        from samovar.training.loop import Loop

        if self.train_dataset is None:
            raise InputError("There is nothing to train on.", "Pass train_dataset.")
        if self.model_init is not None:
            self.model = self.model_init() if trial is None else self.model_init(trial)
            self.optimizer = self.lr_scheduler = None
        resume = resume_from_checkpoint or self.args.resume_from_checkpoint
        return Loop(self, checkpoints.find(resume, self.args.output_dir) if resume else None).run()

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
            loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs[0]
        if loss is None:
            raise InputError(
                f"{type(self.model).__name__} gave no loss.",
                f"Its data needs one of the columns {', '.join(self.label_names)}.",
            )
        return (loss, outputs) if return_outputs else loss

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
        return Columns(self.data_collator, accepted_columns(self.model, self.label_names))

    def get_train_dataloader(self) -> Any:
        """Batches of the training data, on the CPU; its sampler takes epoch and place."""
        args, data = self.args, self.train_dataset
        size = args.per_device_train_batch_size
        if not hasattr(data, "__len__"):
            return loader(data, self.collate(), args, size)
        lengths = row_lengths(data, args.length_column_name) if args.group_by_length else None
        seed = args.seed if args.data_seed is None else args.data_seed
        sampler = EpochSampler(len(data), seed, size * self.accelerator.num_processes, lengths)
        return loader(data, self.collate(), args, size, sampler)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Batches of the data for evaluation, in its order."""
        data = self.eval_dataset if eval_dataset is None else as_dataset(eval_dataset, "eval_dataset")
        if data is None:
            raise InputError("There is nothing to evaluate on.", "Pass eval_dataset.")
        return loader(data, self.collate(), self.args, self.args.per_device_eval_batch_size)

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
        self, eval_dataset: Any = None, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss, metrics and speed on the evaluation data; of several sets under their names."""
        data = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(data, Mapping):
            found: dict[str, float] = {}
            for name, one in data.items():
                found |= self.evaluate(one, ignore_keys, f"{metric_key_prefix}_{name}")
            return found
        output = self.evaluation_loop(self.get_eval_dataloader(data), ignore_keys, metric_key_prefix)
        self.log(output.metrics)
        self.tell("on_evaluate", metrics=output.metrics)
        return output.metrics

    def predict(
        self, test_dataset: Any, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Predictions (mapped from disk), labels, and metrics where there are labels."""
        output = self.evaluation_loop(self.get_test_dataloader(test_dataset), ignore_keys, metric_key_prefix)
        self.tell("on_predict", metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    def evaluation_loop(
        self, dataloader: Any, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "eval"
    ) -> EvalLoopOutput:
        """All batches through the model; predictions go to disk, so that memory stays flat."""
        model = self.wrapped if self.wrapped is not None else self.model.to(self.accelerator.device)
        training = model.training
        model.eval()
        batches = self.accelerator.prepare_data_loader(dataloader, device_placement=False)
        wants = self.compute_metrics is not None or metric_key_prefix == "test"
        predictions, labels = Spool(), Spool()
        total, weight, samples = 0.0, 0, 0
        began = time.perf_counter()
        with torch.no_grad():
            for batch in batches:
                loss, logits, wanted = self.prediction_step(model, batch, not wants, ignore_keys)
                rows = next((len(value) for value in batch.values() if isinstance(value, Tensor)), 0)
                if loss is not None:
                    # The loss of data that is divided otherwise would be the same: each row counts alike.
                    parts = self.accelerator.gather_for_metrics(loss.detach().float().repeat(rows))
                    total, weight = total + float(parts.sum()), weight + len(parts)
                    samples += len(parts)
                else:
                    samples += rows * self.accelerator.num_processes
                if logits is not None and self.preprocess_logits_for_metrics is not None:
                    logits = self.preprocess_logits_for_metrics(logits, wanted)
                for spool, value in ((predictions, logits), (labels, wanted)):
                    if value is not None:
                        spool.add(self.gathered(value))
                self.tell("on_prediction_step")
        model.train(training)
        taken = time.perf_counter() - began
        metrics: dict[str, float] = {} if not weight else {"loss": total / weight}
        found, truth = predictions.result(), labels.result()
        if self.compute_metrics is not None and found is not None and truth is not None:
            metrics |= {key: plain(value) for key, value in self.compute_metrics(EvalPrediction(found, truth)).items()}
        metrics |= {"runtime": taken, "samples_per_second": samples / taken, "steps_per_second": len(batches) / taken}
        named = {f"{metric_key_prefix}_{key.removeprefix('eval_')}": value for key, value in metrics.items()}
        return EvalLoopOutput(found, truth, named, samples)

    def gathered(self, value: Any) -> Any:
        """A batch's values from all processes, padded to one width; those of filled-up rows left out."""
        if self.accelerator.num_processes > 1:
            value = self.accelerator.pad_across_processes(value, dim=1, pad_index=-100)
        return self.accelerator.gather_for_metrics(value)

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
        if prediction_loss_only or self.args.prediction_loss_only:
            return loss, None, None
        skipped = {"loss", *(ignore_keys or ())}
        parts = (
            tuple(value for key, value in outputs.items() if key not in skipped and isinstance(value, Tensor))
            if isinstance(outputs, Mapping)
            else tuple(outputs[1:] if labels else outputs)
        )
        wanted = labels[0] if len(labels) == 1 else tuple(labels) or None
        return loss, parts[0] if len(parts) == 1 else parts, wanted

    # Saving and telling -------------------------------------------------------------------------------------------

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """The model and its tokenizer or processor, as an ordinary checkpoint folder."""
        if self.accelerator.is_main_process:
            folder = Path(output_dir or self.args.output_dir)
            self.accelerator.unwrap_model(self.model).save_pretrained(folder)
            if hasattr(self.processing_class, "save_pretrained"):
                self.processing_class.save_pretrained(folder)
        self.accelerator.wait_for_everyone()

    def save_state(self) -> None:
        """`trainer_state.json` into the run's folder."""
        from samovar.hub.atomic import write_file

        if self.accelerator.is_main_process:
            Path(self.args.output_dir).mkdir(parents=True, exist_ok=True)
            write_file(Path(self.args.output_dir) / STATE_FILE, self.state.to_json())

    def log(self, logs: dict[str, Any]) -> None:
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

    def is_world_process_zero(self) -> bool:
        """Whether this is the first of all processes."""
        return bool(self.accelerator.is_main_process)

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
    import inspect

    names = list(inspect.signature(getattr(model, "module", model).forward).parameters)
    if "start_positions" in names and "end_positions" in names:
        return ["start_positions", "end_positions"]
    return [name for name in names if "label" in name] or ["labels"]


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python number."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def checked_loss(value: float, step: int, epoch: float, names: str) -> float:
    """The loss, if it is finite. Raises `NumericError`."""
    if not math.isfinite(value):
        raise NumericError(
            f"The loss of step {step} (epoch {epoch:.2f}) is {value}.",
            f"{names} Try a smaller learning_rate, bf16 in place of fp16, or look at that batch.",
        )
    return value


def portions(batches: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Batches in groups that are accumulated."""
    while group := list(islice(batches, size)):
        yield group
