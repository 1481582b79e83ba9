"""`flax_model.msgpack`: the tensors of a Flax checkpoint, mapped and not copied.

The file is one MessagePack map of maps (https://github.com/msgpack/msgpack/blob/master/spec.md) whose leaves are arrays
as `flax.serialization` writes them: an extension of type 1 around (shape, name of the type, bytes), and arrays above
1 GiB as a map of chunks. No other kind of object is made from what the file says.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samovar.errors import CorruptFileError
from samovar.weights.layouts import Stored, checked_size

ARRAY = 1  # The type of the extension that holds an array; 3 is a single number in the same form.
NUMBER = 3
CHUNKED = "__msgpack_chunked_array__"
DEEPEST = 64
MOST_DIMENSIONS = 16  # Lists are shapes, or the three parts of an array.
TYPES = {
    "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64,
    "int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8,
    "bool": torch.bool,
}  # fmt: skip
# First byte → how many bytes tell the length; those of extensions have the type behind it.
STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
LISTS = {0xDC: 2, 0xDD: 4}
MAPS = {0xDE: 2, 0xDF: 4}
EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
NUMBERS = {0xCC: (1, False), 0xCD: (2, False), 0xCE: (4, False), 0xCF: (8, False),
           0xD0: (1, True), 0xD1: (2, True), 0xD2: (4, True), 0xD3: (8, True)}  # fmt: skip
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


@dataclass(frozen=True)
class Span:
    """Bytes of the file that are not looked at yet."""

    start: int
    length: int


@dataclass(frozen=True)
class Array:
    """An array in the file."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    data: Span


class Reader:
    """One pass over the file's structure. Raises `CorruptFileError` where it is not what Flax writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            try:
                self.bytes: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            except ValueError:
                raise self.refusal("is empty") from None
        self.place, self.end = 0, len(self.bytes)

    def refusal(self, what: str) -> CorruptFileError:
        """The error that says what is wrong."""
        return CorruptFileError(f"{self.path} is no whole Flax checkpoint: it {what}.", "Download it again.")

    def take(self, length: int) -> Span:
        """The next bytes."""
        if length > self.end - self.place:
            raise self.refusal(f"ends within a value (at byte {self.place:,})")
        self.place += length
        return Span(self.place - length, length)

    def number(self, length: int, signed: bool = False) -> int:
        """A whole number of so many bytes."""
        span = self.take(length)
        return int.from_bytes(self.bytes[span.start : span.start + length], "big", signed=signed)

    def value(self, depth: int = 0) -> Any:
        """The next value: a map, a list, a text, a number, a `Span` or an `Array`."""
        if depth > DEEPEST:
            raise self.refusal(f"is nested deeper than {DEEPEST} levels")
        first = self.number(1)
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first in CONSTANTS:
            return CONSTANTS[first]
        if first in NUMBERS:
            return self.number(*NUMBERS[first])
        if 0xA0 <= first < 0xC0 or first in STRINGS:
            return self.text(self.number(STRINGS[first]) if first in STRINGS else first - 0xA0)
        if first in BYTES:
            return self.take(self.number(BYTES[first]))
        if 0x90 <= first < 0xA0 or first in LISTS:
            count = self.number(LISTS[first]) if first in LISTS else first - 0x90
            if count > MOST_DIMENSIONS:
                raise self.refusal(f"holds a list of {count:,} values")
            return [self.value(depth + 1) for _ in range(count)]
        if first < 0x90 or first in MAPS:
            return self.map(self.number(MAPS[first]) if first in MAPS else first - 0x80, depth)
        if first in EXTENSIONS or first in FIXED_EXTENSIONS:
            length = self.number(EXTENSIONS[first]) if first in EXTENSIONS else FIXED_EXTENSIONS[first]
            return self.extension(length, depth)
        raise self.refusal(f"holds the byte {first:#x} where a value should begin (at {self.place - 1:,})")

    def text(self, length: int) -> str:
        """A text of so many bytes."""
        span = self.take(length)
        try:
            return self.bytes[span.start : span.start + length].decode("utf-8")
        except UnicodeDecodeError:
            raise self.refusal(f"holds a text that is no UTF-8 (at byte {span.start:,})") from None

    def map(self, count: int, depth: int) -> dict[str, Any]:
        """A map from texts."""
        found: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in found:
                raise self.refusal(f"has {key!r} as a name, or has it twice")
            found[key] = self.value(depth + 1)
        return found

    def extension(self, length: int, depth: int) -> Array:
        """An array: (shape, name of the type, bytes)."""
        kind = self.number(1)
        end = self.place + length
        if kind not in (ARRAY, NUMBER) or end > self.end:
            raise self.refusal(f"holds an extension of type {kind} that is no array, or is cut off")
        content = self.value(depth + 1)
        if self.place != end or not isinstance(content, list) or len(content) != 3:
            raise self.refusal(f"holds an array that is not shape, type and bytes (at byte {end - length:,})")
        shape, dtype, data = content
        whole = isinstance(shape, list) and all(isinstance(size, int) for size in shape) and isinstance(data, Span)
        if not whole or not isinstance(dtype, str) or dtype not in TYPES:
            raise self.refusal(f"holds an array of the type {dtype!r} and shape {shape!r}")
        checked_size(self.path, "an array", shape, TYPES[dtype].itemsize, data.length)
        return Array(tuple(shape), TYPES[dtype], data)

    def tensor(self, array: Array) -> Tensor:
        """An array's values, in the mapping of the file."""
        if not array.data.length:
            return torch.empty(array.shape, dtype=array.dtype)
        span = memoryview(self.bytes)[array.data.start : array.data.start + array.data.length]
        if array.data.start % array.dtype.itemsize:
            span = memoryview(bytearray(span))  # PyTorch reads numbers at multiples of their size.
        return torch.frombuffer(span, dtype=array.dtype).reshape(array.shape)


def flax_tensors(path: Path) -> Iterator[Stored]:
    """The tensors of a file by PyTorch's names. Raises `CorruptFileError`."""
    reader = Reader(path)
    tree = reader.value()
    if reader.place != reader.end or not isinstance(tree, Mapping):
        raise reader.refusal("is not one map of weights")
    collections = ("params", "batch_stats")
    # Models with running statistics have them beside their parameters.
    roots = [tree[name] for name in collections if name in tree] if set(tree) <= set(collections) else [tree]
    for root in roots:
        yield from leaves(reader, root, [])


def leaves(reader: Reader, node: Any, levels: list[str]) -> Iterator[Stored]:
    """The arrays below one place."""
    if isinstance(node, Array):
        yield Stored(levels, node.shape, lambda: reader.tensor(node))
    elif isinstance(node, Mapping) and CHUNKED in node:
        yield chunked(reader, node, levels)
    elif isinstance(node, Mapping):
        for name, child in node.items():
            # A list of layers without names of their own: `layer` holds `layer_0`, `layer_1`, …
            number = re.fullmatch(rf"{re.escape(levels[-1])}_(\d+)", name) if levels else None
            yield from leaves(reader, child, [*levels, number[1] if number else name])
    else:
        raise reader.refusal(f"holds {node!r} as {'.'.join(levels)}, which is no array")


def chunked(reader: Reader, node: Mapping[str, Any], levels: list[str]) -> Stored:
    """An array in chunks, which are its numbers in a row."""
    shape, chunks = node.get("shape"), node.get("chunks")
    parts: list[Any] = [chunks.get(str(at)) for at in range(len(chunks))] if isinstance(chunks, Mapping) else []
    sizes: list[Any] = [shape.get(str(at)) for at in range(len(shape))] if isinstance(shape, Mapping) else []
    whole = parts and all(isinstance(part, Array) for part in parts) and all(isinstance(size, int) for size in sizes)
    if not whole or len({part.dtype for part in parts}) != 1:
        raise reader.refusal(f"holds chunks of {'.'.join(levels)} that are no array")
    there = sum(part.data.length for part in parts)
    checked_size(reader.path, ".".join(levels), sizes, parts[0].dtype.itemsize, there)
    return Stored(levels, sizes, lambda: torch.cat([reader.tensor(part).flatten() for part in parts]).reshape(sizes))
