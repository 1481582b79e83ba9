"""Pipelines: a task from raw input to plain Python answers. Importing this package loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.pipelines.factory import pipeline
from samovar.pipelines.registry import PIPELINE_REGISTRY

if TYPE_CHECKING:
    from samovar.pipelines.base import Pipeline

__all__ = ["PIPELINE_REGISTRY", "Pipeline", "pipeline"]


def __getattr__(name: str) -> Any:
    if name != "Pipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}.")
    from samovar.extras import require

    require("torch", feature="Running a pipeline")
    from samovar.pipelines.base import Pipeline

    return Pipeline
