"""A metric is a function and what a reader must know of it; `@metric` puts the two into the table of all metrics."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from samovar.errors import did_you_mean
from samovar.evaluate.columns import Column, MetricError

Columns = Mapping[str, Column]
# Where the functions stand; each module registers its own on import, and none imports what only computing needs.
MODULES = (
    "classification", "probabilities", "regression", "ranking", "text", "translation", "speech", "models", "questions",
    "benchmarks", "vision",
)  # fmt: skip
METRICS: dict[str, Spec] = {}


@dataclass(frozen=True)
class Spec:
    """A metric: the function, its columns, and what its page says."""

    name: str
    function: Callable[..., dict[str, Any]]
    columns_of: Callable[[str | None], Columns]
    kind: str
    range: str
    better: str
    formula: str
    source: str
    library: str
    configs: tuple[str, ...]
    citation: str

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The function's keyword-only parameters, without `config_name`."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "config_name"}

    @property
    def takes_config(self) -> bool:
        """Whether the function is told the configuration."""
        return "config_name" in inspect.signature(self.function).parameters

    @property
    def description(self) -> str:
        """The docstring without its example."""
        return re.split(r"\n\s*>>> ", inspect.getdoc(self.function) or "", maxsplit=1)[0].strip()

    @property
    def example(self) -> str:
        """The docstring's example: lines of an interpreter session with their output."""
        text = inspect.getdoc(self.function) or ""
        return text[text.index(">>> ") :].strip() if ">>> " in text else ""

    def page(self) -> str:
        """All of it in Markdown: what it is, range, formula, inputs, options, source, an example."""
        columns = self.columns_of(self.configs[0] if self.configs else None)
        lines = [f"## {self.name}", "", self.description, "", f"- **Range**: {self.range}; {self.better} is better"]
        lines += [
            f"- **Formula**: {self.formula}",
            f"- **Source**: {self.source}",
            f"- **Computed by**: {self.library}",
        ]
        if self.configs:
            lines.append("- **Configurations**: " + ", ".join(f"`{name}`" for name in self.configs))
        lines += ["- **Inputs**:"] + [f"  - `{name}`: {column.describes}" for name, column in columns.items()]
        if self.options:
            lines.append("- **Options**: " + ", ".join(f"`{option_text(p)}`" for p in self.options.values()))
        return "\n".join([*lines, "", "```python", self.example, "```", ""])


def option_text(parameter: inspect.Parameter) -> str:
    """`name=default`, as one would write it."""
    return f"{parameter.name}={parameter.default!r}"


def metric(
    *,
    columns: Columns | Callable[[str | None], Columns],
    kind: str,
    range: str,
    formula: str,
    source: str,
    library: str,
    better: str = "higher",
    name: str | None = None,
    configs: tuple[str, ...] = (),
    citation: str = "",
) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Register a function as a metric, under its own name unless `name` is given.

    It takes the `columns` by keyword, checked and converted, and its options keyword-only; it returns a dictionary of
    values. `columns` may be a function of the configuration's name. The docstring's first part says what the metric
    means, its `>>>` example is run by the tests.
    """

    def register(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        columns_of = columns if callable(columns) else lambda _: columns
        own = name or function.__name__
        METRICS[own] = Spec(own, function, columns_of, kind, range, better, formula, source, library, configs, citation)
        return function

    return register


def all_metrics() -> dict[str, Spec]:
    """Name → metric, of all that are known."""
    for module in MODULES:
        importlib.import_module(f"samovar.evaluate.{module}")
    return METRICS


def find(name: str, config_name: str | None = None) -> Spec:
    """The metric of this name. Raises `MetricError` with near names, or with the configurations that it has."""
    known = all_metrics()
    if name not in known:
        hint = did_you_mean(name, known)
        raise MetricError(f"There is no metric {name!r}.", f"{hint} `list_metrics()` names them all.".strip())
    spec = known[name]
    if spec.configs and config_name not in spec.configs:
        given = "needs a configuration" if config_name is None else f"has no configuration {config_name!r}"
        raise MetricError(f"{name} {given}.", f"Give one of: {', '.join(spec.configs)}.")
    return spec


def pages() -> str:
    """The pages of all metrics, by kind, as `docs/metrics.md` has them."""
    known = all_metrics()
    kinds = sorted({spec.kind for spec in known.values()})
    index = [f"- {kind}: {', '.join(f'[{s.name}](#{s.name})' for s in by_kind(kind))}" for kind in kinds]
    parts = ["# Metrics", "", "`from samovar.evaluate import load`, then as in the examples.", "", *index, ""]
    return "\n".join([*parts, *(spec.page() for kind in kinds for spec in by_kind(kind))])


def by_kind(kind: str) -> list[Spec]:
    """The metrics of a kind, by name."""
    return [spec for name, spec in sorted(all_metrics().items()) if spec.kind == kind]
