"""Parameters by block: embeddings, layers and head, with equal layers folded into one row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from samovar.cli.stored import Stored

LAYER = re.compile(r"(.+?)\.(\d+)\.")


@dataclass
class Block:
    """A part of a model. `count` equal layers stand in one block after folding; `parameters` counts all of them."""

    name: str
    parameters: int = 0
    bytes: int = 0
    count: int = 1
    dtypes: tuple[str, ...] = ()


def blocks(tensors: Mapping[str, Stored], prefix: str = "backbone.") -> list[Block]:
    """Parameters by name → blocks in the order of the names; `prefix` is left out."""
    names = {name: name.removeprefix(prefix) for name in tensors}
    stacks = {found[1] for name in names.values() if (found := LAYER.match(name))}
    made: dict[str, Block] = {}
    for full, name in names.items():
        block = made.setdefault(block_name(name, stacks), Block(block_name(name, stacks)))
        one = tensors[full]
        block.parameters += one.bytes // one.dtype.itemsize
        block.bytes += one.bytes
        dtype = str(one.dtype).removeprefix("torch.")
        if dtype not in block.dtypes:
            block.dtypes += (dtype,)
    return list(made.values())


def block_name(name: str, stacks: Iterable[str]) -> str:
    """`layers.3` of `layers.3.mlp.weight`; `embeddings` of `embeddings.word.weight`."""
    found = LAYER.match(name)
    if found is not None:
        return f"{found[1]}.{found[2]}"
    parts = name.split(".")
    # Beside the layers of `encoder.layers` stand parts of the encoder, not of the model.
    for depth in range(1, len(parts)):
        if not any(stack.startswith(".".join(parts[:depth]) + ".") for stack in stacks):
            return ".".join(parts[:depth])
    return name


def folded(rows: list[Block]) -> list[Block]:
    """Runs of equal layers as one row each, such as `layers.0–11`."""
    result: list[Block] = []
    ends: list[str] = []
    for row in rows:
        stack, _, index = row.name.rpartition(".")
        last = result[-1] if result else None
        follows = (
            last is not None
            and index.isdigit()
            and ends[-1] == f"{stack}.{int(index) - 1}"
            and (last.parameters // last.count, last.bytes // last.count, last.dtypes)
            == (row.parameters, row.bytes, row.dtypes)
        )
        if not follows or last is None:
            result.append(Block(row.name, row.parameters, row.bytes, 1, row.dtypes))
            ends.append(row.name)
            continue
        ends[-1] = row.name
        last.name = f"{last.name.partition('–')[0]}–{index}"
        last.count += 1
        last.parameters += row.parameters
        last.bytes += row.bytes
    return result
