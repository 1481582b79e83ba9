"""Schedules of the learning rate, by name: factors of the largest rate over the steps of a run.

::

    linear        ╱╲       cosine      ╱⌒╲      warmup_stable_decay  ╱‾‾‾‾╲
                 ╱  ╲                 ╱   ╲_                        ╱      ╲_
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from samovar.errors import InputError, did_you_mean


class SchedulerType(StrEnum):
    """The names that `get_scheduler` and `lr_scheduler_type` take."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"
    REDUCE_ON_PLATEAU = "reduce_lr_on_plateau"
    COSINE_WITH_MIN_LR = "cosine_with_min_lr"
    WARMUP_STABLE_DECAY = "warmup_stable_decay"

    @classmethod
    def names(cls) -> list[str]:
        """All of them, as plain strings."""
        return [kind.value for kind in cls]


def rise(step: int, warmup: int) -> float:
    """0 … 1 over the warm-up."""
    return step / max(1, warmup)


def progress(step: int, warmup: int, total: int) -> float:
    """0 … 1 from the warm-up's end to the run's."""
    return (step - warmup) / max(1, total - warmup)


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The optimiser's own rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0, last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Linearly up, then constant."""
    return LambdaLR(
        optimizer, lambda step: rise(step, num_warmup_steps) if step < num_warmup_steps else 1.0, last_epoch
    )


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Linearly up, then linearly down to 0."""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        return max(0.0, 1 - progress(step, num_warmup_steps, num_training_steps))

    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linearly up, then along `num_cycles` of a cosine; half a cycle ends at 0.

    Loshchilov and Hutter, SGDR, arXiv:1608.03983.
    """

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        return max(0.0, wave(progress(step, num_warmup_steps, num_training_steps), num_cycles))

    return LambdaLR(optimizer, factor, last_epoch)


def wave(share: float, cycles: float) -> float:
    """A cosine between 1 and 0."""
    return 0.5 * (1 + math.cos(2 * math.pi * cycles * share))


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1, last_epoch: int = -1
) -> LambdaLR:
    """Linearly up, then `num_cycles` times from the top down along half a cosine."""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        share = progress(step, num_warmup_steps, num_training_steps)
        return 0.0 if share >= 1 else max(0.0, wave(num_cycles * share % 1, 0.5))

    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """As `cosine`, down to `min_lr`, or to the share `min_lr_rate` of the largest rate; one of them is due."""
    if (min_lr is None) == (min_lr_rate is None):
        raise InputError(
            "cosine_with_min_lr needs one of min_lr and min_lr_rate.", "Pass it in scheduler_specific_kwargs."
        )
    low = float(min_lr_rate) if min_lr_rate is not None else float(min_lr or 0) / float(optimizer.defaults["lr"])

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        share = progress(step, num_warmup_steps, num_training_steps)
        return max(0.0, wave(share, num_cycles) * (1 - low) + low)

    return LambdaLR(optimizer, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linearly up, then down to the rate `lr_end` as (1 - share)^`power`. Raises `InputError` unless it lies below."""
    top = float(optimizer.defaults["lr"])
    if not lr_end < top:
        raise InputError(f"lr_end={lr_end} is not below the largest rate, {top}.", "Choose a smaller one.")

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        if step > num_training_steps:
            return lr_end / top
        left = 1 - progress(step, num_warmup_steps, num_training_steps)
        return ((top - lr_end) * left**power + lr_end) / top

    return LambdaLR(optimizer, factor, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Linearly up, then down as 1/√step (Vaswani et al., arXiv:1706.03762); `timescale` is the warm-up, or 10,000."""
    scale = timescale or num_warmup_steps or 10_000

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return rise(step, num_warmup_steps)
        return 1 / math.sqrt((step + scale - num_warmup_steps) / scale)

    return LambdaLR(optimizer, factor, last_epoch)


# How a rate rises (share → factor) and falls (share of the fall → factor) between 0 and 1.
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "cosine": lambda share: 0.5 * (1 - math.cos(math.pi * share)),
    "1-sqrt": lambda share: math.sqrt(share),
}


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Up, level, down to `min_lr_ratio` (Hu et al., MiniCPM, arXiv:2404.06395).

    The level part lasts `num_stable_steps`, or what `num_training_steps` leaves. Shapes: linear, cosine, 1-sqrt.
    """
    for name, shape in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if shape not in SHAPES:
            raise InputError(f"{name}={shape!r} is no shape.", f"Choose among {', '.join(SHAPES)}.")
    if num_stable_steps is None:
        if num_training_steps is None:
            raise InputError(
                "How long the rate stays level is not known.", "Pass num_stable_steps or num_training_steps."
            )
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    fall = num_warmup_steps + num_stable_steps

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return SHAPES[warmup_type](rise(step, num_warmup_steps)) * (1 - min_lr_ratio) + min_lr_ratio
        if step < fall:
            return 1.0
        if step >= fall + num_decay_steps:
            return min_lr_ratio
        share = (step - fall) / max(1, num_decay_steps)
        if decay_type == "cosine":
            down = wave(share, num_cycles)
        else:
            down = 1 - SHAPES[decay_type](share)
        return max(0.0, down) * (1 - min_lr_ratio) + min_lr_ratio

    return LambdaLR(optimizer, factor, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """Down by a factor whenever a metric stops improving; `step(metric)` after each evaluation."""
    return ReduceLROnPlateau(optimizer, **kwargs)


# Name → function, whether it warms up, and whether it must know how long the run is.
SCHEDULES: dict[str, tuple[Callable[..., LRScheduler | ReduceLROnPlateau], bool, bool]] = {
    SchedulerType.LINEAR: (get_linear_schedule_with_warmup, True, True),
    SchedulerType.COSINE: (get_cosine_schedule_with_warmup, True, True),
    SchedulerType.COSINE_WITH_RESTARTS: (get_cosine_with_hard_restarts_schedule_with_warmup, True, True),
    SchedulerType.POLYNOMIAL: (get_polynomial_decay_schedule_with_warmup, True, True),
    SchedulerType.CONSTANT: (get_constant_schedule, False, False),
    SchedulerType.CONSTANT_WITH_WARMUP: (get_constant_schedule_with_warmup, True, False),
    SchedulerType.INVERSE_SQRT: (get_inverse_sqrt_schedule, True, False),
    SchedulerType.REDUCE_ON_PLATEAU: (get_reduce_on_plateau_schedule, False, False),
    SchedulerType.COSINE_WITH_MIN_LR: (get_cosine_with_min_lr_schedule_with_warmup, True, True),
    SchedulerType.WARMUP_STABLE_DECAY: (get_wsd_schedule, True, True),
}


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> Any:
    """The schedule of this name for an optimiser; call its `step()` after each of the optimiser's.

    `scheduler_specific_kwargs` are the other arguments of the schedule's own function, such as `num_cycles`.
    Raises `InputError` for unknown names and for a number of steps that is missing.
    """
    key = str(name)
    if key not in SCHEDULES:
        hint = did_you_mean(key, SchedulerType.names())
        raise InputError(f"There is no schedule {key!r}.", f"{hint} All: {', '.join(SCHEDULES)}.".strip())
    function, warms, counts = SCHEDULES[key]
    given: dict[str, Any] = dict(scheduler_specific_kwargs or {})
    for needed, argument, value in (
        (warms, "num_warmup_steps", num_warmup_steps),
        (counts, "num_training_steps", num_training_steps),
    ):
        if needed and value is None:
            raise InputError(f"The schedule {key!r} needs {argument}.", f"Pass {argument}=, a number of steps.")
        if needed:
            given[argument] = value
    return function(optimizer, **given)
