"""A search with Optuna: a study in SQLite that a stopped search goes on with, and pruning at each evaluation."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from samovar.errors import InputError
from samovar.extras import require
from samovar.training.search.backends import checked_options
from samovar.training.search.trials import Recipe, TrialRecord, why

logger = logging.getLogger(__name__)

STUDY, FILE = "search", "study.db"
OPTIONS = (
    "sampler", "pruner", "study_name", "storage", "load_if_exists", "timeout", "n_jobs", "gc_after_trial",
    "callbacks", "show_progress_bar",
)  # fmt: skip
WAIT = 100  # Seconds that a process waits for another one to finish writing into SQLite.


@dataclass
class Job:
    """What runs a study's trials, here or in another process."""

    recipe: Recipe
    study_name: str
    storage: Any
    sampler: Any = None
    pruner: Any = None
    callbacks: list[Callable[..., Any]] = field(default_factory=list)
    gc_after_trial: bool = False

    def study(self) -> Any:
        """The study, opened."""
        import optuna

        return optuna.load_study(
            study_name=self.study_name, storage=opened(self.storage), sampler=self.sampler, pruner=self.pruner
        )

    def seeded(self, study: Any, place: int) -> None:
        """A default sampler for the trial at a place of the search, so that a stop before it changes nothing.

        A sampler that the caller gave is left as it is.
        """
        import numpy as np
        import optuna

        if self.sampler is None:
            seed = int(np.random.SeedSequence([self.recipe.args.seed, place]).generate_state(1)[0])
            study.sampler = optuna.samplers.TPESampler(seed=seed)

    def objective(self, trial: Any) -> Any:
        """Run one trial; what it was and why it failed stay with it."""
        import optuna

        recipe = self.recipe
        single = len(recipe.directions) == 1

        def report(values: list[float], number: int, last: bool) -> None:
            # Steps of trials with other batch sizes do not match, the numbers of their evaluations do.
            if single:
                trial.report(values[0], number)
                if not last and trial.should_prune():
                    raise optuna.TrialPruned(f"Pruned at evaluation {number}.")

        try:
            values = recipe.check(recipe.space(trial))
            folder = recipe.folder(str(trial.number), trial)
            trial.set_user_attr("folder", folder.name)
            trial.set_user_attr("values", {name: storable(value) for name, value in values.items()})
            found = recipe.run(values, folder, trial, report)
        except optuna.TrialPruned:
            raise
        except KeyboardInterrupt:
            trial.set_user_attr("interrupted", True)
            raise
        except Exception as error:
            trial.set_user_attr("error", why(error))
            raise
        return found[0] if single else found


def search(recipe: Recipe, n_trials: int, options: dict[str, Any]) -> tuple[list[TrialRecord], Any, dict[str, Any]]:
    """Run the trials that are left of `n_trials`; all trials, the study, and the importance of each argument."""
    optuna = require("optuna", "A search with Optuna")
    checked_options(options, OPTIONS, "optuna")
    kept = "storage" not in options
    url = f"sqlite:///{recipe.output_dir / FILE}"
    storage = url if kept else options["storage"]
    jobs = options.get("n_jobs", 1)
    jobs = (os.cpu_count() or 1) if jobs == -1 else jobs
    if jobs < 1:
        raise InputError(f"n_jobs={jobs}: a number above 0, or -1 for one for each core, was expected.", "Say 1.")
    rehearsed = rehearse(recipe)
    if jobs > 1 and (storage is None or isinstance(storage, optuna.storages.InMemoryStorage)):
        raise InputError(
            "Trials of several processes cannot share a study in memory.", "Leave storage out, or give a database."
        )
    study = optuna.create_study(
        storage=opened(storage),
        sampler=options.get("sampler"),
        pruner=options.get("pruner"),
        study_name=options.get("study_name", STUDY if kept else None),
        directions=[optuna.study.StudyDirection[one.upper()] for one in recipe.directions],
        load_if_exists=options.get("load_if_exists", kept),
    )
    check_study(study, recipe, rehearsed, str(storage))
    job = Job(
        recipe,
        study.study_name,
        storage,
        options.get("sampler"),
        study.pruner,
        list(options.get("callbacks") or ()),
        bool(options.get("gc_after_trial", False)),
    )
    if kept:
        take_over(study)
    over = len(counted(study))
    left = n_trials - over
    if over:
        logger.info("%d of %d trials are there already, %d are left.", over, n_trials, max(left, 0))
    if left > 0 and jobs > 1:
        from samovar.training.search.workers import run_in_processes

        run_in_processes(job, study, min(jobs, left), left, over, options.get("timeout"))
    elif left > 0:
        job.seeded(study, over)
        study.optimize(
            job.objective,
            n_trials=left,
            timeout=options.get("timeout"),
            catch=(Exception,),
            callbacks=[lambda study, trial: job.seeded(study, len(counted(study))), *job.callbacks],
            gc_after_trial=job.gc_after_trial,
            show_progress_bar=bool(options.get("show_progress_bar", False)),
        )
    return records(study), study, importances(study, recipe.directions)


def opened(storage: Any) -> Any:
    """A storage that several processes can write to. SQLite alone would give up where another process writes."""
    import optuna

    if isinstance(storage, str) and storage.startswith("sqlite"):
        return optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": {"timeout": WAIT}})
    return storage


def rehearse(recipe: Recipe) -> Any:
    """One trial of the space on paper, so that a wrong name ends the search before it begins."""
    import optuna

    with quiet(optuna):
        trial = optuna.create_study(
            directions=[optuna.study.StudyDirection[one.upper()] for one in recipe.directions],
            sampler=optuna.samplers.RandomSampler(seed=recipe.args.seed),
        ).ask()
        recipe.check(recipe.space(trial))
    return trial


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's messages below warnings."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def check_study(study: Any, recipe: Recipe, rehearsed: Any, where: str) -> None:
    """Raise `InputError` if a study that is gone on with was another search."""
    from optuna.distributions import check_distribution_compatibility

    advice = "Choose another output_dir or study_name, or remove the study."
    theirs = [one.name.lower() for one in study.directions]
    if theirs != recipe.directions:
        raise InputError(
            f"The study in {where} has the direction {', '.join(theirs)}, this search {', '.join(recipe.directions)}.",
            advice,
        )
    for trial in study.trials:
        for name, distribution in trial.distributions.items():
            if name in rehearsed.distributions:
                try:
                    check_distribution_compatibility(distribution, rehearsed.distributions[name])
                except ValueError as error:
                    raise InputError(f"The study in {where} searched {name} over other values.", advice) from error


def take_over(study: Any) -> None:
    """Mark trials that a killed search left running as failed, and queue all interrupted ones again.

    The file in a run's folder belongs to one search at a time; trials in a storage that the caller gave may run on
    another machine, and are left alone.
    """
    import optuna

    known = study.user_attrs.get("interrupted", [])
    running = optuna.trial.TrialState.RUNNING
    for trial in study.trials:
        if trial.number in known or not (trial.state is running or trial.user_attrs.get("interrupted")):
            continue
        known = [*known, trial.number]
        study.set_user_attr("interrupted", known)
        if trial.state is running:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
        logger.warning("Trial %d was interrupted; its values are tried again.", trial.number)


def counted(study: Any) -> list[Any]:
    """The trials that are over, without those that were interrupted from outside."""
    gone = set(study.user_attrs.get("interrupted", []))
    return [
        one
        for one in study.trials
        if one.state.is_finished() and one.number not in gone and not one.user_attrs.get("interrupted")
    ]


def records(study: Any) -> list[TrialRecord]:
    """All trials that are over."""
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    gone = set(study.user_attrs.get("interrupted", []))
    found = []
    for one in study.trials:
        if one.state.name not in states:
            continue
        interrupted = one.number in gone or one.user_attrs.get("interrupted")
        taken = (one.datetime_complete - one.datetime_start).total_seconds() if one.datetime_start else float("nan")
        found.append(
            TrialRecord(
                run_id=str(one.number),
                state=states[one.state.name],
                objectives=list(one.values) if one.state.name == "COMPLETE" else None,
                hyperparameters={**one.params, **one.user_attrs.get("values", {})},
                folder=one.user_attrs.get("folder", ""),
                seconds=taken,
                error="interrupted" if interrupted else one.user_attrs.get("error", ""),
            )
        )
    return found


def importances(study: Any, directions: list[str]) -> dict[str, dict[str, float]]:
    """For each objective the share of each argument in its differences; empty where too few trials were finished."""
    import optuna

    found = {}
    for place, direction in enumerate(directions):
        sign = 1 if direction == "minimize" else -1

        def cost(trial: Any, place: int = place, sign: int = sign) -> float:
            return sign * float(trial.values[place])

        try:
            with warnings.catch_warnings():
                # It says that low targets count as good, which costs are.
                warnings.filterwarnings("ignore", message="PedAnova", category=UserWarning)
                # Too few trials: then all arguments would seem to matter alike, which says nothing.
                warnings.filterwarnings("error", message="The number of trials is too small", category=UserWarning)
                shares = optuna.importance.get_param_importances(study, target=cost)
        except (ValueError, RuntimeError, UserWarning):
            continue
        if shares and all(map(math.isfinite, shares.values())):
            name = "objective" if len(directions) == 1 else f"objective {place + 1}"
            found[name] = {key: float(value) for key, value in shares.items()}
    return found


def storable(value: Any) -> Any:
    """A value as JSON can hold it."""
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
