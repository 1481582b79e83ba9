"""What all evaluators share: names of results, and the table that they are kept in."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from samovar.errors import InputError, SaveError
from samovar.sentence.similarity import similarity_named

logger = logging.getLogger(__name__)


class Evaluator:
    """Called as `evaluator(model, output_path=None, epoch=-1, steps=-1)`; gives numbers by name.

    `primary_metric` is the name of the number that says which model is best (None before the first call), and
    `greater_is_better` says how. With `output_path` a row is added to `csv_file` in that folder.
    """

    greater_is_better = True

    def __init__(self, name: str, csv_file: str, batch_size: int, write_csv: bool) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be above 0, got {batch_size}.", "Leave it out for the default.")
        self.name, self.csv_file, self.batch_size, self.write_csv = name, csv_file, batch_size, write_csv
        self.primary_metric: str | None = None

    def __call__(
        self, model: Any, output_path: str | Path | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Measure the model. An `epoch` of -1: not during training; `steps` of -1: at the end of the epoch."""
        raise NotImplementedError

    def finish(
        self,
        metrics: Mapping[str, float],
        row: Mapping[str, float],
        primary: str,
        output_path: str | Path | None,
        epoch: int,
        steps: int,
    ) -> dict[str, float]:
        """Name the results, choose the primary one, and add the `row` to the table."""
        prefix = f"{self.name}_" if self.name else ""
        self.primary_metric = prefix + primary
        if output_path is not None and self.write_csv:
            add_row(Path(output_path) / self.csv_file, {"epoch": epoch, "steps": steps, **row})
        results = {prefix + name: float(value) for name, value in metrics.items()}
        logger.info("%s: %s = %.4f", type(self).__name__, self.primary_metric, results[self.primary_metric])
        return results


def add_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row to a CSV file; rows of other columns than the file's go to one beside it, numbered."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stem, number = path.stem, 1
        while path.exists() and header(path) not in ([], list(row)):
            number += 1
            path = path.with_name(f"{stem}_{number}{path.suffix}")
        new = not path.exists() or not header(path)
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise SaveError(f"{path} cannot be written: {error}.", "Pass another output_path, or None.") from error


def header(path: Path) -> list[str]:
    """The names in the first line of a CSV file; none in an empty one."""
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def chosen_similarities(names: Iterable[str] | None, main: str | None, model: Any = None) -> list[str]:
    """Names of similarities: those given and the main one, or else the model's. Raises `InputError`."""
    chosen = [*(names or ()), *([main] if main else ())]
    if not chosen and model is not None:
        chosen = [model.similarity_fn_name]
    return list(dict.fromkeys(similarity_named(str(getattr(one, "value", one))).value for one in chosen))


def check_equal(**columns: Sequence[Any]) -> None:
    """Raise `InputError` unless all have as many rows, and at least one."""
    counts = {name: len(values) for name, values in columns.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise InputError(f"The evaluator got {said}.", "Give as many of each, and at least one.")
