"""`tf_model.h5`: the tensors of a Keras checkpoint, read one by one.

The file is HDF5 in Keras's layout for weights: a group for each layer, in it the weights under their whole names, such
as `tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0`; in files of shards the weights stand by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import CorruptFileError, UnsafeFileError
from samovar.extras import require
from samovar.weights.layouts import Stored, checked_size

LAYERS = ("weight_names", "weight_names0")  # Attributes of a layer's group; long lists are in several.


def tensorflow_tensors(path: Path) -> Iterator[Stored]:
    """The tensors of a file by PyTorch's names.

    Raises `CorruptFileError`, `UnsafeFileError` for a file that refers to others, `MissingExtraError` without h5py.
    """
    h5py: Any = require("h5py", f"Reading {path.name}")
    try:
        file = h5py.File(path, "r")
        found: list[tuple[str, Any]] = []
        # Links are not followed, whether within the file or out of it.
        file.visititems(lambda place, node: found.append((place, node)) if isinstance(node, h5py.Dataset) else None)
        layers = {name for name, node in file.items() if any(one in node.attrs for one in LAYERS)}
        yield from (stored(path, place, node, layers) for place, node in found if node.shape is not None)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CorruptFileError | UnsafeFileError):
            raise
        raise CorruptFileError(f"{path} is no whole HDF5 file: {error}.", "Download it again.") from error


def stored(path: Path, place: str, dataset: Any, layers: set[str]) -> Stored:
    """One weight, whose shape must fit what is stored of it."""
    if dataset.external or dataset.is_virtual:
        raise UnsafeFileError(f"{path}: {place} lies in another file.", "Do not use this file.")
    if dataset.dtype.kind not in "fiub" or dataset.compression is not None:
        raise CorruptFileError(f"{path}: {place} is no plain tensor ({dataset.dtype}).", "Save the weights by Keras.")
    checked_size(path, place, dataset.shape, dataset.dtype.itemsize, dataset.id.get_storage_size())
    first, _, rest = place.partition("/")
    levels = levels_of(rest if first in layers else place)
    return Stored(levels, dataset.shape, lambda: read(path, place, dataset))


def read(path: Path, place: str, dataset: Any) -> Tensor:
    """Its values."""
    try:
        values = np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise CorruptFileError(f"{path}: {place} cannot be read: {error}.", "Download it again.") from error
    return torch.from_numpy(np.array(values, dtype=values.dtype.newbyteorder("=")))


def levels_of(name: str) -> list[str]:
    """The path of layers in PyTorch: without the model's own scope, `a___b` as `b`, `layer_._0` as two levels."""
    name = re.sub(r"(?<=/)[^/]*___", "", name.removesuffix(":0")).replace("_._", "/")
    levels = [level for level in name.split("/") if level]
    return levels[1:] if len(levels) > 1 else levels
