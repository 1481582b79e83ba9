"""What a search measures, what it may set, and how the format of W&B's sweeps is drawn from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from samovar.errors import InputError, InputTypeError, NumericError
from samovar.training.arguments import TrainingArguments
from samovar.training.search.plots import scaled
from samovar.training.search.spaces import (
    check_names,
    default_compute_objective,
    default_hp_space_wandb,
    finite,
    objectives,
    with_values,
)
from samovar.training.search.sweeps import DISTRIBUTIONS, drawn
from samovar.training.search.trials import SearchError, TrialRecord, best_of

METRICS = {
    "eval_loss": 0.5,
    "eval_runtime": 2.0,
    "eval_samples_per_second": 9.0,
    "eval_steps_per_second": 3.0,
    "epoch": 1,
}


@pytest.mark.parametrize("more", [{}, {"eval_accuracy": 0.25}, {"eval_accuracy": 0.25, "eval_f1": 0.5}])
def test_default_objective_equals_the_reference(more: dict[str, float]) -> None:
    from transformers.trainer_utils import default_compute_objective as reference

    assert default_compute_objective({**METRICS, **more}) == reference({**METRICS, **more})


def test_default_objective_of_several_sets_adds_losses_to_losses_only() -> None:
    losses = {"eval_a_loss": 1.0, "eval_b_loss": 2.0, "eval_a_runtime": 9.0}
    assert default_compute_objective(losses) == 3.0
    assert default_compute_objective({**losses, "eval_a_f1": 0.5, "eval_b_f1": 0.25}) == 0.75


def test_nothing_measured_is_said() -> None:
    with pytest.raises(InputError, match="neither a loss nor a metric"):
        default_compute_objective({"eval_runtime": 1.0})


def test_a_wrong_name_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'learning_rat'.*lacks(.|\n)*'learning_rate'"):
        check_names({"learning_rat": 0.1}, TrainingArguments(), model_reads_trial=False)
    check_names({"layers": 2}, TrainingArguments(), model_reads_trial=True)
    with pytest.raises(InputError, match="sets output_dir"):
        check_names({"output_dir": "x"}, TrainingArguments(), model_reads_trial=True)
    with pytest.raises(InputTypeError, match="gave NoneType"):
        check_names(None, TrainingArguments(), model_reads_trial=True)


def test_values_get_the_arguments_types_and_its_checks() -> None:
    values = {"seed": 7.0, "num_train_epochs": 2, "learning_rate": np.float32(0.5), "optim": "sgd", "layers": 3}
    args = with_values(TrainingArguments("a", weight_decay=0.1), values, output_dir="b")
    assert (args.seed, type(args.seed)) == (7, int)
    assert type(args.num_train_epochs) is float
    assert type(args.learning_rate) is float
    assert (args.optim, args.weight_decay, args.output_dir) == ("sgd", 0.1, "b")
    with pytest.raises(InputError, match="optim="):
        with_values(args, {"optim": "adam_w"})


def test_objectives_are_counted_and_must_be_numbers() -> None:
    assert objectives(lambda metrics: (metrics["a"], 2), {"a": 1.0}, 2) == [1.0, 2.0]
    assert objectives(lambda metrics: np.float32(0.5), {}, 1) == [0.5]
    with pytest.raises(InputError, match="2 values for 1"):
        objectives(lambda metrics: (1, 2), {}, 1)
    with pytest.raises(InputTypeError, match="a number was expected"):
        objectives(lambda metrics: "good", {}, 1)
    with pytest.raises(NumericError, match="nan"):
        finite([math.nan], {"eval_loss": math.nan})


def trial(number: int, *values: float, state: str = "complete", **more: Any) -> TrialRecord:
    return TrialRecord(str(number), state, list(values) or None, {"x": number}, **more)


def test_best_by_direction_and_front() -> None:
    found = [trial(0, 2.0), trial(1, 1.0), trial(2, 3.0), trial(3, state="failed"), trial(4, 1.0)]
    assert best_of(found, ["minimize"], None).run_id == "1"
    assert best_of(found, ["maximize"], None) == ("2", 3.0, {"x": 2}, None)
    pairs = [trial(0, 1.0, 1.0), trial(1, 2.0, 2.0), trial(2, 2.0, 1.0), trial(3, 3.0, 2.0)]
    front = best_of(pairs, ["minimize", "maximize"], "all")
    assert [(one.run_id, one.objective) for one in front] == [("0", [1.0, 1.0]), ("1", [2.0, 2.0])]


def test_no_finished_trial_is_an_error_with_causes() -> None:
    with pytest.raises(SearchError, match=r"2 failed, 1 pruned(.|\n)*ValueError: no"):
        best_of([trial(0, state="failed", error="ValueError: no")] * 2 + [trial(1, state="pruned")], ["minimize"], None)


def test_axes_of_plots() -> None:
    assert scaled([1, 2, 3]) == ([0.0, 0.5, 1.0], "1", "3")
    places, low, high = scaled([1e-5, 1e-3, 1e-1])
    assert places == pytest.approx([0, 0.5, 1])
    assert (low, high) == ("1e-05", "0.1")
    assert scaled(["b", "a", "b"]) == ([1.0, 0.0, 1.0], "a", "b")
    assert scaled([4, 4]) == ([0.5, 0.5], "4", "4")
    assert scaled([True, None])[0] == [1.0, 0.0]


# Sweeps ---------------------------------------------------------------------------------------------------------------

BOUNDS = {
    "constant": ({"value": 3}, 3, 3),
    "categorical": ({"values": [1, 5]}, 1, 5),
    "categorical_w_probabilities": ({"values": [1, 5, 9], "probabilities": [0.5, 0.5, 0]}, 1, 5),
    "int_uniform": ({"min": 1, "max": 4}, 1, 4),
    "uniform": ({"min": 1.0, "max": 4.0}, 1, 4),
    "q_uniform": ({"min": 0, "max": 1, "q": 0.25}, 0, 1),
    "log_uniform": ({"min": -3, "max": 1}, math.exp(-3), math.exp(1)),
    "log_uniform_values": ({"min": 1e-4, "max": 1e-1}, 1e-4, 1e-1),
    "q_log_uniform": ({"min": 0, "max": 4}, 1, round(math.exp(4))),
    "q_log_uniform_values": ({"min": 1, "max": 64, "q": 2}, 0, 64),
    "inv_log_uniform": ({"min": 0, "max": 3}, math.exp(-3), 1),
    "inv_log_uniform_values": ({"min": 0.1, "max": 0.99}, 0.1, 0.99),
    "normal": ({"mu": 5, "sigma": 0.1}, 4, 6),
    "q_normal": ({"mu": 5, "sigma": 1}, 0, 10),
    "log_normal": ({"mu": 0, "sigma": 0.1}, 0.5, 2),
    "q_log_normal": ({"mu": 2, "sigma": 0.1}, 3, 15),
    "beta": ({"a": 2, "b": 2}, 0, 1),
    "q_beta": ({"a": 2, "b": 2, "q": 0.1}, 0, 1),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_distribution_stays_in_its_bounds_and_varies(name: str) -> None:
    parameter, low, high = BOUNDS[name]
    sweep = {"method": "random", "parameters": {"x": {"distribution": name, **parameter}}}
    values = [one["x"] for one in drawn(sweep, 200, seed=1)]
    assert low - 1e-9 <= min(values) <= max(values) <= high + 1e-9
    assert (len(set(values)) > 1) == (name != "constant")
    assert values == [one["x"] for one in drawn(sweep, 200, seed=1)]
    if name.startswith("q_"):
        step = parameter.get("q", 1)
        assert all(abs(value / step - round(value / step)) < 1e-6 for value in values)


def test_log_scale_spreads_over_the_decades() -> None:
    sweep = {"parameters": {"x": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1}}}
    assert np.mean([one["x"] < 1e-2 for one in drawn(sweep, 400, seed=0)]) == pytest.approx(0.5, abs=0.1)


def test_a_grid_gives_each_pair_once_and_ends() -> None:
    sweep = {"method": "grid", "parameters": {"a": {"values": [1, 2]}, "b": {"min": 3, "max": 5}, "c": {"value": 0}}}
    found = list(drawn(sweep, 20, seed=0))
    assert len(found) == len({tuple(one.values()) for one in found}) == 6
    assert len(list(drawn(sweep, 4, seed=0))) == 4
    assert {one["q"] for one in drawn({"method": "grid", "parameters": {"q": {"distribution": "q_uniform", "min": 0,
            "max": 1, "q": 0.5}}}, 9, 0)} == {0, 0.5, 1}  # fmt: skip


def test_default_sweep_draws_whole_numbers() -> None:
    for one in drawn(default_hp_space_wandb(), 50, seed=0):
        assert 1e-6 <= one["learning_rate"] <= 1e-4
        assert one["num_train_epochs"] in range(1, 6)
        assert one["per_device_train_batch_size"] in (4, 8, 16, 32, 64)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"method": "bayes", "parameters": {"a": {"value": 1}}}, "bayes runs on the server"),
        ({"method": "gird", "parameters": {"a": {"value": 1}}}, "'grid'"),
        ({"method": "grid", "parameters": {"a": {"min": 0.0, "max": 1.0}}}, "no end of values"),
        ({"parameters": {"a": {"distribution": "unifrom", "min": 0, "max": 1}}}, "'uniform'"),
        ({"parameters": {"a": {"min": 0}}}, "says no values"),
        ({"parameters": {"a": {"distribution": "uniform", "min": 0}}}, "needs 'max'"),
        ({}, "no parameters"),
    ],
)
def test_what_a_sweep_cannot_be(sweep: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(drawn(sweep, 3, seed=0))
