"""What stays of a search in its folder: `best.json`, `trials.csv`, `report.md` and plots."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import logging
import math
from pathlib import Path
from typing import Any

from samovar.hub.atomic import write_file
from samovar.training.search.trials import BestRun, TrialRecord, best_of

logger = logging.getLogger(__name__)

NO_PLOTS = "Plots need matplotlib:  pip install 'samovar[search]'"


def write(
    folder: Path,
    records: list[TrialRecord],
    directions: list[str],
    summary: Any,
    importances: dict[str, dict[str, float]],
) -> BestRun | list[BestRun]:
    """Write the report of a search into a folder; the best run. Raises `SearchError` if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "trials.csv", table(records, len(directions)))
    best = best_of(records, directions, summary)
    runs = best if isinstance(best, list) else [best]
    folders = {one.run_id: one.folder for one in records}
    described = [
        {
            "run_id": one.run_id,
            "objective": one.objective,
            "direction": directions[0] if len(directions) == 1 else directions,
            "folder": folders[one.run_id],
            "hyperparameters": one.hyperparameters,
        }
        for one in runs
    ]
    content = described if isinstance(best, list) else described[0]
    write_file(folder / "best.json", json.dumps(content, indent=2, default=str) + "\n")
    plots: list[str] = []
    if importlib.util.find_spec("matplotlib") is not None:
        from samovar.training.search.plots import draw

        plots = draw(folder, records, directions, importances)
    else:
        logger.warning(NO_PLOTS)
    write_file(folder / "report.md", text(records, runs, importances, plots))
    return best


def objective_names(count: int) -> list[str]:
    """The columns of the objectives."""
    return ["objective"] if count == 1 else [f"objective_{place + 1}" for place in range(count)]


def parameter_names(records: list[TrialRecord]) -> list[str]:
    """All names that were searched, in the order in which they appear."""
    return list(dict.fromkeys(name for one in records for name in one.hyperparameters))


def table(records: list[TrialRecord], objectives: int) -> str:
    """All trials as CSV."""
    names = parameter_names(records)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["run_id", "state", *objective_names(objectives), *names, "seconds", "folder", "error"])
    for one in records:
        values = one.objectives if one.objectives is not None else [""] * objectives
        seconds = "" if math.isnan(one.seconds) else round(one.seconds, 3)
        chosen = [one.hyperparameters.get(name, "") for name in names]
        writer.writerow([one.run_id, one.state, *values, *chosen, seconds, one.folder, one.error])
    return file.getvalue()


def text(
    records: list[TrialRecord], runs: list[BestRun], importances: dict[str, dict[str, float]], plots: list[str]
) -> str:
    """The report in Markdown."""
    states = {state: sum(one.state == state for one in records) for state in ("complete", "pruned", "failed")}
    lines = ["# Search", "", ", ".join(f"{count} {state}" for state, count in states.items()) + ".", ""]
    for run in runs:
        lines += [f"## Best: trial {run.run_id}, objective {shown(run.objective)}", "", "| argument | value |"]
        lines += ["|---|---|", *(f"| `{name}` | {shown(value)} |" for name, value in run.hyperparameters.items()), ""]
    for name, shares in importances.items():
        lines += [f"## Importance for the {name}", "", "| argument | share |", "|---|---|"]
        lines += [*(f"| `{key}` | {value:.2f} |" for key, value in shares.items()), ""]
    lines += [f"![{Path(plot).stem}]({plot})\n" for plot in plots] or [NO_PLOTS]
    return "\n".join(lines).rstrip() + "\n"


def shown(value: Any) -> str:
    """A value in few digits."""
    if isinstance(value, list):
        return ", ".join(shown(one) for one in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
