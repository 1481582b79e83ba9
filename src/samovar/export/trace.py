"""Tracing a part: one graph of core operators for every size of its free dimensions."""

from __future__ import annotations

import io
import linecache
import logging
import os
import re
import warnings
from contextlib import contextmanager, redirect_stderr
from types import FrameType
from typing import TYPE_CHECKING

import torch

from samovar.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.export.parts import Part


UNEQUAL = re.compile(r"!=|[<>]")
CALL = re.compile(r"torch\.ops\.([\w.]+)\(")


def traced(part: Part) -> torch.export.ExportedProgram:
    """The part as a program whose named dimensions are free. Raises `ExportError` that names operator and layer."""
    example = part.example()
    free = [{axis: torch.export.Dim.DYNAMIC for axis, dim in enumerate(one.dims) if isinstance(dim, str)}
            for one in part.inputs]  # fmt: skip
    try:
        with quietly(), redirect_stderr(io.StringIO()):  # The tracer prints the whole graph when it fails.
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
    names = "torch.onnx", "torch._dynamo", "torch._inductor", "torch.export", "torch.fx.experimental.symbolic_shapes"
    loud = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loud]
    try:
        for logger in loud:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loud, before, strict=True):
            logger.setLevel(level)


def explained(part: Part, error: Exception) -> tuple[str, str]:
    """Cause and next step of a trace that failed: the operator, the innermost layer, and the line of its code."""
    operator, place = "", ""
    layers = {id(layer): name for name, layer in part.module.named_modules()}
    libraries = os.path.dirname(torch.__file__)
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if isinstance(frame.f_locals.get("func"), torch._ops.OpOverload):
            operator = str(frame.f_locals["func"])
        owner = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
        if id(owner) in layers and not frame.f_code.co_filename.startswith(libraries):
            name = layers[id(owner)].removeprefix("model.") or type(owner).__name__
            place = described(frame, trace.tb_lineno, name)
        trace = trace.tb_next
    if not operator:
        # A branch or size that hangs on values: the last operator of the graph so far took them out of a tensor.
        operator = (CALL.findall(str(getattr(error, "partial_fx_graph", ""))) or [""])[-1]
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    what = f"{operator} cannot be exported" if operator else f"{part.name} cannot be traced"
    return (
        f"{what}{place}: {reason}",
        "Compute the same without a branch or a size that hangs on a tensor's values, or export another head.",
    )


def described(frame: FrameType, number: int, layer: str) -> str:
    """Where a line of a layer's code stands, and the line."""
    code = frame.f_code
    line = linecache.getline(code.co_filename, number).strip()
    return f", in layer {layer!r} ({code.co_qualname}, {os.path.basename(code.co_filename)}:{number}: `{line}`)"
