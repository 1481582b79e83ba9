"""Evaluation results as a card states them (`model-index`), taken apart without trusting its shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST = 200


@dataclass(frozen=True)
class Result:
    """One row: a metric's value on a data set."""

    task: str
    dataset: str
    split: str
    metric: str
    value: float | str
    verified: bool


def results(card: dict[str, Any], name: str) -> list[Result]:
    """All rows of `model-index`; what does not have the form is left out."""
    found: list[Result] = []
    for model in many(card.get("model-index")):
        for one in many(model.get("results")):
            task, dataset = part(one, "task"), part(one, "dataset")
            for metric in many(one.get("metrics")):
                value = metric.get("value")
                if isinstance(value, bool) or not isinstance(value, int | float | str):
                    continue
                found.append(
                    Result(
                        task=text(task.get("name") or task.get("type")),
                        dataset=text(dataset.get("name") or dataset.get("type")),
                        split=text(dataset.get("split")),
                        metric=text(metric.get("name") or metric.get("type")),
                        value=float(value) if isinstance(value, int | float) else text(value),
                        verified=metric.get("verified") is True,
                    )
                )
    return found[:MOST]


def many(value: object) -> list[dict[str, Any]]:
    """The mappings of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def part(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A mapping inside a mapping."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def text(value: object) -> str:
    """A text of sensible length."""
    return str(value)[:200] if isinstance(value, str | int | float) else ""
