"""`load`, `combine` and the objects that they give: add rows, then compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from samovar.errors import did_you_mean
from samovar.evaluate.columns import Column, MetricError, Values
from samovar.evaluate.results import Results
from samovar.evaluate.spec import Spec, all_metrics, find
from samovar.evaluate.store import Store


class Metric:
    """One metric and the rows that were added to it.

    Rows wait in a temporary file, so that memory stays flat while they are added. `compute` gives the values and
    forgets the rows; if it raises, they are all still there.
    """

    def __init__(self, spec: Spec, config_name: str | None = None) -> None:
        self.spec = spec
        self.config_name = config_name
        self.columns: Mapping[str, Column] = spec.columns_of(config_name)
        self.stores = {name: Store(name, column.streamed) for name, column in self.columns.items()}

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.spec.name

    @property
    def description(self) -> str:
        """What it means."""
        return self.spec.description

    @property
    def inputs_description(self) -> str:
        """Its page: range, formula, inputs, options, source, an example."""
        return self.spec.page()

    @property
    def features(self) -> dict[str, str]:
        """Column → what it holds."""
        return {name: column.describes for name, column in self.columns.items()}

    @property
    def citation(self) -> str:
        """BibTeX of the source, where the metric states one, else the source."""
        return self.spec.citation or self.spec.source

    def __len__(self) -> int:
        return next(iter(self.stores.values())).rows

    def __bool__(self) -> bool:
        return True

    def add(self, **row: Any) -> None:
        """Add one row: `add(prediction=1, reference=0)`; the columns' own names do as well."""
        self.add_batch(**{self.column_name(name): [value] for name, value in row.items()})

    def add_batch(self, **batch: Any) -> None:
        """Add rows: `add_batch(predictions=[…], references=[…])`, all of it or, with a `MetricError`, nothing."""
        self.append(self.converted(batch))

    def compute(self, **inputs: Any) -> Results:
        """The metric of all rows, those given here included; options by keyword.

        Raises `MetricError` for unknown columns and options, unequal lengths, no rows, and values that do not fit.
        """
        batch = {name: inputs.pop(name) for name in list(inputs) if name in self.columns}
        self.check_options(inputs)
        rows = self.converted(batch) if any(value is not None for value in batch.values()) else None
        if rows is not None and not len(self):
            results = self.evaluate(rows, inputs)  # Nothing waits in a file: no need to write one.
        else:
            marks = {name: store.mark() for name, store in self.stores.items()}
            try:
                if rows is not None:
                    self.append(rows)
                results = self.evaluate({name: store.read() for name, store in self.stores.items()}, inputs)
            except BaseException:
                for name, store in self.stores.items():
                    store.rewind(marks[name])
                raise
        self.reset()
        return results

    def reset(self) -> None:
        """Forget the rows that were added."""
        for store in self.stores.values():
            store.clear()

    # Steps --------------------------------------------------------------------------------------------------------

    def column_name(self, name: str) -> str:
        """`prediction` → `predictions`."""
        return f"{name}s" if name not in self.columns and f"{name}s" in self.columns else name

    def converted(self, batch: Mapping[str, Any]) -> dict[str, Values]:
        """The batch checked: every column there, known, valid and of one length."""
        for name in batch:
            if name not in self.columns:
                hint = did_you_mean(name, self.columns)
                raise MetricError(f"{self.name} has no column {name!r}.", f"It takes {listed(self.columns)}. {hint}")
        missing = [name for name in self.columns if batch.get(name) is None]
        if missing:
            raise MetricError(f"{self.name} lacks {listed(missing)}.", f"It takes {listed(self.columns)}.")
        first = len(self)
        rows = {name: column.convert(batch[name], name, first) for name, column in self.columns.items()}
        lengths = {name: len(values) for name, values in rows.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise MetricError(f"The columns have unequal lengths: {found}.", "Give each prediction its reference.")
        for name, values in rows.items():
            self.stores[name].check(values)
        return rows

    def append(self, rows: Mapping[str, Values]) -> None:
        """Write checked rows."""
        for name, values in rows.items():
            self.stores[name].append(values)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise `MetricError` for an option that the metric does not have."""
        for name in options:
            if name not in self.spec.options:
                known = listed(self.spec.options) if self.spec.options else "none"
                hint = did_you_mean(name, [*self.spec.options, *self.columns])
                raise MetricError(f"{self.name} has no option {name!r}.", f"Its options: {known}. {hint}".strip())

    def evaluate(self, rows: Mapping[str, Any], options: Mapping[str, Any]) -> Results:
        """Call the function on rows that were checked."""
        if not len(next(iter(rows.values()))):
            raise MetricError(f"{self.name} has nothing to compute: no rows were added.", "Add at least one.")
        config = {"config_name": self.config_name} if self.spec.takes_config else {}
        values = self.spec.function(**rows, **config, **options)
        return Results({key: value.item() if isinstance(value, np.generic) else value for key, value in values.items()})

    def __repr__(self) -> str:
        config = f", {self.config_name!r}" if self.config_name else ""
        return f"Metric({self.name!r}{config}): {self.description.splitlines()[0]} {len(self)} rows added."


class CombinedMetrics:
    """Several metrics of the same rows; where two give a value of one name, the metric's name comes before it."""

    def __init__(self, metrics: Mapping[str, Metric], prefix: bool = False) -> None:
        self.metrics = dict(metrics)
        self.prefix = prefix

    @property
    def name(self) -> str:
        """The names of all."""
        return "+".join(self.metrics)

    def add(self, **row: Any) -> None:
        """Add one row to all."""
        self.add_batch(**{self.column_name(name): [value] for name, value in row.items()})

    def add_batch(self, **batch: Any) -> None:
        """Add rows to all, or, with a `MetricError`, to none."""
        rows = self.converted(batch)
        for name, metric in self.metrics.items():
            metric.append(rows[name])

    def compute(self, **inputs: Any) -> Results:
        """All values in one dictionary; each metric gets the options that it has. If one raises, no row is lost."""
        columns = {name for metric in self.metrics.values() for name in metric.columns}
        batch = {name: inputs.pop(name) for name in list(inputs) if name in columns}
        stores = [store for metric in self.metrics.values() for store in metric.stores.values()]
        marks = [store.mark() for store in stores]
        try:
            if batch:
                self.add_batch(**batch)
            rows = {
                name: {column: store.read() for column, store in metric.stores.items()}
                for name, metric in self.metrics.items()
            }
            results = self.evaluate(rows, inputs)
        except BaseException:
            for store, mark in zip(stores, marks, strict=True):
                store.rewind(mark)
            raise
        for metric in self.metrics.values():
            metric.reset()
        return results

    def converted(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch checked, for each metric."""
        shared = {name: value if hasattr(value, "__len__") else list(value) for name, value in batch.items()}
        return {name: metric.converted(self.share(metric, shared)) for name, metric in self.metrics.items()}

    def evaluate(self, rows: Mapping[str, Any], options: Mapping[str, Any]) -> Results:
        """All metrics on rows that were checked."""
        known = {name for metric in self.metrics.values() for name in metric.spec.options}
        for name in options:
            if name not in known:
                raise MetricError(
                    f"None of {self.name} has an option {name!r}.", f"Their options: {listed(sorted(known))}."
                )
        found = {
            name: metric.evaluate(rows[name], {key: options[key] for key in options if key in metric.spec.options})
            for name, metric in self.metrics.items()
        }
        keys = [key for values in found.values() for key in values]
        return Results(
            {
                f"{name}_{key}" if self.prefix or keys.count(key) > 1 else key: value
                for name, values in found.items()
                for key, value in values.items()
            }
        )

    def column_name(self, name: str) -> str:
        """`prediction` → `predictions`."""
        known = {column for metric in self.metrics.values() for column in metric.columns}
        return f"{name}s" if name not in known and f"{name}s" in known else name

    def share(self, metric: Metric, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What of the batch is for one metric; a column that none takes is shown to the first, which refuses it."""
        known = {name for other in self.metrics.values() for name in other.columns}
        return {name: value for name, value in batch.items() if name in metric.columns or name not in known}

    def __repr__(self) -> str:
        return f"CombinedMetrics({', '.join(self.metrics)})"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *start, last = names
    return f"{', '.join(start)} and {last}" if start else last


def load(path: str, config_name: str | None = None, *, num_process: int = 1, process_id: int = 0) -> Metric:
    """The metric of this name; nothing is fetched: all of them are part of the package.

    `config_name` chooses among those of benchmarks such as glue. Raises `MetricError`, with near names.
    """
    if num_process != 1 or process_id != 0:
        raise MetricError(
            "A metric counts the rows of its own process.",
            "Gather predictions and references first (`accelerator.gather_for_metrics`), then add them on one process.",
        )
    name = path.removeprefix("evaluate-metric/").removeprefix("metrics/")
    return Metric(find(name, config_name), config_name)


def combine(
    metrics: Sequence[str | Metric] | Mapping[str, str | Metric], force_prefix: bool = False
) -> CombinedMetrics:
    """Several metrics as one. With a dictionary, its keys name them, and stand before their values."""
    if isinstance(metrics, Mapping):
        named = {name: load(item) if isinstance(item, str) else item for name, item in metrics.items()}
        return CombinedMetrics(named, prefix=True)
    loaded = [load(item) if isinstance(item, str) else item for item in metrics]
    names = [item.name for item in loaded]
    numbered = [f"{name}_{names[:i].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]
    if not loaded:
        raise MetricError("There is nothing to combine.", "Name at least one metric.")
    return CombinedMetrics(dict(zip(numbered, loaded, strict=True)), force_prefix)


def list_metrics(kind: str | None = None, with_details: bool = False) -> list[Any]:
    """The names of all metrics, or of one kind: classification, regression, text, …; or dictionaries about them."""
    known = all_metrics()
    kinds = sorted({spec.kind for spec in known.values()})
    if kind is not None and kind not in kinds:
        raise MetricError(f"There is no kind {kind!r} of metric.", f"There are: {', '.join(kinds)}.")
    found = [spec for name, spec in sorted(known.items()) if kind in (None, spec.kind)]
    if not with_details:
        return [spec.name for spec in found]
    return [
        {"name": s.name, "kind": s.kind, "description": s.description.splitlines()[0], "range": s.range} for s in found
    ]
