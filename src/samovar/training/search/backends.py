"""`hyperparameter_search`: checks what was asked for, hands it to a library, and writes the report."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from samovar.errors import InputError, MissingExtraError, did_you_mean
from samovar.training.search.spaces import (
    default_compute_objective,
    default_hp_space_optuna,
    default_hp_space_ray,
    default_hp_space_wandb,
)
from samovar.training.search.trials import BestRun, Recipe, collect

if TYPE_CHECKING:
    from samovar.training.trainer import Trainer

DIRECTIONS = ("minimize", "maximize")
SIGOPT = "SigOpt cannot be used: its service is down, and its repositories at Intel, which had bought it, are archived."


class HPSearchBackend(StrEnum):
    """The libraries that can choose what to try next."""

    OPTUNA = "optuna"
    RAY = "ray"
    WANDB = "wandb"


SPACES: dict[HPSearchBackend, Callable[[Any], dict[str, Any]]] = {
    HPSearchBackend.OPTUNA: default_hp_space_optuna,
    HPSearchBackend.RAY: default_hp_space_ray,
    HPSearchBackend.WANDB: default_hp_space_wandb,
}


def hyperparameter_search(
    trainer: Trainer,
    hp_space: Callable[[Any], dict[str, Any]] | None = None,
    compute_objective: Callable[[dict[str, float]], Any] | None = None,
    n_trials: int = 20,
    direction: str | Sequence[str] = "minimize",
    backend: str | HPSearchBackend | None = None,
    hp_name: Callable[[Any], str] | None = None,
    **kwargs: Any,
) -> BestRun | list[BestRun]:
    """Train `n_trials` times with other arguments, and give the best.

    `hp_space(trial)` gives a trial's arguments by name, `compute_objective(metrics)` the number to rank by, and
    `direction` says which way; with a list of directions `compute_objective` gives as many numbers and the result is
    the list of those trials that no other beats. `model_init()` or `model_init(trial)` of the trainer makes each
    trial's model. A trial writes to `<output_dir>/run-<number>`, or to the folder that `hp_name(trial)` names;
    `<output_dir>/search` gets `best.json`, `trials.csv`, `report.md` and plots.

    `backend` is "optuna" (the default; the study is kept in `<output_dir>/study.db`, and a search that was stopped
    runs the trials that are left), "ray" or "wandb"; `kwargs` go to it. A trial that fails is left out. Raises
    `InputError` for what cannot be searched, `MissingExtraError`, and `SearchError` if no trial was finished.
    """
    chosen = chosen_backend(backend)
    directions = checked_directions(direction)
    if n_trials < 1:
        raise InputError(f"n_trials must be above 0, got {n_trials}.", "Leave it out for 20.")
    recipe = Recipe.of(
        trainer,
        space=hp_space or SPACES[chosen],
        compute_objective=compute_objective or default_compute_objective,
        directions=directions,
        hp_name=hp_name,
    )
    if chosen is HPSearchBackend.OPTUNA:
        from samovar.training.search.optuna_backend import search
    elif chosen is HPSearchBackend.RAY:
        from samovar.training.search.ray_backend import search
    else:
        from samovar.training.search.wandb_backend import search
    from samovar.training.search.report import write

    recipe.output_dir.mkdir(parents=True, exist_ok=True)
    records, summary, importances = search(recipe, n_trials, kwargs)
    collect()
    return write(recipe.output_dir / "search", records, directions, summary, importances)


def chosen_backend(name: str | HPSearchBackend | None) -> HPSearchBackend:
    """The backend of a name; without one, the first that is installed, Optuna before all."""
    if name is None:
        for one in HPSearchBackend:
            if importlib.util.find_spec(one.value) is not None:
                return one
        raise MissingExtraError("A search of arguments", "optuna", "search")
    text = str(name).lower()
    if text == "sigopt":
        raise InputError(SIGOPT, 'Use backend="optuna": its default sampler is model-based too, and runs offline.')
    if text not in list(HPSearchBackend):
        hint = did_you_mean(text, list(HPSearchBackend))
        raise InputError(f"backend={name!r} is not known.", f"{hint} All: {', '.join(HPSearchBackend)}.".strip())
    return HPSearchBackend(text)


def checked_directions(direction: str | Sequence[str]) -> list[str]:
    """One direction for each objective. Raises `InputError`."""
    given = [direction] if isinstance(direction, str) else list(direction)
    for one in given:
        if one not in DIRECTIONS:
            hint = did_you_mean(str(one), DIRECTIONS)
            raise InputError(f"direction={one!r} is not known.", f"{hint} All: {', '.join(DIRECTIONS)}.".strip())
    if not given:
        raise InputError("direction is empty.", 'Give "minimize", "maximize", or one of them for each objective.')
    return given


def checked_options(options: dict[str, Any], known: Sequence[str], backend: str) -> dict[str, Any]:
    """Options that a backend knows. Raises `InputError` with the nearest."""
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(
                f"The backend {backend} has no option {name!r}.", f"{hint} All: {', '.join(known)}.".strip()
            )
    return options


def one_direction(directions: list[str], backend: str) -> str:
    """The direction, where a backend can rank by one objective only. Raises `InputError`."""
    if len(directions) > 1:
        raise InputError(f"The backend {backend} ranks by one objective, got {len(directions)}.", 'Use "optuna".')
    return directions[0]
