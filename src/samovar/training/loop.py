"""The loop of a run: epochs, steps, and where each begins again after a resumption."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from samovar.errors import InputError, NumericError
from samovar.training import checkpoints
from samovar.training.checks import Interrupts
from samovar.training.data import EpochSampler
from samovar.training.optimisation import is_causal, targets
from samovar.training.resumption import restore, save
from samovar.training.trainer import TrainOutput

if TYPE_CHECKING:
    from samovar.training.trainer import Trainer

logger = logging.getLogger(__name__)


class Loop:
    """One run of a trainer."""

    def __init__(self, trainer: Trainer, resume: Path | None) -> None:
        self.trainer, self.args, self.accelerator = trainer, trainer.args, trainer.accelerator
        self.resume = resume
        self.loader = trainer.get_train_dataloader()
        self.sampler = self.loader.sampler if isinstance(self.loader.sampler, EpochSampler) else None
        self.accumulation = self.args.gradient_accumulation_steps
        self.rows = self.args.per_device_train_batch_size * self.accelerator.num_processes
        # A stream of unknown length is one epoch, begun again as often as its steps need it.
        self.endless = False
        self.total = self.planned_steps()
        # Sums since the last log, on the device: reading them would wait for each step.
        self.loss: Tensor | None = None
        self.steps_in_loss = 0
        self.loss_of_run, self.logged = 0.0, 0
        self.norm: Any = None
        self.rate = 0.0
        self.interrupts = Interrupts()
        # Several processes agree on when to stop, so that none waits for another.
        self.stopping = False

    def planned_steps(self) -> int:
        """Steps of the whole run."""
        try:
            batches = len(self.loader) / (1 if self.sampler is not None else self.accelerator.num_processes)
        except TypeError:
            if self.args.max_steps < 1:
                raise InputError("The data has no length: epochs cannot be counted.", "Pass max_steps.") from None
            self.endless, self.per_epoch = True, self.args.max_steps
            return self.args.max_steps
        if self.sampler is not None:
            batches = self.sampler.count / self.rows
        batches = math.floor(batches) if self.args.dataloader_drop_last else math.ceil(batches)
        if not batches:
            raise InputError("The data does not fill one batch.", "Pass dataloader_drop_last=False.")
        self.per_epoch = math.ceil(batches / self.accumulation)
        if self.args.max_steps > 0:
            return self.args.max_steps
        return math.ceil(self.args.num_train_epochs * self.per_epoch)

    def prepare(self) -> None:
        """Model, optimiser and schedule where they are used, and the state of the run."""
        trainer, args = self.trainer, self.args
        trainer.model.to(self.accelerator.device)
        if args.gradient_checkpointing:
            trainer.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
        trainer.create_optimizer()
        model = trainer.model
        if args.torch_compile:
            model = torch.compile(model, backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)
        self.model, trainer.optimizer = self.accelerator.prepare(model, trainer.optimizer)
        self.schedule = trainer.create_scheduler(self.total, trainer.optimizer)
        self.batches = self.accelerator.prepare_data_loader(self.loader, device_placement=False)
        if self.resume is not None:
            restore(self, self.resume)
        state = trainer.state
        state.max_steps, state.num_train_epochs = self.total, math.ceil(self.total / self.per_epoch)
        state.train_batch_size = args.per_device_train_batch_size
        for name in ("logging_steps", "eval_steps", "save_steps"):
            setattr(state, name, args.steps_of(getattr(args, name), self.total))
        self.causal = is_causal(trainer.model)
        # From here on evaluation uses what is trained, as it was wrapped.
        trainer.wrapped = self.model

    def run(self) -> TrainOutput:
        """To the end."""
        trainer = self.trainer
        self.prepare()
        state = trainer.state
        trainer.control.should_training_stop = False
        first, began = state.global_step, time.perf_counter()
        trainer.tell("on_train_begin")
        try:
            with self.interrupts:
                if self.args.eval_on_start and not first:
                    trainer.evaluate()
                number = math.floor(state.epoch)
                while number < state.num_train_epochs and not self.ended():
                    self.epoch(number)
                    number += 1
            self.flush()
            if self.args.load_best_model_at_end and state.best_model_checkpoint is not None:
                logger.info("Loading the best model, of %s.", state.best_model_checkpoint)
                checkpoints.load_weights(trainer.model, state.best_model_checkpoint)
            output = self.output(first, time.perf_counter() - began)
            trainer.log(output.metrics)
        finally:
            # Bars and trackers are closed however the run ends.
            trainer.tell("on_train_end")
            trainer.model.eval()
        return output

    def ended(self) -> bool:
        """Whether all steps are done, or a callback has asked for the end."""
        return self.trainer.state.global_step >= self.total or self.trainer.control.should_training_stop

    def output(self, first: int, taken: float) -> TrainOutput:
        """What the run came to."""
        steps = self.trainer.state.global_step - first
        loss = self.loss_of_run / max(self.logged, 1)
        rows = steps * self.rows * self.accumulation
        metrics = {
            "train_runtime": taken,
            "train_samples_per_second": rows / taken,
            "train_steps_per_second": steps / taken,
            "train_loss": loss,
        }
        return TrainOutput(self.trainer.state.global_step, loss, metrics)

    def epoch(self, number: int) -> None:
        """One epoch, from where the state is."""
        trainer, state = self.trainer, self.trainer.state
        done = before = round((state.epoch - number) * self.per_epoch)
        control = trainer.control
        control.should_epoch_stop = False
        self.model.train()
        if not done:
            trainer.tell("on_epoch_begin")
        for group in portions(self.batches_from(number, done * self.accumulation), self.accumulation):
            trainer.tell("on_step_begin")
            self.step(group)
            done += 1
            state.global_step += 1
            state.epoch = number + done / self.per_epoch
            trainer.tell("on_step_end")
            self.act()
            if self.stopping or (self.interrupts.asked and self.accelerator.num_processes == 1):
                self.stop()
            control = trainer.control
            if control.should_epoch_stop or self.ended():
                break
        if done == before:
            if not state.global_step:
                raise InputError("There is no row to train on.", "Look at train_dataset.")
            logger.warning("The data ended after step %d of %d.", state.global_step, self.total)
            control.should_training_stop = True
        if done >= self.per_epoch or control.should_training_stop or control.should_epoch_stop:
            if control.should_epoch_stop:
                state.epoch = float(number + 1)
            trainer.tell("on_epoch_end")
            self.act()

    def batches_from(self, epoch: int, skipped: int) -> Iterator[Any]:
        """The batches of an epoch but for those that were learned before."""
        skipped = 0 if self.args.ignore_data_skip else skipped
        if self.sampler is not None:
            self.sampler.begin(epoch, skipped * self.rows)
            return iter(self.batches)
        if self.endless:
            return islice(repeated(self.batches), skipped, None)
        # The loader tells the data set its count of epochs, where that wants to know.
        self.batches.iteration = epoch
        return islice(iter(self.batches), skipped, None)

    def stop(self) -> None:
        """After Ctrl-C: save, say how to go on, and raise `KeyboardInterrupt`."""
        path = self.save()
        raise KeyboardInterrupt(
            f"Stopped after step {self.trainer.state.global_step}. Go on with"
            f" trainer.train(resume_from_checkpoint={str(path)!r})."
        )

    def step(self, group: list[Any]) -> None:
        """One update from one or several batches: the mean over all of their labels."""
        trainer, args = self.trainer, self.args
        counts = [targets(batch, trainer.label_names, self.causal) for batch in group]
        whole: Any = sum(counts)
        several = self.accelerator.num_processes
        if several > 1:
            # Ctrl-C reaches the processes at different steps; they stop after the same one.
            both = torch.tensor([whole, int(self.interrupts.asked)], device=self.accelerator.device)
            both = self.accelerator.reduce(both, "sum").tolist()
            whole, self.stopping = both[0] / several, both[1] > 0
        sums_up = trainer.compute_loss_func is not None
        part: Tensor | None = None
        for place, (batch, count) in enumerate(zip(group, counts, strict=True)):
            last = place == len(group) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = trainer.training_step(self.model, batch, whole)
                if (len(group) > 1 or several > 1) and not sums_up:
                    loss = loss * (count / max(whole, 1))
                self.accelerator.backward(loss)
            value = loss.detach().float()
            part = value if part is None else part + value
            if not last:
                trainer.tell("on_substep_end")
        assert part is not None
        if self.accelerator.device.type == "cpu":
            # Found before it spoils the weights. On an accelerator each look would wait: there `flush` and `save` look.
            self.checked(float(part), group)
        if args.max_grad_norm and args.max_grad_norm > 0:
            self.norm = self.accelerator.clip_grad_norm_(self.model.parameters(), args.max_grad_norm)
        trainer.tell("on_pre_optimizer_step")
        optimiser = trainer.optimizer
        assert optimiser is not None
        self.rate = optimiser.param_groups[0]["lr"]
        optimiser.step()
        trainer.tell("on_optimizer_step")
        # With fp16 a step whose gradients overflow is left out; then the rate stays as well.
        if args.lr_scheduler_type != "reduce_lr_on_plateau" and not self.accelerator.optimizer_step_was_skipped:
            self.schedule.step()
        optimiser.zero_grad()
        self.loss = part if self.loss is None else self.loss + part
        self.steps_in_loss += 1

    def checked(self, value: float, group: list[Any] | None = None) -> float:
        """The loss, if it is finite. Raises `NumericError` that names step, batch and the last checkpoint."""
        if math.isfinite(value):
            return value
        state = self.trainer.state
        step = state.global_step + (group is not None)
        where = f"step {step} (epoch {step / self.per_epoch:.2f})"
        if group is not None:
            place = (step - 1) % self.per_epoch * self.accumulation
            where += f", batch {place + 1} of the epoch{self.rows_at(place, len(group))}"
        last = checkpoints.get_last_checkpoint(self.args.output_dir)
        raise NumericError(
            f"The loss of {where} is {value}.",
            (f"The last checkpoint is {last}. " if last else "There is no checkpoint yet. ")
            + "Look at that batch, or try a smaller learning_rate or bf16 in place of fp16.",
        )

    def rows_at(self, place: int, batches: int) -> str:
        """`, train_dataset rows 7, 3, …`: the rows of batches of this epoch."""
        if self.sampler is None:
            return ""
        rows = self.sampler.order()[place * self.rows :][: batches * self.rows]
        return f", rows {', '.join(map(str, rows[:16]))}{' …' if len(rows) > 16 else ''} of train_dataset"

    def act(self) -> None:
        """Log, evaluate and save, where a callback asked for it."""
        trainer, state, control = self.trainer, self.trainer.state, self.trainer.control
        if control.should_log:
            control.should_log = False
            self.flush(log=True)
        if control.should_evaluate:
            control.should_evaluate = False
            self.judge(trainer.evaluate())
            self.model.train()
        if control.should_save:
            control.should_save = False
            path = self.save()
            if state.best_global_step == state.global_step:
                state.best_model_checkpoint = str(path)
            checkpoints.rotate(self.args.output_dir, self.args.save_total_limit, state.best_model_checkpoint)
            trainer.tell("on_save")

    def judge(self, metrics: dict[str, float]) -> None:
        """What follows from an evaluation: the rate on a plateau, and whether this model is the best."""
        plateau = self.args.lr_scheduler_type == "reduce_lr_on_plateau"
        if not plateau and self.args.metric_for_best_model is None:
            return
        try:
            value = self.trainer.best_metric_of(metrics)
        except InputError:
            self.save()  # What was learned until here is not lost by a wrong name.
            raise
        if plateau:
            self.schedule.step(value)
        if self.args.metric_for_best_model is not None and self.is_best(value):
            self.trainer.control.should_save |= self.args.save_strategy == "best"

    def is_best(self, value: float) -> bool:
        """Whether a value is the best so far; remembered if it is."""
        state = self.trainer.state
        sign = 1 if self.args.greater_is_better else -1
        if state.best_metric is not None and not sign * value > sign * state.best_metric:
            return False
        state.best_metric, state.best_global_step = value, state.global_step
        return True

    def flush(self, log: bool = False) -> None:
        """Read the loss since the last time: the one place where the device is waited for."""
        if self.loss is None or not self.steps_in_loss:
            return
        total = self.checked(float(self.accelerator.reduce(self.loss, "mean")))
        steps = self.steps_in_loss
        self.loss_of_run, self.logged = self.loss_of_run + total, self.logged + steps
        self.loss, self.steps_in_loss = None, 0
        if log:
            logs: dict[str, Any] = {"loss": total / steps, "learning_rate": self.rate}
            if self.norm is not None:
                logs["grad_norm"] = float(self.norm)
            self.trainer.log(logs)

    def save(self) -> Path:
        """A checkpoint of this step; its folder."""
        return save(self)


def portions(batches: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Batches in groups that are accumulated."""
    while group := list(islice(batches, size)):
        yield group


def repeated(batches: Any) -> Iterator[Any]:
    """The batches of a stream, from its beginning again after its end, until there is none."""
    while True:
        found = False
        for batch in batches:
            found = True
            yield batch
        if not found:
            return
