"""The other libraries of a search, on this machine alone, and what is said when a search cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from search_setup import model_init, table, trainer

from samovar.errors import InputError, MissingExtraError
from samovar.training.search import hyperparameter_search
from samovar.training.search.optuna_backend import Job


def fixed(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "optnua"}, "'optuna'"),
        ({"backend": "sigopt"}, 'SigOpt cannot be used(.|\n)*backend="optuna"'),
        ({"direction": "minimise"}, "'minimize'"),
        ({"direction": []}, "direction is empty"),
        ({"direction": ["minimize", "up"]}, "direction='up'"),
        ({"n_trials": 0}, "n_trials must be above 0"),
        ({"samplr": 1}, "'sampler'"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"n_jobs": 2, "storage": None}, "cannot share a study in memory"),
        ({"hp_space": lambda trial: {"learning_rat": 1.0}}, "'learning_rate'"),
        ({"hp_space": lambda trial: None}, "a dict was expected"),
        ({"backend": "ray", "direction": ["minimize", "minimize"]}, "ranks by one objective"),
        ({"backend": "wandb", "direction": ["minimize", "minimize"]}, "ranks by one objective"),
        ({"backend": "wandb", "projekt": "p"}, "'project'"),
        ({"backend": "wandb", "hp_space": lambda trial: {"parameters": {"lr": {"value": 1}}}}, "which Training"),
    ],
)
def test_what_cannot_be_searched(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    first = trainer(tmp_path)
    first.model_init = lambda: model_init()
    with pytest.raises(InputError, match=words):
        hyperparameter_search(first, **{"hp_space": fixed, "n_trials": 1, **options})
    assert not (tmp_path / "study.db").exists()
    assert not (tmp_path / "wandb").exists()


def test_what_a_trainer_needs_to_be_searched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no eval_dataset"):
        hyperparameter_search(trainer(tmp_path, parts={"eval_dataset": None}), fixed)
    with pytest.raises(InputError, match="model_init instead"):
        hyperparameter_search(trainer(tmp_path, parts={"model_init": None, "model": model_init()}), fixed)
    with pytest.raises(InputError, match="nothing to train on"):
        hyperparameter_search(trainer(tmp_path, parts={"train_dataset": None}), fixed)


@pytest.mark.parametrize("name", ["optuna", "ray", "wandb"])
def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden:
        def find_spec(self, wanted: str, path: Any = None, target: Any = None) -> None:
            if wanted.split(".")[0] == name:
                raise ModuleNotFoundError(f"No module named {wanted!r}", name=name)

    first = trainer(tmp_path)  # While all is there: accelerate looks around when it is imported.
    for module in [one for one in sys.modules if one.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=f"`{name}"):
        hyperparameter_search(first, backend=name, n_trials=1)


@pytest.mark.slow
def test_a_job_travels_to_another_process(tmp_path: Path) -> None:
    import pickle

    import cloudpickle

    from samovar.training.search.trials import Recipe

    limit = 3
    recipe = Recipe.of(
        trainer(tmp_path, parts={"callbacks": []}),
        space=lambda trial: {"max_steps": limit},
        compute_objective=lambda metrics: metrics["eval_loss"],
        directions=["minimize"],
    )
    there = pickle.loads(cloudpickle.dumps(Job(recipe, "s", None)))
    assert there.recipe.space(None) == {"max_steps": 3}
    assert there.recipe.run({"max_steps": 3}, tmp_path / "a", None) == recipe.run(
        {"max_steps": 3}, tmp_path / "b", None
    )


def sweep(trial: Any) -> dict[str, Any]:
    return {"method": "grid", "name": "rates", "parameters": {"learning_rate": {"values": [1e-3, 1e-2, 5e-2]}}}


@pytest.mark.slow
def test_wandb_keeps_each_trial_as_a_run_on_this_machine(tmp_path: Path) -> None:
    best = hyperparameter_search(trainer(tmp_path, logging_steps=1), sweep, n_trials=9, backend="wandb")
    found = table(tmp_path)
    assert [float(one["learning_rate"]) for one in found] == [1e-3, 1e-2, 5e-2]
    assert best.objective == min(float(one["objective"]) for one in found)
    assert best.run_summary == "rates"
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 3
    contents = [next(run.glob("*.wandb")).read_bytes() for run in runs]
    for row in found:
        (content,) = [one for one in contents if row["objective"].encode() in one]
        assert b"objective" in content
        assert row["learning_rate"].encode() in content
        assert content.count(b"grad_norm") >= 4, "Each step is logged."


@pytest.mark.slow
def test_wandb_leaves_out_a_trial_that_fails(tmp_path: Path) -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"method": "grid", "parameters": {"per_device_train_batch_size": {"values": [0, 8]}}}

    best = hyperparameter_search(trainer(tmp_path), space, n_trials=2, backend="wandb")
    assert [one["state"] for one in table(tmp_path)] == ["failed", "complete"]
    assert best.run_id == "1"


# Ray leaves sockets and files of its processes to the interpreter's end.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_on_a_local_cluster(tmp_path: Path) -> None:
    import ray

    def space(trial: Any) -> dict[str, Any]:
        from ray import tune

        # A batch size of 0 is refused by the arguments: that trial fails, the search goes on.
        return {
            "learning_rate": 1e-2,
            "per_device_train_batch_size": tune.grid_search([0, 8]),
        }

    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False,
             runtime_env={"env_vars": {"PYTHONPATH": ":".join(filter(None, sys.path))}})  # fmt: skip
    try:
        best = hyperparameter_search(
            trainer(tmp_path, eval_strategy="epoch", num_train_epochs=2), space, n_trials=1, backend="ray"
        )
        assert ray.is_initialized(), "A cluster that was there before stays."
    finally:
        ray.shutdown()
    found = {(float(one["learning_rate"]), one["per_device_train_batch_size"]): one for one in table(tmp_path)}
    assert {key: one["state"] for key, one in found.items()} == {
        (1e-2, "0"): "failed",
        (1e-2, "8"): "complete",
    }
    assert "per_device_train_batch_size must be above 0" in found[1e-2, "0"]["error"]
    assert best.objective == min(float(one["objective"]) for one in found.values() if one["objective"])
    assert (tmp_path / f"run-{best.run_id}").is_dir()
    # A worker trains as this process does.
    alone = trainer(tmp_path / "alone", **best.hyperparameters, num_train_epochs=2)
    alone.train()
    assert alone.evaluate()["eval_loss"] == pytest.approx(best.objective, abs=1e-5)
