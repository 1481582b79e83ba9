"""OpenVINO: an `.xml` file and a `.bin` file for each part, made of its ONNX graph, with weights in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from samovar.errors import ExportError
from samovar.export import onnx_format
from samovar.export.comparing import Runner
from samovar.export.parts import Part
from samovar.extras import require

PACKAGES: Sequence[str] = ("onnx", "onnxscript", "openvino")
OPTIONS: Sequence[str] = ()


def write(part: Part, folder: Path) -> None:
    """Write `<part>.xml` and `<part>.bin`. Raises `ExportError`."""
    openvino = require("openvino", "Exporting to openvino")
    with tempfile.TemporaryDirectory() as beside:
        onnx_format.write(part, Path(beside))
        try:
            model = openvino.Core().read_model(Path(beside) / f"{part.name}.onnx")
            openvino.save_model(model, folder / f"{part.name}.xml", compress_to_fp16=False)
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ExportError(f"OpenVINO cannot read {part.name}: {reason}", "Export it to onnx.") from error


def runner(part: Part, folder: Path) -> Runner:
    """The files, compiled for the CPU; all numbers stay float32, as some processors would else take half of them."""
    openvino = require("openvino", "Running an OpenVINO model")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(torch.get_num_threads())}
    compiled = openvino.Core().compile_model(folder / f"{part.name}.xml", "CPU", options)

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = compiled({name: np.ascontiguousarray(value) for name, value in given.items()})
        return [np.asarray(found[name]) for name in part.outputs]

    return run
