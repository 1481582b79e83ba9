"""A checkpoint as a model without weights: built on the meta device and filled from headers, as loading would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samovar.cli.inspect import SIZES
from samovar.cli.stored import Headers, Stored
from samovar.errors import SamovarError, UnknownArchitectureError
from samovar.hub.source import Source
from samovar.registry import backbone_class, model_type_of
from samovar.weights.load import NoInitialisation, Plan, config_for, stream


@dataclass
class Structure:
    """What is known of a checkpoint's model; `parameters` are in its own names, each shared one once."""

    name: str
    config: dict[str, Any]
    parameters: dict[str, Stored] = field(default_factory=dict)
    trainable: int | None = None
    tied: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    reads: str | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def structure(source: Source, values: dict[str, Any]) -> Structure:
    """The structure of the checkpoint whose `config.json` holds `values`; of an unknown architecture what files say."""
    saved_from = values.get("architectures") or []
    result = Structure(saved_from[0] if saved_from else "unknown", {"model_type": values.get("model_type")})
    headers = stored(source, result)
    try:
        cls = class_for(model_type_of(values, source.name), saved_from, result)
        config = config_for(cls, values, source.name)
    except UnknownArchitectureError as error:
        result.notes.append(f"{error.cause} Shown as its files name it.")
        result.config |= {name: values[name] for name in SIZES if name in values}
        result.parameters = dict(headers.stored) if headers else {}
        result.memory = memory(result.parameters, headers)
        return result
    result.config = summary(config)
    result.reads = cls.main_input_name
    with torch.device("meta"), NoInitialisation():
        model = cls(config)
    if headers is not None and not result.problems:
        try:
            plan = Plan(cls, headers, config)
            plan.settle_labels(config)
            with torch.device("meta"), NoInitialisation():
                model = cls(config)
                loaded = stream(model, plan, headers, None, torch.device("meta"), ignore_sizes=False)
            if loaded.missing:
                result.notes.append(f"Not in the files, so loading starts it anew: {', '.join(sorted(loaded.missing))}")
            if loaded.other_heads:
                result.notes.append(f"In the files, but not in this class: {', '.join(sorted(loaded.other_heads))}")
        except SamovarError as error:
            result.problems.append(str(error))
    result.parameters = {name: described(one) for name, one in model.named_parameters()}
    result.trainable = sum(one.numel() for one in model.parameters() if one.requires_grad)
    result.tied = dict(model.tied)
    result.memory = memory(result.parameters, headers)
    return result


def stored(source: Source, result: Structure) -> Headers | None:
    """The headers of the weights; what is wrong with them goes to the problems."""
    try:
        headers = Headers(source)
    except SamovarError as error:
        result.problems.append(str(error))
        return None
    result.problems += headers.problems
    result.files = headers.files
    return headers


def class_for(model_type: str, saved_from: list[str], result: Structure) -> Any:
    """The class that the checkpoint was saved from, or else its backbone."""
    backbone = backbone_class(model_type)
    for cls in (backbone, *backbone.tasks.values()):
        if cls.__name__ in saved_from:
            return cls
    if saved_from:
        result.notes.append(f"Saved from {saved_from[0]}, which there is none of here: shown as {backbone.__name__}.")
    result.name = backbone.__name__
    return backbone


def summary(config: Any) -> dict[str, Any]:
    """The sizes of a configuration, and its labels where it was given any."""
    values = {"model_type": config.model_type} | {name: getattr(config, name, None) for name in SIZES}
    values["dtype"] = config.dtype
    if {"id2label", "label2id"} & config.given:
        values["labels"] = list(config.id2label.values())
    return values


def described(tensor: Tensor) -> Stored:
    """A parameter's shape and type."""
    return Stored(tuple(tensor.shape), tensor.dtype)


def memory(parameters: Mapping[str, Stored], headers: Headers | None) -> dict[str, Any]:
    """Bytes of the weights: as stored by type, and of all parameters in other types.

    `int8` counts matrices as a byte a number and a float32 scale a row, and all else as float32.
    """
    as_stored: dict[str, int] = {}
    for one in headers.stored.values() if headers is not None else ():
        name = str(one.dtype).removeprefix("torch.")
        as_stored[name] = as_stored.get(name, 0) + one.bytes
    sizes = [(one.shape, one.bytes // one.dtype.itemsize) for one in parameters.values()]
    total = sum(count for _, count in sizes)
    small = sum(count + 4 * shape[0] if len(shape) == 2 else 4 * count for shape, count in sizes)
    return {"stored": as_stored, "float32": 4 * total, "bfloat16": 2 * total, "int8": small}
