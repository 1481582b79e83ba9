"""Each schedule gives the reference's rates at every step."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from samovar.errors import InputError
from samovar.training.schedules import SCHEDULES, SchedulerType, get_scheduler


def rates(function: Any, name: str, steps: int = 120, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = function(name, optimizer, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(1.0) if name == "reduce_lr_on_plateau" else schedule.step()
    return found


CASES: list[tuple[str, dict[str, Any]]] = [
    *((str(name), {}) for name in SchedulerType if name not in ("cosine_with_min_lr", "warmup_stable_decay")),
    ("cosine", {"num_cycles": 1.5}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {"power": 2.0, "lr_end": 0.01}),
    ("inverse_sqrt", {"timescale": 40}),
    ("reduce_lr_on_plateau", {"patience": 2, "factor": 0.5}),
    ("cosine_with_min_lr", {"min_lr": 0.02}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 1}),
    ("warmup_stable_decay", {"num_decay_steps": 30}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "decay_type": "linear", "warmup_type": "cosine"}),
    ("warmup_stable_decay", {"num_decay_steps": 20, "decay_type": "1-sqrt", "min_lr_ratio": 0.1}),
]


@pytest.mark.parametrize("warmup", [0, 17])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rates_equal_the_reference(case: tuple[str, dict[str, Any]], warmup: int) -> None:
    from transformers import get_scheduler as reference

    name, options = case
    steps = {"num_warmup_steps": warmup, "num_training_steps": 100}
    arguments = {**steps, "scheduler_specific_kwargs": options}
    mine, theirs = rates(get_scheduler, name, **arguments), rates(reference, name, **arguments)
    assert mine == pytest.approx(theirs, abs=1e-9)
    assert len(set(mine)) > 1 or name in ("constant", "constant_with_warmup", "inverse_sqrt")


def test_all_names_are_there() -> None:
    assert set(SCHEDULES) == set(SchedulerType)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("liner", {}, r"no schedule 'liner'[^D]*Did you mean 'linear'"),
        ("linear", {"num_training_steps": 5}, "'linear' needs num_warmup_steps"),
        ("linear", {"num_warmup_steps": 5}, "'linear' needs num_training_steps"),
        ("polynomial", {"scheduler_specific_kwargs": {"lr_end": 1}}, "lr_end=1 is not below the largest rate, 0.3"),
        ("cosine_with_min_lr", {}, "needs one of min_lr and min_lr_rate"),
        (
            "warmup_stable_decay",
            {"scheduler_specific_kwargs": {"num_decay_steps": 1, "decay_type": "round"}},
            "decay_type='round' is no shape",
        ),
    ],
)
def test_what_cannot_be(name: str, options: dict[str, Any], words: str) -> None:
    steps = {} if "needs num" in words else {"num_warmup_steps": 1, "num_training_steps": 9}
    with pytest.raises(InputError, match=words):
        rates(get_scheduler, name, **(steps | options))
