"""One trial of a search: a trainer of its own from the parts of the first, trained, measured and recorded."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from samovar.errors import InputError, SamovarError
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import DefaultFlowCallback, PrinterCallback, ProgressCallback, TrainerCallback
from samovar.training.report import ReportCallback
from samovar.training.search.spaces import check_names, finite, objectives, with_values
from samovar.training.trackers import Tracker
from samovar.training.trainer import Trainer

# What a trainer is made of, and its trial's trainer too.
PARTS = (
    "data_collator", "train_dataset", "eval_dataset", "processing_class", "compute_loss_func", "compute_metrics",
    "preprocess_logits_for_metrics",
)  # fmt: skip
# What each trainer has of its own: never taken over by a trial's, nor sent to another process.
OWN = ("accelerator", "model", "wrapped", "optimizer", "lr_scheduler", "state", "control", "callbacks")
# What each trainer makes for itself.
SHOWN = (DefaultFlowCallback, ProgressCallback, PrinterCallback, ReportCallback, Tracker)


class SearchError(SamovarError, RuntimeError):
    """A search came to no result."""


class BestRun(NamedTuple):
    """The best trial, or one of the best where there are several objectives.

    `run_id` is part of its folder's name, `objective` a number or a list of numbers, `run_summary` what the library
    behind the search knows of all trials: Optuna's study, Ray's result grid, the name of the group of W&B runs.
    """

    run_id: str
    objective: float | list[float]
    hyperparameters: dict[str, Any]
    run_summary: Any = None


@dataclass
class TrialRecord:
    """What became of a trial. `state` is "complete", "pruned" or "failed"."""

    run_id: str
    state: str
    objectives: list[float] | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    seconds: float = math.nan
    error: str = ""


class Watch(TrainerCallback):
    """Gathers what each evaluation measures, and hands it on once all evaluation sets have been measured."""

    def __init__(self, sets: list[str], report: Callable[[dict[str, float], int, bool], None] | None) -> None:
        self.sets, self.report = sets, report
        self.metrics: dict[str, float] = {}
        self.step, self.count = -1, 0

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, metrics: Any = None, **k: Any) -> None:
        """Report the evaluation with its number; the report may end the trial by an exception."""
        if state.global_step != self.step:
            self.metrics, self.step = {}, state.global_step
        before = self.whole()
        self.metrics |= metrics or {}
        if self.whole() and not before:
            self.count += 1
            if self.report is not None:
                self.report(dict(self.metrics), self.count, state.global_step >= state.max_steps)

    def whole(self) -> bool:
        """Whether each evaluation set is measured at this step."""
        names = [f"eval_{name}_" for name in self.sets] or ["eval_"]
        return all(any(key.startswith(name) for key in self.metrics) for name in names)


@dataclass
class Recipe:
    """What every trial of a search has in common; it can be sent to another process."""

    kind: type[Trainer]
    args: TrainingArguments
    parts: dict[str, Any]
    extra: dict[str, Any]
    callbacks: list[TrainerCallback]
    model_init: Callable[..., Any]
    space: Callable[[Any], Any]
    compute_objective: Callable[[dict[str, float]], Any]
    directions: list[str]
    hp_name: Callable[[Any], str] | None = None

    @classmethod
    def of(cls, trainer: Trainer, **more: Any) -> Recipe:
        """The recipe of a trainer. Raises `InputError` where it lacks what a search needs."""
        if trainer.model_init is None:
            raise InputError(
                "A search needs a fresh model for each trial, but the Trainer was given model.",
                "Pass model_init instead, a function that returns one.",
            )
        if trainer.eval_dataset is None:
            raise InputError("A search compares evaluations, but there is no eval_dataset.", "Pass one to the Trainer.")
        if trainer.train_dataset is None:
            raise InputError("There is nothing to train on.", "Pass train_dataset.")
        if trainer.accelerator.num_processes > 1:
            raise InputError(
                f"This search was started in {trainer.accelerator.num_processes} processes, each trial runs in one.",
                "Start it without a launcher; trials run side by side with n_jobs or with Ray.",
            )
        extra = {} if type(trainer) is Trainer else {k: v for k, v in vars(trainer).items() if k not in OWN}
        return cls(
            kind=type(trainer),
            args=dataclasses.replace(trainer.args, output_dir=str(Path(trainer.args.output_dir).resolve())),
            parts={name: getattr(trainer, name) for name in PARTS},
            extra=extra,
            callbacks=[one for one in trainer.callbacks if not isinstance(one, SHOWN)],
            model_init=trainer.model_init,
            **more,
        )

    @property
    def output_dir(self) -> Path:
        """The folder of the whole search."""
        return Path(self.args.output_dir)

    def model_reads_trial(self) -> bool:
        """Whether `model_init` takes the trial."""
        return len(inspect.signature(self.model_init).parameters) > 0

    def check(self, values: Any) -> dict[str, Any]:
        """The values of a space, if they can be applied. Raises `InputError`."""
        check_names(values, self.args, self.model_reads_trial())
        return dict(values)

    def folder(self, run_id: str, trial: Any) -> Path:
        """Where a trial writes; a name that was used before gets the trial's id."""
        if self.hp_name is None:
            return self.output_dir / f"run-{run_id}"
        name = str(self.hp_name(trial))
        if not name or name in (".", "..") or Path(name).name != name:
            raise InputError(f"hp_name gave {name!r}, which is no folder's name.", "Return one without slashes.")
        folder = self.output_dir / name
        return self.output_dir / f"{name}-{run_id}" if folder.exists() else folder

    def trainer(self, values: Mapping[str, Any], folder: Path, trial: Any, watch: Watch) -> Trainer:
        """A trainer of its own, as the first was made: training with these arguments again gives the same model."""
        fresh = self.kind.__new__(self.kind)
        callbacks = [*(copied(one) for one in self.callbacks), watch]
        args = with_values(self.args, values, output_dir=str(folder), run_name=folder.name)
        init = functools.partial(self.model_init, trial) if self.model_reads_trial() else self.model_init
        # A subclass may take other arguments; what it adds to the first trainer is copied below.
        Trainer.__init__(fresh, args=args, model_init=init, callbacks=callbacks, **self.parts)
        for name, value in self.extra.items():
            vars(fresh).setdefault(name, value)
        return fresh

    def run(
        self,
        values: Mapping[str, Any],
        folder: Path,
        trial: Any,
        report: Callable[[list[float], int, bool], None] | None = None,
        more_callbacks: tuple[TrainerCallback, ...] = (),
    ) -> list[float]:
        """Train and measure. `report` gets the objectives, an evaluation's number and whether training is over.

        Raises `NumericError` if the objective is no number, and what training raises.
        """
        compute, count = self.compute_objective, len(self.directions)

        def told(metrics: dict[str, float], number: int, last: bool) -> None:
            found = objectives(compute, metrics, count)
            # An early NaN, as of a correlation of equal predictions, may pass.
            if report is not None and not any(map(math.isnan, found)):
                report(found, number, last)

        collect()
        with precision_of_its_own():
            return self.measured(values, folder, trial, told, more_callbacks)

    def measured(
        self,
        values: Mapping[str, Any],
        folder: Path,
        trial: Any,
        told: Callable[[dict[str, float], int, bool], None],
        more_callbacks: tuple[TrainerCallback, ...],
    ) -> list[float]:
        """Train, and the objectives of the last evaluation."""
        compute, count = self.compute_objective, len(self.directions)
        sets = list(self.parts["eval_dataset"]) if isinstance(self.parts["eval_dataset"], Mapping) else []
        watch = Watch(sets, told)
        trainer = self.trainer(values, folder, trial, watch)
        for callback in more_callbacks:
            trainer.add_callback(callback)
        trainer.remove_callback(ReportCallback)  # The search has a report of its own.
        trainer.train()
        watch.report = None
        if watch.step != trainer.state.global_step or not watch.whole() or trainer.args.load_best_model_at_end:
            watch.metrics = dict(trainer.evaluate())
        return finite(objectives(compute, watch.metrics, count), watch.metrics)


@contextmanager
def precision_of_its_own() -> Iterator[None]:
    """Let a trial choose its precision, and leave the first trainer with its own.

    `accelerate` keeps one state for all accelerators of a process, and refuses one that differs.
    """
    from accelerate.state import AcceleratorState, GradientState  # type: ignore[import-untyped]

    kept = [(kind._shared_state, dict(kind._shared_state)) for kind in (AcceleratorState, GradientState)]
    for state, _ in kept:
        state.clear()
    try:
        yield
    finally:
        for state, before in kept:
            state.clear()
            state.update(before)


def collect() -> None:
    """Free the models of trials that are over: trainers are full of cycles, and so is the error that ended one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def copied(callback: TrainerCallback) -> TrainerCallback:
    """A callback with memory of its own; itself where it holds what cannot be copied, such as an open file."""
    try:
        return copy.deepcopy(callback)
    except TypeError:
        return callback


def why(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}".rstrip(": ")


def best_of(records: list[TrialRecord], directions: list[str], summary: Any) -> BestRun | list[BestRun]:
    """The best finished trial; with several directions, all that no other beats. Raises `SearchError`."""
    done = [one for one in records if one.state == "complete" and one.objectives is not None]
    if not done:
        reasons = list(dict.fromkeys(one.error for one in records if one.error))[:3]
        counts = {state: sum(one.state == state for one in records) for state in ("failed", "pruned")}
        text = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none was started"
        raise SearchError(
            f"No trial was finished: {text}.",
            f"Causes: {'; '.join(reasons)}" if reasons else "Let more trials run, or prune less.",
        )
    signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
    costs = [[sign * value for sign, value in zip(signs, one.objectives or [], strict=True)] for one in done]
    if len(directions) == 1:
        place = min(range(len(done)), key=lambda index: costs[index][0])
        return run_of(done[place], summary)
    front = [one for one, cost in zip(done, costs, strict=True) if not any(beats(other, cost) for other in costs)]
    return [run_of(one, summary) for one in front]


def beats(one: list[float], other: list[float]) -> bool:
    """Whether one is nowhere worse and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def run_of(record: TrialRecord, summary: Any) -> BestRun:
    """A finished trial as the result of a search."""
    found = record.objectives or []
    return BestRun(record.run_id, found[0] if len(found) == 1 else found, record.hyperparameters, summary)
