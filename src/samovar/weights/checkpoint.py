"""A checkpoint's tensors by name, whatever files they are in; nothing is read before it is asked for."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from samovar.errors import CorruptFileError, FileMissingError, UnsafeFileError, WeightsError
from samovar.hub.source import Source

logger = logging.getLogger(__name__)

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
FLAX, TENSORFLOW = "flax_model.msgpack", "tf_model.h5"
# Single file and index, in the order in which they are looked for.
PYTORCH_FILES = ((SAFETENSORS, SAFETENSORS_INDEX), (PICKLE, PICKLE_INDEX))
OTHER_FILES = {"flax": (FLAX, f"{FLAX}.index.json"), "tensorflow": (TENSORFLOW, f"{TENSORFLOW}.index.json")}
# Formats that are not read: named in the error so that the reader knows what was found.
FOREIGN = ("model.ckpt.index", "model.onnx")


class Checkpoint:
    """Names, shapes and, on demand, tensors.

    Tensors from safetensors are views of a private, copy-on-write mapping of the file: pages are read when they are
    first used, writing to a tensor does not change the file, and no second copy is ever made. `framework` ("flax" or
    "tensorflow") asks for that framework's files, which else are read where there are no others.
    """

    def __init__(self, source: Source, framework: str | None = None) -> None:
        self.source = source
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.readers: dict[str, Callable[[], Tensor]] = {}
        for path in weight_files(source, framework):
            if path.suffix == ".safetensors":
                self.open_safetensors(path)
            elif path.suffix in (".msgpack", ".h5"):
                self.open_foreign(path)
            else:
                self.open_pickle(path)

    def open_safetensors(self, path: Path) -> None:
        """Read the header and check it against the file's size."""
        try:
            file = safe_open(path, framework="pt", device="cpu")
            for name in file.keys():  # noqa: SIM118 (the handle is no mapping)
                self.shapes[name] = tuple(file.get_slice(name).get_shape())
                self.readers[name] = lambda file=file, name=name: file.get_tensor(name)  # type: ignore[misc]
        except (SafetensorError, OSError, ValueError) as error:
            raise CorruptFileError(
                f"{path} is no whole safetensors file ({path.stat().st_size:,} bytes): {error}.",
                "Download it again (force_download=True), or write it again.",
            ) from error

    def open_pickle(self, path: Path) -> None:
        """Map a `torch.save` archive, refusing whatever is more than tensors."""
        try:
            # Files of before PyTorch 1.6 are no zip archives and cannot be mapped.
            mapped = zipfile.is_zipfile(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # An odd pickle protocol is refused or read; either says enough.
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as error:
            raise UnsafeFileError(
                f"{path} is a pickle that holds more than tensors: {str(error).splitlines()[0]}",
                "Ask its author for safetensors; loading it would run code that stands in the file.",
            ) from error
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise CorruptFileError(f"{path} cannot be read: {error}.", "Download it again.") from error
        while isinstance(state, dict) and set(state) in ({"state_dict"}, {"model"}):
            state = next(iter(state.values()))
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise UnsafeFileError(f"{path} is not a mapping of names to tensors.", "Save `model.state_dict()` alone.")
        for name, tensor in state.items():
            self.shapes[name] = tuple(tensor.shape)
            self.readers[name] = lambda tensor=tensor: tensor  # type: ignore[misc]

    def open_foreign(self, path: Path) -> None:
        """Read the names of a Flax or TensorFlow file, which are PyTorch's but for the last word."""
        from samovar.weights.flax_files import flax_tensors
        from samovar.weights.tensorflow_files import tensorflow_tensors

        for tensor in flax_tensors(path) if path.suffix == ".msgpack" else tensorflow_tensors(path):
            self.shapes[tensor.name], self.readers[tensor.name] = tensor.shape, tensor.read
            owner, _, leaf = tensor.name.rpartition(".")
            if leaf == "running_mean":  # PyTorch counts batches as well; nobody else does.
                name = f"{owner}.num_batches_tracked"
                self.shapes[name], self.readers[name] = (), lambda: torch.zeros((), dtype=torch.int64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU."""
        return self.readers[name]()


def weight_files(source: Source, framework: str | None = None) -> list[Path]:
    """The files that hold the weights, safetensors first. Raises `FileMissingError` when there is none."""
    wanted = (*PYTORCH_FILES, *OTHER_FILES.values()) if framework is None else (OTHER_FILES[framework],)
    for single, index in wanted:
        path = source.file(single)
        if path is not None:
            return [path]
        path = source.file(index)
        if path is not None:
            return [source.require(name, why=f"{index} lists it.") for name in shard_names(path)]
    found = [name for name in FOREIGN if source.file(name) is not None] if source.is_local else []
    names = [single for single, _ in wanted]
    raise FileMissingError(
        f"{source.name} holds no weights: {'neither ' if len(names) > 1 else 'no '}{' nor '.join(names)}, nor an index"
        + (f"; it holds {', '.join(found)}, formats that are not read here." if found else "."),
        "Check the path, or save the model again with save_pretrained.",
    )


def shard_names(index: Path) -> list[str]:
    """The files that an index names, each once, in order. Raises `CorruptFileError`."""
    try:
        weight_map: dict[str, Any] = json.loads(index.read_text("utf-8"))["weight_map"]
        names = list(dict.fromkeys(weight_map.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"{index} is no index of weights: {error!r}.", "Download it again.") from error
    if not names:
        raise WeightsError(f"{index} names no file.", "Download it again.")
    for name in names:
        if not isinstance(name, str) or "/" in name or "\\" in name or name.startswith("."):
            raise UnsafeFileError(f"{index} names {name!r}, which is not a plain file name.", "Do not use this file.")
    return names
