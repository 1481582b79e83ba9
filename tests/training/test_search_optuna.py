"""Searches with Optuna on a real model: the best is the best, values apply, bad trials end early, a kill costs one."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from PIL import Image
from search_setup import accuracy, model_init, rates, rows, table, trainer

from samovar.architectures.bert import BertForSequenceClassification
from samovar.errors import InputError
from samovar.training.callbacks import TrainerCallback
from samovar.training.search import BestRun, SearchError, hyperparameter_search
from samovar.training.trainer import Trainer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """Each trial ends with a garbage collection, which need not look through all that is imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


SEEN: list[tuple[float, float, str, int]] = []


class Seen(TrainerCallback):
    """Writes down what a trial really trains with."""

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **k: Any) -> None:
        if state.global_step == 0:
            SEEN.append((args.learning_rate, optimizer.param_groups[0]["lr"], args.output_dir, id(self)))


def test_the_best_is_the_best_and_values_apply(tmp_path: Path) -> None:
    SEEN.clear()
    first = trainer(tmp_path, parts={"callbacks": [Seen]})
    before = (first.args.to_dict(), [value.clone() for value in first.model.parameters()])
    best = hyperparameter_search(first, rates, n_trials=4)
    found = table(tmp_path)
    assert isinstance(best, BestRun)
    assert len(found) == 4
    assert best.objective == min(float(one["objective"]) for one in found)
    assert found[int(best.run_id)]["folder"] == f"run-{best.run_id}"
    assert best.hyperparameters["learning_rate"] == float(found[int(best.run_id)]["learning_rate"])
    # In the arguments, in the optimiser, in a folder of its own, with a callback of its own.
    assert [rate for rate, *_ in SEEN] == [float(one["learning_rate"]) for one in found]
    assert [rate for _, rate, *_ in SEEN] == pytest.approx([float(one["learning_rate"]) for one in found])
    assert [folder for *_, folder, _ in SEEN] == [str(tmp_path / f"run-{number}") for number in range(4)]
    assert len(best.run_summary.trials) == 4
    # The first trainer is as it was.
    assert first.args.to_dict() == before[0]
    assert all(torch.equal(a, b) for a, b in zip(before[1], first.model.parameters(), strict=True))


def test_training_with_the_best_values_gives_its_objective(tmp_path: Path) -> None:
    best = hyperparameter_search(trainer(tmp_path / "search"), rates, n_trials=2)
    again = trainer(tmp_path / "again", **best.hyperparameters)
    again.train()
    assert again.evaluate()["eval_loss"] == pytest.approx(best.objective, abs=1e-6)


def test_the_report_is_written(tmp_path: Path) -> None:
    best = hyperparameter_search(
        trainer(tmp_path, parts={"compute_metrics": accuracy}), rates, n_trials=5, direction="maximize"
    )
    folder = tmp_path / "search"
    written = json.loads((folder / "best.json").read_text())
    assert written["objective"] == best.objective == max(float(one["objective"]) for one in table(tmp_path))
    assert written["hyperparameters"] == best.hyperparameters
    for name in ("history", "importance", "parallel_coordinates"):
        with Image.open(folder / f"{name}.png") as image:
            image.load()
            assert image.format == "PNG"
            assert len(image.convert("L").getcolors(256) or []) > 10, "An empty plot has one colour."
    text = (folder / "report.md").read_text()
    assert "5 complete" in text
    assert "| `learning_rate` |" in text
    assert "![importance](importance.png)" in text


def test_without_matplotlib_there_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else there(name, *a))
    hyperparameter_search(trainer(tmp_path), rates, n_trials=1)
    assert not list((tmp_path / "search").glob("*.png"))
    assert "samovar[search]" in (tmp_path / "search" / "report.md").read_text()


def test_several_objectives_give_the_front(tmp_path: Path) -> None:
    front = hyperparameter_search(
        trainer(tmp_path),
        rates,
        lambda metrics: (metrics["eval_loss"], metrics["eval_loss"]),
        n_trials=3,
        storage=None,
        direction=["minimize", "maximize"],
    )
    assert len(front) == 3, "What is good for one objective is bad for the other: nothing is beaten."
    assert all(one.objective[0] == one.objective[1] for one in front)
    assert len(json.loads((tmp_path / "search" / "best.json").read_text())) == 3


def test_bad_trials_are_pruned(tmp_path: Path) -> None:
    steps: dict[str, int] = {}

    class Steps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **k: Any) -> None:
            steps[Path(args.output_dir).name] = state.global_step

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    def space(trial: Any) -> dict[str, Any]:
        return {"learning_rate": trial.suggest_categorical("learning_rate", [1e-2, 3.0])}

    study = {"sampler": optuna.samplers.GridSampler({"learning_rate": [1e-2, 3.0]}, seed=0)}
    best = hyperparameter_search(
        trainer(tmp_path, num_train_epochs=4, eval_strategy="epoch", parts={"callbacks": [Steps()]}),
        space,
        n_trials=2,
        storage=None,
        pruner=optuna.pruners.ThresholdPruner(upper=0.9),
        **study,
    )
    states = {one["learning_rate"]: (one["state"], one["folder"]) for one in table(tmp_path)}
    assert states["0.01"][0] == "complete"
    assert states["3.0"][0] == "pruned"
    assert steps[states["3.0"][1]] == 4 < steps[states["0.01"][1]] == 16
    assert best.hyperparameters == {"learning_rate": 0.01}


def test_one_model_at_a_time(tmp_path: Path) -> None:
    models: list[weakref.ref[Any]] = []
    alive: list[int] = []

    class Counts(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **k: Any) -> None:
            models.append(weakref.ref(model))
            alive.append(sum(one() is not None for one in models))

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    hyperparameter_search(
        trainer(tmp_path, num_train_epochs=2, eval_strategy="epoch", parts={"callbacks": [Counts()]}),
        rates,
        lambda metrics: metrics["eval_loss"] if len(models) > 2 else 9.0,
        n_trials=4,
        pruner=optuna.pruners.ThresholdPruner(upper=5.0),
        storage=None,
    )
    assert [one["state"] for one in table(tmp_path)] == ["pruned", "pruned", "complete", "complete"]
    assert alive == [1] * 4
    assert not any(one() is not None for one in models)


def test_a_trial_that_fails_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def objective(metrics: dict[str, float]) -> float:
        objective.calls += 1  # type: ignore[attr-defined]
        return float("nan") if objective.calls == 1 else metrics["eval_loss"]  # type: ignore[attr-defined]

    objective.calls = 0  # type: ignore[attr-defined]
    best = hyperparameter_search(trainer(tmp_path), rates, objective, n_trials=3, storage=None)
    found = table(tmp_path)
    assert [one["state"] for one in found] == ["failed", "complete", "complete"]
    assert "NumericError: The objective is [nan]" in found[0]["error"]
    assert best.run_id in ("1", "2")


def test_all_trials_failed(tmp_path: Path) -> None:
    def broken(trial: Any) -> BertForSequenceClassification:
        raise RuntimeError("out of memory")

    first = trainer(tmp_path)
    first.model_init = broken
    with pytest.raises(SearchError, match=r"2 failed(.|\n)*RuntimeError: out of memory"):
        hyperparameter_search(first, rates, n_trials=2, storage=None)
    assert [one["state"] for one in table(tmp_path)] == ["failed", "failed"]


def test_the_model_can_be_searched(tmp_path: Path) -> None:
    layers: list[int] = []

    def sized(trial: Any = None) -> BertForSequenceClassification:
        model = model_init()
        if trial is not None:
            layers.append(trial.params["layers"])
        return model

    def space(trial: Any) -> dict[str, Any]:
        return {"layers": trial.suggest_int("layers", 1, 3)}

    first = trainer(tmp_path, parts={"model_init": sized})
    best = hyperparameter_search(first, space, n_trials=3, storage=None)
    assert {int(one["layers"]) for one in table(tmp_path)} == set(layers)
    assert best.hyperparameters["layers"] in layers


def test_precision_can_be_searched(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    grid = optuna.samplers.GridSampler({"bf16": [False, True]}, seed=0)
    hyperparameter_search(
        first,
        lambda trial: {"bf16": trial.suggest_categorical("bf16", [False, True])},
        n_trials=2,
        storage=None,
        sampler=grid,
    )
    found = {one["bf16"]: one for one in table(tmp_path)}
    assert {one["state"] for one in found.values()} == {"complete"}
    assert float(found["True"]["objective"]) == pytest.approx(float(found["False"]["objective"]), abs=1e-2)
    assert found["True"]["objective"] != found["False"]["objective"]
    assert first.accelerator.mixed_precision == "no"
    first.train()
    assert first.evaluate()["eval_loss"] == float(found["False"]["objective"])


def test_hp_name_names_folders_and_never_two_alike(tmp_path: Path) -> None:
    SEEN.clear()
    hyperparameter_search(
        trainer(tmp_path, save_strategy="epoch", parts={"callbacks": [Seen]}),
        rates,
        n_trials=2,
        storage=None,
        hp_name=lambda t: "a",
    )
    assert [Path(folder).name for *_, folder, _ in SEEN] == ["a", "a-1"]
    assert list((tmp_path / "a").glob("checkpoint-*"))
    with pytest.raises(SearchError, match="no folder's name"):
        hyperparameter_search(trainer(tmp_path / "b"), rates, n_trials=1, storage=None, hp_name=lambda trial: "../up")


class Weighted(Trainer):
    """A trainer with an argument of its own."""

    def __init__(self, weight: float, **more: Any) -> None:
        super().__init__(**more)
        self.weight = weight

    def compute_loss(self, *args: Any, return_outputs: bool = False, **more: Any) -> Any:
        value, outputs = super().compute_loss(*args, return_outputs=True, **more)
        return (value * self.weight, outputs) if return_outputs else value * self.weight


def test_a_subclass_keeps_what_it_adds(tmp_path: Path) -> None:
    plain = hyperparameter_search(
        trainer(tmp_path / "a", learning_rate=0.0), lambda trial: {}, n_trials=1, storage=None
    )
    heavy = hyperparameter_search(
        trainer(tmp_path / "b", kind=Weighted, learning_rate=0.0, parts={"weight": 3.0}),
        lambda trial: {},
        n_trials=1,
        storage=None,
    )
    assert heavy.objective == pytest.approx(3 * plain.objective)


def test_several_evaluation_sets_are_reported_together(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    def objective(metrics: dict[str, float]) -> float:
        seen.append({name for name in metrics if name.endswith("_loss")})
        return metrics["eval_a_loss"] + metrics["eval_b_loss"]

    sets = {"eval_dataset": {"a": rows(8, 1), "b": rows(8, 2)}}
    best = hyperparameter_search(
        trainer(tmp_path, num_train_epochs=2, eval_strategy="epoch", parts=sets),
        rates,
        objective,
        n_trials=1,
        storage=None,
    )
    assert all({"eval_a_loss", "eval_b_loss"} <= one for one in seen)
    assert list(best.run_summary.trials[0].intermediate_values) == [1, 2]
    assert best.run_summary.trials[0].intermediate_values[2] == best.objective


def test_a_finished_search_is_not_repeated_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    first = hyperparameter_search(trainer(tmp_path), rates, n_trials=2)
    SEEN.clear()
    again = hyperparameter_search(trainer(tmp_path, parts={"callbacks": [Seen]}), rates, n_trials=2)
    assert (again.run_id, again.objective) == (first.run_id, first.objective)
    assert not SEEN
    hyperparameter_search(trainer(tmp_path, parts={"callbacks": [Seen]}), rates, n_trials=3)
    assert len(SEEN) == 1
    whole = hyperparameter_search(trainer(tmp_path / "whole"), rates, n_trials=3)
    assert [one["objective"] for one in table(tmp_path)] == [one["objective"] for one in table(tmp_path / "whole")]
    assert whole.run_id in ("0", "1", "2")


class Stops(TrainerCallback):
    """Ctrl-C in the second trial."""

    def on_step_end(self, args: Any, state: Any, control: Any, **k: Any) -> None:
        if args.output_dir.endswith("run-1"):
            raise KeyboardInterrupt


def test_ctrl_c_ends_the_search_and_the_next_call_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hyperparameter_search(trainer(tmp_path, parts={"callbacks": [Stops]}), rates, n_trials=3)
    hyperparameter_search(trainer(tmp_path), rates, n_trials=3)
    found = table(tmp_path)
    assert [one["state"] for one in found] == ["complete", "failed", "complete", "complete"]
    assert found[1]["error"] == "interrupted"
    assert found[2]["learning_rate"] == found[1]["learning_rate"]
    hyperparameter_search(trainer(tmp_path), rates, n_trials=4)
    assert len(table(tmp_path)) == 5, "What was taken over once is not taken over again."


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    hyperparameter_search(trainer(tmp_path), rates, n_trials=1)
    with pytest.raises(InputError, match="has the direction minimize, this search maximize"):
        hyperparameter_search(trainer(tmp_path), rates, n_trials=2, direction="maximize")
    with pytest.raises(InputError, match="searched learning_rate over other values"):
        hyperparameter_search(
            trainer(tmp_path), lambda t: {"learning_rate": t.suggest_categorical("learning_rate", [1.0])}, n_trials=2
        )
    other = hyperparameter_search(trainer(tmp_path), rates, n_trials=1, direction="maximize", study_name="other")
    assert other.run_id == "0"


def test_a_callback_of_the_study_can_stop_it(tmp_path: Path) -> None:
    best = hyperparameter_search(
        trainer(tmp_path), rates, n_trials=5, callbacks=[lambda study, trial: study.stop()], storage=None
    )
    assert len(best.run_summary.trials) == 1
    assert not (tmp_path / "study.db").exists()


def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "hyperparameter_search.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    exec(compile(block, str(page), "exec"), values)
    found = table(tmp_path / "out")
    assert len(found) == 6
    assert values["best"].objective == min(float(one["objective"]) for one in found if one["objective"])
