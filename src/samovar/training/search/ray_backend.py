"""A search with Ray Tune: each trial in a worker of a local cluster, or of the cluster that Ray is connected to."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from typing import Any

from samovar.extras import require
from samovar.training.search.backends import checked_options, one_direction
from samovar.training.search.trials import Recipe, TrialRecord

SET_HERE = ("metric", "mode", "num_samples")


def search(recipe: Recipe, n_trials: int, options: dict[str, Any]) -> tuple[list[TrialRecord], Any, dict[str, Any]]:
    """Run the trials; all of them, Ray's result grid, and no importances.

    `options` are `resources_per_trial`, and the fields of Ray's `TuneConfig` and `RunConfig`, such as `scheduler`,
    `search_alg`, `max_concurrent_trials`, `time_budget_s`, `stop` or `verbose`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Read when the cluster starts: nothing is sent out.
    ray = require("ray", "A search with Ray Tune")
    import torch
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    direction = one_direction(recipe.directions, "ray")
    of_search = [one.name for one in dataclasses.fields(tune.TuneConfig) if one.name not in SET_HERE]
    of_run = [one.name for one in dataclasses.fields(tune.RunConfig) if one.name != "local_dir"]
    checked_options(options, ["resources_per_trial", *of_search, *of_run], "ray")
    space = recipe.check(recipe.space(None))
    resources = options.get("resources_per_trial") or {"cpu": 1, "gpu": 1 if torch.cuda.is_available() else 0}
    mine = not ray.is_initialized()
    if mine:
        # On the loopback address, so that a machine without a network will do.
        path = os.pathsep.join(filter(None, sys.path))
        ray.init(
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            # Workers find the modules that are found here.
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    try:
        grid = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, recipe=recipe), resources),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="objective",
                mode=direction[:3],
                num_samples=n_trials,
                **{
                    "search_alg": BasicVariantGenerator(random_state=recipe.args.seed),
                    **{name: value for name, value in options.items() if name in of_search},
                },
            ),
            run_config=tune.RunConfig(
                **{
                    "storage_path": str(recipe.output_dir / "ray"),
                    "verbose": 0,
                    **{name: value for name, value in options.items() if name in of_run},
                }
            ),
        ).fit()
        return [record(place, grid[place]) for place in range(len(grid))], grid, {}
    finally:
        if mine:
            ray.shutdown()


def run_trial(config: dict[str, Any], recipe: Recipe) -> None:
    """One trial, in a worker: its evaluations are reported, so that a scheduler can stop it."""
    from ray import tune

    run_id = tune.get_context().get_trial_id()
    values = recipe.check(config)
    folder = recipe.folder(run_id, config)
    last: list[list[float]] = []

    def report(found: list[float], number: int, over: bool) -> None:
        last[:] = [found]
        tune.report({"objective": found[0], "evaluation": number, "run_id": run_id, "folder": folder.name})

    found = recipe.run(values, folder, config, report)
    if last != [found]:
        tune.report({"objective": found[0], "run_id": run_id, "folder": folder.name})


def record(place: int, result: Any) -> TrialRecord:
    """What became of a trial."""
    metrics = result.metrics or {}
    objective = metrics.get("objective")
    complete = result.error is None and isinstance(objective, int | float) and not math.isnan(objective)
    return TrialRecord(
        run_id=str(metrics.get("run_id") or metrics.get("trial_id") or place),
        state="complete" if complete else "failed",
        objectives=[float(objective)] if complete and objective is not None else None,
        hyperparameters=dict(result.config or {}),
        folder=str(metrics.get("folder", "")),
        seconds=float(metrics.get("time_total_s", math.nan)),
        error="" if result.error is None else cause(result.error),
    )


def cause(error: BaseException) -> str:
    """The last line but one of Ray's traceback that names the error."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line.split(":")[0]]
    return (named or lines or [type(error).__name__])[-1]
