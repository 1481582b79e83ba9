"""One ONNX graph in onnxruntime: names and types of what it reads and gives, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar.errors import CorruptFileError, InputError, did_you_mean
from samovar.extras import require

# The providers that are asked for by default, in this order, as far as this machine has them.
CPU = "CPUExecutionProvider"
TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
}  # fmt: skip


class OnnxSession:
    """A graph of a file, ready to run with as many threads as torch has.

    `providers` are onnxruntime's names of what it runs on, best first (the CPU by default); `options` are attributes
    of its `SessionOptions`. Raises `MissingExtraError` without onnxruntime, `InputError` for a provider or option that
    this onnxruntime does not have, `CorruptFileError` for a file that it cannot read.
    """

    def __init__(
        self, path: Path, providers: Sequence[Any] | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        runtime = require("onnxruntime", "Running an ONNX file")
        self.path = path
        try:
            self.session = runtime.InferenceSession(
                str(path), session_options(runtime, options), providers=known_providers(runtime, providers)
            )
        except InputError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CorruptFileError(f"onnxruntime cannot read {path}: {reason}", "Export the model again.") from error
        self.inputs = {one.name: one for one in self.session.get_inputs()}
        self.shapes = {one.name: one.shape for one in self.session.get_outputs()}
        self.outputs = list(self.shapes)

    def along(self, name: str) -> set[str]:
        """The outputs whose second size is the last one of this input."""
        shape = self.inputs[name].shape if name in self.inputs else [None]
        return {out for out, sizes in self.shapes.items() if len(sizes) > 1 and sizes[1] == shape[-1]}

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output's name → array. Raises `InputError` for an input that is missing, unknown, or of another shape."""
        for name in given:
            if name not in self.inputs:
                hint = did_you_mean(name, self.inputs) or f"It reads {', '.join(self.inputs)}."
                raise InputError(f"{self.path.name} has no input {name!r}.", hint)
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise InputError(f"{self.path.name} reads {missing[0]!r}, which was not given.", "Give it too.")
        feed = {name: typed(value, self.inputs[name].type) for name, value in given.items()}
        try:
            return dict(zip(self.outputs, self.session.run(None, feed), strict=True))
        except Exception as error:
            self.explain(feed, error)
            raise

    def explain(self, feed: Mapping[str, np.ndarray], error: Exception) -> None:
        """Raise `InputError` where a shape or an id is what the graph cannot read."""
        for name, value in feed.items():
            wanted = self.inputs[name].shape
            fits = len(wanted) == value.ndim and all(
                not isinstance(size, int) or size == given for size, given in zip(wanted, value.shape, strict=True)
            )
            if not fits:
                raise InputError(
                    f"{name} is {value.shape}; {self.path.name} reads ({', '.join(map(str, wanted))}).",
                    "Give it in that shape.",
                ) from error
        if "out of data bounds" in str(error) or "indices element" in str(error):
            shape = next((value.shape for name, value in feed.items() if name == "input_ids"), ())
            raise InputError(
                f"{self.path.name} was given an id or a position that it has no row for (ids {shape}).",
                "Use the tokenizer of this model, with truncation=True.",
            ) from error


def typed(value: np.ndarray, wanted: str) -> np.ndarray:
    """The array in the graph's own type."""
    return np.ascontiguousarray(value, dtype=TYPES.get(wanted, value.dtype))


def session_options(runtime: Any, given: Mapping[str, Any] | None) -> Any:
    """Options of a session; raises `InputError` for one that there is not."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone: what it says beside them is about its own optimiser
    for name, value in (given or {}).items():
        if not hasattr(options, name):
            hint = did_you_mean(name, [one for one in dir(options) if not one.startswith("_")])
            raise InputError(f"onnxruntime's SessionOptions have no {name!r}.", hint or "Leave it out.")
        setattr(options, name, value)
    return options


def known_providers(runtime: Any, given: Sequence[Any] | None) -> list[Any]:
    """The providers asked for; raises `InputError` for one that this onnxruntime was not built with."""
    if given is None:
        return [CPU]
    there = runtime.get_available_providers()
    asked = [given] if isinstance(given, str) else list(given)
    for one in asked:
        name = one if isinstance(one, str) else one[0]
        if name not in there:
            raise InputError(
                f"This onnxruntime has no {name!r}; it has {', '.join(there)}.",
                "Install the package that brings it, such as onnxruntime-gpu, or leave providers out.",
            )
    return asked
