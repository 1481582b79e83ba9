"""What a checkpoint's files say of their tensors: read from headers, a few kilobytes each, never the weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samovar.errors import CorruptFileError, SamovarError
from samovar.hub.source import Source
from samovar.weights.checkpoint import SAFETENSORS_INDEX, Checkpoint, weight_files

# The format's names of types (safetensors, "Format") → PyTorch's.
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
LONGEST_HEADER = 100_000_000  # The format's own limit.
AGAIN = "Download it again (force_download=True), or write it again."


@dataclass(frozen=True)
class Stored:
    """One tensor as its file describes it."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


class Headers(Checkpoint):
    """A checkpoint whose tensors have shapes and types but no content: loading it costs no memory.

    What is wrong with single files is collected in `problems`. Raises `FileMissingError` when there are no weights,
    `CorruptFileError` for an index that is none.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.stored: dict[str, Stored] = {}
        self.problems: list[str] = []
        index = None if source.file("model.safetensors") else source.file(SAFETENSORS_INDEX)
        self.files: list[Path] = self.shards(index) if index is not None else weight_files(source)
        archives = [path for path in self.files if path.suffix != ".safetensors"]
        # Archives of `torch.save` are opened all at once.
        for path in archives[:1] or self.files:
            try:
                found = read_header(path) if path.suffix == ".safetensors" else read_pickle(source)
            except SamovarError as error:
                self.problems.append(str(error))
                continue
            for name in found.keys() & self.stored.keys():
                self.problems.append(f"{path.name} holds {name}, which another file holds too.")
            self.stored |= found
        if index is not None and not self.problems:
            self.compare(index)
        self.shapes = {name: one.shape for name, one in self.stored.items()}

    def shards(self, index: Path) -> list[Path]:
        """The files of an index that are there; those that are not are a problem each."""
        from samovar.weights.checkpoint import shard_names

        names = shard_names(index)
        paths = {name: self.source.file(name) for name in names}
        absent = [name for name, path in paths.items() if path is None]
        if absent:
            self.problems.append(
                f"{len(absent)} of the {len(names)} files that {index.name} names are missing: {', '.join(absent)}."
                f"\n  → {AGAIN}"
            )
        return [path for path in paths.values() if path is not None]

    def compare(self, index: Path) -> None:
        """Whether the index and the files name the same tensors."""
        named = set(json.loads(index.read_text("utf-8"))["weight_map"])
        for less, what in ((named - self.stored.keys(), "names"), (self.stored.keys() - named, "does not name")):
            if less:
                shown = ", ".join(sorted(less)[:5]) + (", …" if len(less) > 5 else "")
                there = "the files do not hold" if what == "names" else "the files hold"
                self.problems.append(f"{index.name} {what} {len(less)} tensor(s) that {there}: {shown}.")

    def read(self, name: str) -> Tensor:
        """A tensor without content."""
        one = self.stored[name]
        return torch.empty(one.shape, dtype=one.dtype, device="meta")


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file, checked against its size. Raises `CorruptFileError` that says what it is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"version "):
            raise CorruptFileError(f"{path} is a pointer of Git LFS, not the weights.", "Run `git lfs pull` there.")
        if start.lstrip().startswith((b"<!", b"<html", b"<HTML")):
            raise CorruptFileError(f"{path} is a web page, not weights.", AGAIN)
        length = int.from_bytes(start, "little")
        if size < 8 or length > LONGEST_HEADER:
            raise CorruptFileError(f"{path} ({size:,} bytes) does not begin as a safetensors file.", AGAIN)
        if 8 + length > size:
            raise CorruptFileError(f"{path} has {size:,} bytes, and its header alone {8 + length:,}.", AGAIN)
        text = file.read(length)
    try:
        values: dict[str, Any] = json.loads(text)
        values.pop("__metadata__", None)
        places = {name: one["data_offsets"] for name, one in values.items()}
        found = {name: Stored(tuple(map(int, one["shape"])), TYPES[one["dtype"]]) for name, one in values.items()}
        end = max((int(stop) for _, stop in places.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"The header of {path} cannot be read: {error!r}.", AGAIN) from error
    if 8 + length + end != size:
        lacks = 8 + length + end - size
        what = f"{lacks:,} are missing, as of a download that broke off" if lacks > 0 else f"{-lacks:,} are too many"
        raise CorruptFileError(f"{path} has {size:,} bytes; its header counts {8 + length + end:,}: {what}.", AGAIN)
    for name, (begin, stop) in places.items():
        if stop - begin != found[name].bytes:
            raise CorruptFileError(
                f"{path}: {name} of shape {found[name].shape} takes {found[name].bytes:,} bytes, not {stop - begin:,}.",
                AGAIN,
            )
    return found


def read_pickle(source: Source) -> dict[str, Stored]:
    """The tensors of `torch.save` archives, which are mapped, not read."""
    checkpoint = Checkpoint(source)
    tensors = {name: checkpoint.read(name) for name in checkpoint}
    return {name: Stored(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
