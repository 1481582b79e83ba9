"""How an artefact is used: three lines of Python for each format, without this library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.export.parts import Part

# Format → lines, with {path} of a part's file without its ending, {names} of what is read and {first} output.
LINES = {
    "onnx": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession("{path}.onnx")',
        "outputs = session.run(None, {{{fields}}})  # arrays: {first}",
    ),
    "torchscript": (
        "import torch",
        'model = torch.jit.load("{path}.pt")',
        "outputs = model({names})  # tensors: {first}",
    ),
    "torch-export": (
        "import torch",
        'model = torch.export.load("{path}.pt2").module()',
        "outputs = model({names})  # tensors: {first}",
    ),
    "aoti": (
        "import torch",
        'model = torch._inductor.aoti_load_package("{path}.pt2")',
        "outputs = model({names})  # tensors: {first}",
    ),
    "jax": (
        "import jax, safetensors.flax",
        'function = jax.export.deserialize(open("{path}.jax", "rb").read()).call',
        'outputs = function(safetensors.flax.load_file("{path}.safetensors"), {{{fields}}})  # a dict: {first}',
    ),
    "tensorflow": (
        "import tensorflow as tf",
        'serve = tf.saved_model.load("{path}").signatures["serving_default"]',
        "outputs = serve({keywords})  # a dict: {first}",
    ),
    "openvino": (
        "import openvino",
        'model = openvino.Core().compile_model("{path}.xml")',
        "outputs = model({{{fields}}})  # by name: {first}",
    ),
}


def usage(format: str, folder: Path, part: Part) -> list[str]:
    """Lines that load one part of an artefact and run it."""
    return [
        line.format(
            path=folder / part.name,
            names=", ".join(grouped(part)),
            fields=", ".join(f"**{name[1:]}" if name[0] == "*" else f'"{name}": {name}' for name in grouped(part)),
            keywords=", ".join(f"**{name[1:]}" if name[0] == "*" else f"{name}={name}" for name in grouped(part)),
            first=part.outputs[0] + ", …" * (len(part.outputs) > 1),
        )
        for line in LINES[format]
    ]


def grouped(part: Part) -> Sequence[str]:
    """Names of what a part reads; keys and values of all layers are one, with a star."""
    names: dict[str, None] = {}
    for one in part.inputs:
        stem, dot, _ = one.name.partition(".")
        names[f"*{stem}" if dot else stem] = None
    return list(names)
