"""Which ONNX files a folder or repository has, whoever exported them, and what they are of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar.errors import CorruptFileError, FileMissingError
from samovar.hub.source import Source

# What export_model writes beside the graphs; folders of other exporters have no such file.
MANIFEST = "export.json"
# Where the field's exporters put a graph, the usual place first.
PLACES = ("", "onnx/")
WHOLE = "model"
SEQUENCE = ("encoder_model", "decoder_model", "decoder_with_past_model")
# Names of a file with the weights of a graph, beside it.
BESIDE = ("_data", ".data")


@dataclass
class OnnxFiles:
    """Part's name → its file; the manifest where there is one; every file that belongs to the graphs."""

    graphs: dict[str, Path]
    manifest: dict[str, Any] = field(default_factory=dict)
    every: list[Path] = field(default_factory=list)


def find_graphs(source: Source, file_name: str | None = None) -> OnnxFiles:
    """The graphs of a checkpoint: one, or the three of an encoder–decoder.

    `file_name` names one of several graphs of the whole model, such as `model_quantized.onnx`. Raises
    `FileMissingError` that says which part is missing.
    """
    found = OnnxFiles({})
    if file_name is not None:
        add(found, source, WHOLE, source.require(file_name))
    for place in PLACES:
        if found.graphs:
            break
        for name in (WHOLE, SEQUENCE[0]):
            path = source.file(f"{place}{name}.onnx")
            if path is not None and not found.graphs:
                add(found, source, name, path, place)
                for further in SEQUENCE[1:] if name == SEQUENCE[0] else ():
                    add(found, source, further, part(source, f"{place}{further}.onnx"), place)
    if not found.graphs:
        raise FileMissingError(
            f"{source.name} has no ONNX graph: neither {WHOLE}.onnx nor {SEQUENCE[0]}.onnx.",
            "Write one with samovar.export_model(model, 'onnx', folder), or pass file_name=.",
        )
    path = source.file(MANIFEST)
    if path is not None:
        found.manifest = manifest_of(path)
        found.every.append(path)
    return found


def part(source: Source, name: str) -> Path:
    """A further graph of an encoder–decoder. Raises `FileMissingError`."""
    return source.require(name, "An encoder–decoder is three graphs: " + ", ".join(SEQUENCE) + ".")


def add(found: OnnxFiles, source: Source, name: str, path: Path, place: str = "") -> None:
    """Take a graph in, with its weights where they lie beside it."""
    found.graphs[name] = path
    found.every.append(path)
    for ending in BESIDE:
        weights = source.file(f"{place}{path.name}{ending}")
        if weights is not None:
            found.every.append(weights)


def manifest_of(path: Path) -> dict[str, Any]:
    """What an export says of itself. Raises `CorruptFileError`."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CorruptFileError(f"{path} is no JSON: {error}.", "Export the model again.") from error
    if not isinstance(values, dict):
        raise CorruptFileError(f"{path} is no mapping.", "Export the model again.")
    return values
