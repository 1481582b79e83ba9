"""What is searched and what is measured: default spaces, the default objective, and how values become arguments."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from samovar.errors import InputError, InputTypeError, NumericError, did_you_mean
from samovar.extras import require
from samovar.training.arguments import TrainingArguments

SPEEDS = ("_runtime", "_per_second", "_preparation_time")


def default_compute_objective(metrics: Mapping[str, float]) -> float:
    """The number that a search ranks by: the sum of all metrics, or the loss where nothing else is measured.

    Losses (of several evaluation sets: their sum) count only if there is no other metric; times, speeds and the epoch
    never do. Raises `InputError` if nothing is left.
    """
    values = {
        name: float(value)
        for name, value in metrics.items()
        if name != "epoch" and not name.endswith(SPEEDS) and isinstance(value, int | float)
    }
    losses = [value for name, value in values.items() if name.endswith("_loss")]
    others = [value for name, value in values.items() if not name.endswith("_loss")]
    if not losses and not others:
        raise InputError(
            "The evaluation gives neither a loss nor a metric.", "Pass compute_metrics, or data with labels."
        )
    return sum(others) if others else sum(losses)


def default_hp_space_optuna(trial: Any) -> dict[str, Any]:
    """Rate, epochs, seed and batch size, drawn from an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 5),
        "seed": trial.suggest_int("seed", 1, 40),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [4, 8, 16, 32, 64]),
    }


def default_hp_space_ray(trial: Any = None) -> dict[str, Any]:
    """The same ranges for Ray Tune. Raises `MissingExtraError`."""
    require("ray", "A search with Ray Tune")
    from ray import tune

    return {
        "learning_rate": tune.loguniform(1e-6, 1e-4),
        "num_train_epochs": tune.choice(list(range(1, 6))),
        "seed": tune.randint(1, 41),
        "per_device_train_batch_size": tune.choice([4, 8, 16, 32, 64]),
    }


def default_hp_space_wandb(trial: Any = None) -> dict[str, Any]:
    """The same ranges as the configuration of a W&B sweep."""
    return {
        "method": "random",
        "parameters": {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-4},
            "num_train_epochs": {"distribution": "int_uniform", "min": 1, "max": 5},
            "seed": {"distribution": "int_uniform", "min": 1, "max": 40},
            "per_device_train_batch_size": {"values": [4, 8, 16, 32, 64]},
        },
    }


def check_names(values: Any, args: TrainingArguments, model_reads_trial: bool) -> None:
    """Raise `InputError` for a name that is no argument, unless `model_init(trial)` may be what reads it."""
    if not isinstance(values, Mapping):
        raise InputTypeError(
            f"hp_space gave {type(values).__name__}, a dict was expected.",
            'Return one, such as {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True)}.',
        )
    if "output_dir" in values:
        raise InputError("hp_space sets output_dir.", "Each trial has its own; name it with hp_name.")
    if model_reads_trial:
        return
    known = [one.name for one in dataclasses.fields(args)]
    for name in values:
        if name not in known:
            raise InputError(
                f"hp_space sets {name!r}, which {type(args).__name__} lacks.",
                f"{did_you_mean(str(name), known)} A value for the model needs model_init(trial).".strip(),
            )


def with_values(args: TrainingArguments, values: Mapping[str, Any], **more: Any) -> TrainingArguments:
    """A copy of the arguments with a trial's values, of the arguments' types; all checks run again."""
    known = {one.name for one in dataclasses.fields(args)}
    chosen = {name: as_type_of(getattr(args, name), value) for name, value in values.items() if name in known}
    return dataclasses.replace(args, **chosen, **more)


def as_type_of(old: Any, value: Any) -> Any:
    """A drawn number as the kind of number that the argument is; NumPy's numbers as Python's."""
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(value, bool) or isinstance(old, bool) or not isinstance(value, int | float):
        return value
    return type(old)(value) if isinstance(old, int | float) else value


def objectives(compute: Callable[[dict[str, float]], Any], metrics: dict[str, float], count: int) -> list[float]:
    """The objectives of an evaluation, `count` of them. Raises `InputError` for another number of them."""
    found = compute(dict(metrics))
    values = list(found) if isinstance(found, Sequence | tuple) and not isinstance(found, str) else [found]
    if len(values) != count:
        raise InputError(
            f"compute_objective gave {len(values)} values for {count} directions.",
            "Return as many values as direction has.",
        )
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise InputTypeError(
            f"compute_objective gave {found!r}, a number was expected.", f"It is given: {', '.join(metrics)}."
        ) from error


def finite(values: list[float], metrics: dict[str, float]) -> list[float]:
    """The objectives, if each is a number that can be ranked. Raises `NumericError`."""
    if any(math.isnan(value) for value in values):
        raise NumericError(f"The objective is {values} from {metrics}.", "This trial is left out of the ranking.")
    return values
