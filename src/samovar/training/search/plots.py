"""Plots of a search: its history, what matters, and which values go together."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from samovar.hub.atomic import write_file
from samovar.training.search.trials import TrialRecord

BLUE, GREY, RED = "#3b6ea5", "#b0b0b0", "#c0504d"


def draw(
    folder: Path, records: list[TrialRecord], directions: list[str], importances: dict[str, dict[str, float]]
) -> list[str]:
    """Write the plots that these trials allow as PNG; their names."""
    done = [one for one in records if one.state == "complete" and one.objectives]
    names = list(dict.fromkeys(key for one in done for key in one.hyperparameters))
    plots = {"history.png": history(records, directions)}
    if importances:
        plots["importance.png"] = importance(importances)
    if names:
        plots["parallel_coordinates.png"] = parallel_coordinates(done, names, directions)
    for name, figure in plots.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=120)
        write_file(folder / name, content.getvalue())
    return list(plots)


def canvas(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, drawn without a display and without the global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, squeeze=False)[:, 0]


def history(records: list[TrialRecord], directions: list[str]) -> Any:
    """Each trial's objective in the order of the trials, and the best so far."""
    figure, axes = canvas(7, 3.2 * len(directions), len(directions))
    for place, (direction, axis) in enumerate(zip(directions, axes, strict=True)):
        points = [(x, one.objectives[place]) for x, one in enumerate(records) if one.objectives]
        axis.plot(*zip(*points, strict=True), "o", color=BLUE, label="trial")
        best: list[float] = []
        pick = min if direction == "minimize" else max
        for _, value in points:
            best.append(value if not best else pick(best[-1], value))
        axis.step([x for x, _ in points], best, where="post", color=RED, label="best so far")
        for state, mark in (("pruned", "|"), ("failed", "x")):
            gone = [x for x, one in enumerate(records) if one.state == state]
            if gone:
                axis.plot(gone, [0.03] * len(gone), mark, color=GREY, label=state, transform=axis.get_xaxis_transform())
        axis.set_xlabel("trial")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylabel(f"objective ({direction})" if len(directions) == 1 else f"objective {place + 1} ({direction})")
        axis.legend()
    return figure


def importance(importances: dict[str, dict[str, float]]) -> Any:
    """The share of each argument in the differences of the objective, as bars."""
    rows = max(len(shares) for shares in importances.values())
    figure, axes = canvas(7, (1.2 + 0.4 * rows) * len(importances), len(importances))
    for (name, shares), axis in zip(importances.items(), axes, strict=True):
        keys = list(reversed(shares))
        axis.barh(keys, [shares[key] for key in keys], color=BLUE)
        axis.set_xlim(0, 1)
        axis.set_xlabel(f"importance for the {name}")
    return figure


def parallel_coordinates(done: list[TrialRecord], names: list[str], directions: list[str]) -> Any:
    """One line for each finished trial through all of its values; the better, the darker."""
    from matplotlib import colormaps

    figure, (axis,) = canvas(max(6.0, 1.6 * (len(names) + 1)), 4)
    values = [(one.objectives or [math.nan])[0] for one in done]
    order = sorted(range(len(done)), key=lambda index: values[index], reverse=directions[0] == "maximize")
    columns = [scaled([one.hyperparameters.get(name) for one in done]) for name in names]
    columns.append(scaled(values))
    for rank, index in reversed(list(enumerate(order))):
        shade = colormaps["Blues"](1.0 - 0.75 * rank / max(len(order) - 1, 1))
        axis.plot(range(len(columns)), [column[0][index] for column in columns], color=shade)
    for place, (_, low, high) in enumerate(columns):
        axis.axvline(place, color=GREY, linewidth=0.8)
        axis.annotate(low, (place, -0.02), ha="center", va="top", annotation_clip=False)
        axis.annotate(high, (place, 1.02), ha="center", va="bottom", annotation_clip=False)
    axis.set_xticks(range(len(columns)), [*names, "objective"], rotation=20, ha="right")
    axis.tick_params(axis="x", length=0, pad=18)
    axis.set_ylim(-0.12, 1.12)
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    return figure


def scaled(values: list[Any]) -> tuple[list[float], str, str]:
    """Values from 0 to 1 with the names of both ends: numbers by size, on a log scale over a factor of 100."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) and all(map(math.isfinite, numbers)):
        low, high = min(numbers), max(numbers)
        log = low > 0 and high / low > 100
        ends = (math.log(low), math.log(high)) if log else (float(low), float(high))
        width = ends[1] - ends[0]
        places = [((math.log(one) if log else one) - ends[0]) / width if width else 0.5 for one in numbers]
        return places, f"{low:.3g}", f"{high:.3g}"
    kinds = sorted({str(value) for value in values})
    steps = max(len(kinds) - 1, 1)
    return [kinds.index(str(value)) / steps for value in values], kinds[0], kinds[-1]
