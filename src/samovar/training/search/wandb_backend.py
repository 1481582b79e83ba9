"""A search whose trials are runs of W&B, kept on this machine; values are drawn here, not by the server's sweeps."""

from __future__ import annotations

import os
import time
from typing import Any

from samovar.extras import require
from samovar.training.callbacks import TrainerCallback
from samovar.training.search.backends import checked_options, one_direction
from samovar.training.search.sweeps import drawn
from samovar.training.search.trials import Recipe, TrialRecord, why

OPTIONS = ("project", "name", "entity", "mode", "metric")


class RunLog(TrainerCallback):
    """Sends what a trial logs to its run."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **k: Any) -> None:
        """Numbers at their step."""
        self.run.log({key: value for key, value in (logs or {}).items() if isinstance(value, int | float)},
                     step=state.global_step)  # fmt: skip


def search(recipe: Recipe, n_trials: int, options: dict[str, Any]) -> tuple[list[TrialRecord], Any, dict[str, Any]]:
    """Run the trials; all of them, the name of their group, and no importances.

    `options`: `project`, `entity`, `name` (of the group), `metric` (the name of the objective in each run's summary)
    and `mode`, "offline" unless `WANDB_MODE` says otherwise.
    """
    # Else it tells its maker of each start, also of runs that are kept here.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb = require("wandb", "A search with W&B")
    one_direction(recipe.directions, "wandb")
    checked_options(options, OPTIONS, "wandb")
    config = recipe.space(None)
    recipe.check(config.get("parameters") if isinstance(config, dict) else config)
    group = options.get("name") or config.get("name") or recipe.output_dir.name
    mode = options.get("mode") or os.environ.get("WANDB_MODE") or "offline"
    found = []
    for number, values in enumerate(drawn(config, n_trials, recipe.args.seed)):
        recipe.check(values)
        folder = recipe.folder(str(number), values)
        record = TrialRecord(str(number), "failed", hyperparameters=values, folder=folder.name)
        found.append(record)
        began = time.perf_counter()
        run = wandb.init(
            project=options.get("project", "samovar"),
            entity=options.get("entity"),
            group=group,
            name=folder.name,
            config=values,
            dir=str(recipe.output_dir),
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )
        try:
            record.objectives = recipe.run(values, folder, values, more_callbacks=(RunLog(run),))
            record.state = "complete"
            run.summary[options.get("metric", "objective")] = record.objectives[0]
        except Exception as error:
            record.error = why(error)
        finally:
            record.seconds = time.perf_counter() - began
            run.finish(exit_code=0 if record.state == "complete" else 1)
    return found, group, {}
