"""Tracing a part: one graph of core operators for every size of its free dimensions."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from samovar.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.export.parts import Part


UNEQUAL = re.compile(r"!=|[<>]")


def traced(part: Part) -> torch.export.ExportedProgram:
    """The part as a program whose named dimensions are free. Raises `ExportError` that names operator and layer."""
    example = part.example()
    free = [{axis: torch.export.Dim.DYNAMIC for axis, dim in enumerate(one.dims) if isinstance(dim, str)}
            for one in part.inputs]  # fmt: skip
    try:
        with quietly():
            program = torch.export.export(
                part.module, tuple(example.values()), dynamic_shapes=(tuple(free),), strict=False
            )
    except Exception as error:
        raise ExportError(*explained(part, error)) from error
    # A slice asks of its bounds whether they are 0 or meet, and does the same either way. What is noted of the answers
    # would forbid a past of no tokens and a text of one; that sizes belong together (`==`) stays required.
    program._guards_code = [guard for guard in program._guards_code if not UNEQUAL.search(guard)]
    return program


@contextmanager
def quietly() -> Iterator[None]:
    """Without what tracers say about themselves."""
    loud = logging.getLogger("torch.onnx"), logging.getLogger("torch._dynamo"), logging.getLogger("torch.export")
    before = [logger.level for logger in loud]
    try:
        for logger in loud:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loud, before, strict=True):
            logger.setLevel(level)


def explained(part: Part, error: Exception) -> tuple[str, str]:
    """Cause and next step of a trace that failed: the innermost layer and line of the model's own code."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code, scope = trace.tb_frame.f_code, trace.tb_frame.f_locals
        if "samovar" in code.co_filename and isinstance(scope.get("self"), torch.nn.Module):
            layer = next((name for name, one in part.module.named_modules() if one is scope["self"]), "")
            place = f" in layer {layer or type(scope['self']).__name__!r} ({code.co_qualname}, line {trace.tb_lineno})"
        trace = trace.tb_next
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{part.name} cannot be traced{place}: {reason}", "Export another head, or leave out what the cause names."
