"""The loop of a run: epochs, steps, and where each begins again after a resumption."""

from __future__ import annotations

import logging
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from samovar.hub.atomic import write_beside
from samovar.training import checkpoints
from samovar.training.callbacks import STATE_FILE
from samovar.training.optimisation import is_causal, targets
from samovar.training.trainer import TrainOutput, checked_loss, portions

if TYPE_CHECKING:
    from samovar.training.trainer import Trainer

logger = logging.getLogger(__name__)


class Loop:
    """One run of a trainer."""

    def __init__(self, trainer: Trainer, resume: Path | None) -> None:
        self.trainer, self.args, self.accelerator = trainer, trainer.args, trainer.accelerator
        self.resume = resume
        self.loader = trainer.get_train_dataloader()
        self.sampler: Any = self.loader.sampler if hasattr(self.loader.sampler, "set_epoch") else None
        self.accumulation = self.args.gradient_accumulation_steps
        self.rows = self.args.per_device_train_batch_size * self.accelerator.num_processes
        self.total = self.planned_steps()
        # The loss of the steps since the last log, on the device: reading it would wait for each step.
        self.loss: Tensor | None = None
        self.steps_in_loss = 0
        self.loss_of_run, self.logged = 0.0, 0
        self.norm: Any = None

    def planned_steps(self) -> int:
        """Steps of the whole run."""
        if self.sampler is None:
            if self.args.max_steps < 1:
                from samovar.errors import InputError

                raise InputError("The data has no length, so that epochs cannot be counted.", "Pass max_steps.")
            self.per_epoch = self.args.max_steps
        else:
            batches = len(self.trainer.train_dataset) / self.rows
            batches = math.floor(batches) if self.args.dataloader_drop_last else math.ceil(batches)
            self.per_epoch = max(math.ceil(batches / self.accumulation), 1)
        return (
            self.args.max_steps if self.args.max_steps > 0 else math.ceil(self.args.num_train_epochs * self.per_epoch)
        )

    def prepare(self) -> None:
        """Model, optimiser and schedule where they are used, and the state of the run."""
        trainer, args = self.trainer, self.args
        trainer.model.to(self.accelerator.device)
        if args.gradient_checkpointing:
            trainer.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
        trainer.create_optimizer()
        model = torch.compile(trainer.model) if args.torch_compile else trainer.model
        self.model, trainer.optimizer = self.accelerator.prepare(model, trainer.optimizer)
        trainer.wrapped = self.model
        self.schedule = trainer.create_scheduler(self.total, trainer.optimizer)
        self.batches = self.accelerator.prepare_data_loader(self.loader, device_placement=False)
        state = trainer.state
        if self.resume is not None:
            self.restore(self.resume)
            state = trainer.state
        state.max_steps, state.num_train_epochs = self.total, math.ceil(self.total / self.per_epoch)
        state.train_batch_size = args.per_device_train_batch_size
        for name in ("logging_steps", "eval_steps", "save_steps"):
            setattr(state, name, args.steps_of(getattr(args, name), self.total))
        self.causal = is_causal(trainer.model)

    def run(self) -> TrainOutput:
        """To the end."""
        self.prepare()
        trainer, state = self.trainer, self.trainer.state
        trainer.control.should_training_stop = False
        first = state.global_step
        began = time.perf_counter()
        trainer.tell("on_train_begin")
        try:
            if self.args.eval_on_start and not first:
                trainer.evaluate()
            while state.global_step < self.total and not trainer.control.should_training_stop:
                self.epoch(state.global_step // self.per_epoch)
        except KeyboardInterrupt:
            path = self.save()
            logger.warning("Stopped; go on with trainer.train(resume_from_checkpoint=%r).", str(path))
            trainer.tell("on_train_end")
            raise
        if self.args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self.load_best(state.best_model_checkpoint)
        self.flush()
        taken = time.perf_counter() - began
        steps = state.global_step - first
        loss = self.loss_of_run / max(self.logged, 1)
        metrics = {
            "train_runtime": taken,
            "train_samples_per_second": steps * self.rows * self.accumulation / taken,
            "train_steps_per_second": steps / taken,
            "train_loss": loss,
        }
        trainer.log(metrics)
        trainer.tell("on_train_end")
        trainer.model.eval()
        return TrainOutput(state.global_step, loss, metrics)

    def epoch(self, number: int) -> None:
        """One epoch, from where the state is."""
        trainer, state = self.trainer, self.trainer.state
        done = state.global_step - number * self.per_epoch
        if self.sampler is not None:
            skipped = 0 if self.args.ignore_data_skip else done * self.accumulation * self.rows
            self.sampler.set_epoch(number, skipped)
        trainer.control.should_epoch_stop = False
        self.model.train()
        if not done:
            trainer.tell("on_epoch_begin")
        before = state.global_step
        for group in portions(iter(self.batches), self.accumulation):
            trainer.tell("on_step_begin")
            self.step(group)
            done += 1
            state.global_step += 1
            state.epoch = number + done / self.per_epoch
            trainer.tell("on_step_end")
            self.act()
            control = trainer.control
            if control.should_training_stop or control.should_epoch_stop or state.global_step >= self.total:
                break
        if state.global_step == before:
            trainer.control.should_training_stop = True  # The data ended before max_steps.
        if done >= self.per_epoch or trainer.control.should_training_stop:
            trainer.tell("on_epoch_end")
            self.act()

    def step(self, group: list[Any]) -> None:
        """One update from one or several batches: the mean over all of their labels."""
        trainer, args = self.trainer, self.args
        counts = [targets(batch, trainer.label_names, self.causal) for batch in group]
        whole = sum(counts)
        if self.accelerator.num_processes > 1:
            mine = torch.tensor(whole, device=self.accelerator.device)
            whole = int(self.accelerator.reduce(mine, "sum")) / self.accelerator.num_processes
        for place, (batch, count) in enumerate(zip(group, counts, strict=True)):
            last = place == len(group) - 1
            with self.accelerator.no_sync(self.model) if not last else nullcontext():
                with self.accelerator.autocast():
                    loss = trainer.compute_loss(self.model, trainer.placed(batch), num_items_in_batch=whole)
                loss = loss * (count / max(whole, 1)) if len(group) > 1 or self.accelerator.num_processes > 1 else loss
                self.accelerator.backward(loss)
            part = loss.detach().float()
            self.loss = part if self.loss is None else self.loss + part
            if not last:
                trainer.tell("on_substep_end")
        if args.max_grad_norm and args.max_grad_norm > 0:
            self.norm = self.accelerator.clip_grad_norm_(self.model.parameters(), args.max_grad_norm)
        trainer.tell("on_pre_optimizer_step")
        optimiser = trainer.optimizer
        assert optimiser is not None
        if self.loss is not None and self.accelerator.device.type == "cpu":
            # Found before it spoils the weights. On an accelerator each look would wait: there `flush` and `save` look.
            checked_loss(float(self.loss), trainer.state.global_step + 1, trainer.state.epoch, self.kept())
        optimiser.step()
        trainer.tell("on_optimizer_step")
        self.rate = optimiser.param_groups[0]["lr"]
        if args.lr_scheduler_type != "reduce_lr_on_plateau":
            self.schedule.step()
        optimiser.zero_grad()
        self.steps_in_loss += 1

    def kept(self) -> str:
        """Where the last whole checkpoint is."""
        last = checkpoints.get_last_checkpoint(self.args.output_dir)
        return f"The last checkpoint is {last}." if last else "There is no checkpoint yet."

    def act(self) -> None:
        """Log, evaluate and save, where a callback asked for it."""
        trainer, state, control = self.trainer, self.trainer.state, self.trainer.control
        if control.should_log:
            control.should_log = False
            self.flush(log=True)
        metrics = None
        if control.should_evaluate:
            control.should_evaluate = False
            metrics = trainer.evaluate()
            self.model.train()
            if self.args.lr_scheduler_type == "reduce_lr_on_plateau":
                self.schedule.step(trainer.best_metric_of(metrics))
            if self.args.metric_for_best_model is not None and self.is_best(trainer.best_metric_of(metrics)):
                control.should_save |= self.args.save_strategy == "best"
        if control.should_save:
            control.should_save = False
            path = self.save()
            if state.best_global_step == state.global_step:
                state.best_model_checkpoint = str(path)
            checkpoints.rotate(self.args.output_dir, self.args.save_total_limit, state.best_model_checkpoint)
            trainer.tell("on_save")

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
        total = float(self.accelerator.reduce(self.loss, "mean"))
        mean = checked_loss(
            total / self.steps_in_loss, self.trainer.state.global_step, self.trainer.state.epoch, self.kept()
        )
        self.loss_of_run, self.logged = self.loss_of_run + total, self.logged + self.steps_in_loss
        self.loss, steps = None, self.steps_in_loss
        self.steps_in_loss = 0
        if log and steps:
            logs: dict[str, Any] = {"loss": mean, "learning_rate": self.rate}
            if self.norm is not None:
                logs["grad_norm"] = float(self.norm)
            self.trainer.log(logs)

    # Checkpoints --------------------------------------------------------------------------------------------------

    def save(self) -> Path:
        """Everything that the next step depends on, as one atomic change."""
        trainer, args = self.trainer, self.args
        path = Path(args.output_dir) / checkpoints.folder_name(trainer.state.global_step)
        trainer.state.callbacks = {
            type(one).__name__: one.state_dict() for one in trainer.callbacks if one.state_dict()
        }
        if trainer.state.best_global_step == trainer.state.global_step:
            trainer.state.best_model_checkpoint = str(path)
        loss = {"sum": self.loss_of_run, "steps": self.logged}
        if self.loss is not None:
            found = checked_loss(float(self.loss), trainer.state.global_step, trainer.state.epoch, self.kept())
            loss |= {"open": found, "open_steps": self.steps_in_loss}
        if self.accelerator.is_main_process:
            with write_beside(path) as beside:
                trainer.save_model(beside)
                (beside / checkpoints.ARGUMENTS).write_text(args.to_json_string(), "utf-8")
                if not args.save_only_model:
                    assert trainer.optimizer is not None
                    torch.save(trainer.optimizer.state_dict(), beside / checkpoints.OPTIMISER)
                    torch.save(self.schedule.state_dict(), beside / checkpoints.SCHEDULE)
                    torch.save({"generators": checkpoints.random_states(), "loss": loss}, beside / checkpoints.RANDOM)
                (beside / STATE_FILE).write_text(trainer.state.to_json(), "utf-8")
        self.accelerator.wait_for_everyone()
        return path

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint as if the run had never stopped."""
        trainer = self.trainer
        trainer.state = checkpoints.read_state(path)
        self.load_weights(path)
        assert trainer.optimizer is not None
        trainer.optimizer.load_state_dict(checkpoints.read(path / checkpoints.OPTIMISER))
        self.schedule.load_state_dict(checkpoints.read(path / checkpoints.SCHEDULE))
        kept = checkpoints.read(path / checkpoints.RANDOM)
        checkpoints.set_random_states(kept["generators"])
        self.loss_of_run, self.logged = kept["loss"]["sum"], kept["loss"]["steps"]
        if "open" in kept["loss"]:
            self.loss = torch.tensor(kept["loss"]["open"], device=self.accelerator.device)
            self.steps_in_loss = kept["loss"]["open_steps"]
        for callback in trainer.callbacks:
            memory = trainer.state.callbacks.get(type(callback).__name__)
            if memory:
                callback.load_state_dict(memory)

    def load_weights(self, path: str | Path) -> None:
        """A checkpoint's weights into the model; the optimiser goes on with the same parameters."""
        model = self.accelerator.unwrap_model(self.trainer.model)
        found = type(model).from_pretrained(path)
        with torch.no_grad():
            theirs = found.state_dict()
            for name, tensor in model.state_dict().items():
                tensor.copy_(theirs[name])

    def load_best(self, path: str) -> None:
        """The best checkpoint's weights, at the end."""
        logger.info("Loading the best model, of %s.", path)
        self.load_weights(path)
