"""The report of a run: `report/index.html`, one page that needs nothing else, curves as PNG, and the log as CSV."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.errors import MissingExtraError
from samovar.extras import require
from samovar.hub.atomic import write_beside
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import TrainerCallback, TrainerControl, TrainerState
from samovar.training.page import PAGE, drawn, table, tile

logger = logging.getLogger(__name__)

Curve = list[tuple[int, float]]
SPEEDS = ("runtime", "samples_per_second", "steps_per_second")


class ReportCallback(TrainerCallback):
    """Writes the report when a run ends. If that fails it is said, and the trained model is as it was."""

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **k: Any
    ) -> None:
        """`<output_dir>/report/`."""
        if not state.is_world_process_zero or not state.log_history:
            return
        try:
            write_report(Path(args.output_dir) / "report", state, args, title=type(model).__name__)
        except Exception as error:  # A picture is not worth a training.
            logger.warning("The report could not be written: %s", error)


def curves(history: list[dict[str, Any]]) -> dict[str, dict[str, Curve]]:
    """Title → name → points (step, value): losses together, rate, gradients, and each metric of the evaluation."""
    found: dict[str, dict[str, Curve]] = {}

    def add(title: str, name: str, step: int, value: Any) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.setdefault(title, {}).setdefault(name, []).append((step, float(value)))

    for entry in history:
        step = int(entry.get("step", 0))
        for key, value in entry.items():
            if key in ("step", "epoch") or key.startswith("train_") or key.endswith(SPEEDS):
                continue
            if key in ("loss", "eval_loss"):
                add("loss", {"loss": "training", "eval_loss": "evaluation"}[key], step, value)
            else:
                add(key.removeprefix("eval_"), "evaluation" if key.startswith("eval_") else "training", step, value)
    order = {"loss": 0, "learning_rate": 8, "grad_norm": 9}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], 1)))


def smoothed(points: Curve) -> Curve:
    """An exponential mean, over about a twentieth of the points."""
    weight, mean, result = 1 - min(20 / max(len(points), 1), 1.0), None, []
    for step, value in points:
        mean = value if mean is None else weight * mean + (1 - weight) * value
        result.append((step, mean))
    return result


def write_report(
    folder: str | Path, state: TrainerState, args: TrainingArguments, *, title: str = "", extra: Mapping[str, Any] = {}
) -> Path:
    """Write page, pictures and log into `folder`; the page's path. Without matplotlib there are no PNG files."""
    found = curves(state.log_history)
    with write_beside(folder) as beside:
        pictures = {name: png(name, lines, state) for name, lines in found.items()}
        for name, picture in pictures.items():
            if picture is not None:
                (beside / f"{name.replace('/', '_')}.png").write_bytes(picture)
        keys = list(dict.fromkeys(key for entry in state.log_history for key in entry))
        with (beside / "log.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, keys)
            rows.writeheader()
            rows.writerows(state.log_history)
        (beside / "index.html").write_text(page(found, state, args, title, extra), "utf-8")
    return Path(folder) / "index.html"


def png(title: str, lines: dict[str, Curve], state: TrainerState) -> bytes | None:
    """A picture of one group of curves; None without matplotlib. The user's own figures are not touched."""
    try:
        require("matplotlib", "Curves as PNG")
    except MissingExtraError:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, points in lines.items():
        colour = {"training": "#b5532a", "evaluation": "#2a6cb5"}[name]
        many = name == "training" and title == "loss" and len(points) > 20
        if many:
            axes.plot(*zip(*points, strict=True), color=colour, alpha=0.25, linewidth=1)
        style: dict[str, Any] = {"marker": "o", "markersize": 4} if len(points) < 30 else {}
        axes.plot(*zip(*(smoothed(points) if many else points), strict=True), color=colour, label=name, **style)
    if state.best_global_step is not None and "evaluation" in lines:
        axes.axvline(state.best_global_step, color="#777777", linestyle=":", linewidth=1, label="best")
    axes.set_title(title.replace("_", " "))
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    written = io.BytesIO()
    FigureCanvasAgg(figure).print_png(written)
    return written.getvalue()


def page(
    found: dict[str, dict[str, Curve]], state: TrainerState, args: TrainingArguments, title: str,
    extra: Mapping[str, Any],
) -> str:  # fmt: skip
    """The page."""
    last: dict[str, Any] = {}
    for entry in state.log_history:
        last |= entry
    evaluations = [entry for entry in state.log_history if any(key.startswith("eval_") for key in entry)]
    tiles = [tile("Steps", "Шагов", f"{state.global_step:,}"), tile("Epochs", "Эпох", f"{state.epoch:g}")]
    if "train_loss" in last:
        tiles.insert(0, tile("Mean training loss", "Средняя ошибка обучения", f"{last['train_loss']:.4g}"))
        tiles.append(tile("Seconds", "Секунд", f"{last['train_runtime']:,.0f}"))
        tiles.append(tile("Rows per second", "Строк в секунду", f"{last['train_samples_per_second']:.3g}"))
    if state.best_metric is not None:
        name = html.escape(str(args.metric_for_best_model))
        tiles.insert(0, tile(f"Best {name}", f"Лучшее {name}", f"{state.best_metric:.4g}"))
    defaults = {
        one.name: one.default_factory() if callable(one.default_factory) else one.default
        for one in dataclasses.fields(args)
    }
    values = args.to_dict()
    changed = {key: value for key, value in values.items() if value != defaults.get(key)}
    rest = {key: value for key, value in values.items() if key not in changed}
    columns = [key for key in dict.fromkeys(key for row in evaluations for key in row) if not key.endswith(SPEEDS)]
    return PAGE.format(
        title=html.escape(title or "Training"),
        tiles="".join(tiles),
        curves="".join(drawn(name, lines, state.best_global_step) for name, lines in found.items()),
        evaluations=table(columns, [[row.get(key, "") for key in columns] for row in evaluations]),
        changed=table(["", ""], list(map(list, changed.items()))),
        rest=table(["", ""], list(map(list, rest.items()))),
        environment=table(["", ""], list(map(list, {**environment(), **extra}.items()))),
    )


def environment() -> dict[str, str]:
    """Versions, and the device."""
    import torch

    import samovar

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return {
        "samovar": samovar.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": f"{device}, {torch.get_num_threads()} threads" if str(device) == "cpu" else str(device),
    }
