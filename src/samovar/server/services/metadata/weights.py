"""How many parameters of which type: from the headers of safetensors files, never from the weights themselves.

Format: 8 bytes (little endian) of the header's length, then JSON: `{name: {"dtype", "shape", "data_offsets"}, …}`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from samovar.server.services.metadata.config import read_json
from samovar.server.services.metadata.files import File, Snapshot

# The format itself allows no longer header.
LONGEST_HEADER = 100_000_000
MOST_SHARDS = 1000
SINGLE = ("model.safetensors", "adapter_model.safetensors", "diffusion_pytorch_model.safetensors")
INDEX = ".safetensors.index.json"


def read_parameters(snapshot: Snapshot) -> tuple[dict[str, Any], list[str]]:
    """`{"parameters": {dtype: count}, "total": count}` (empty without safetensors), and warnings.

    One file under a usual name, or the shards that `….safetensors.index.json` names.
    """
    warnings: list[str] = []
    for path in SINGLE:
        if path in snapshot.files:
            shards = [path]
            break
        index = path.removesuffix(".safetensors") + INDEX
        if index in snapshot.files:
            shards = shards_of(snapshot, index, warnings)
            break
    else:
        # A checkpoint under a name of its own; more of them may be variants, so they are not added up.
        own = sorted(path for path in snapshot.files if path.endswith(".safetensors") and "/" not in path)
        shards = own if len(own) == 1 else []
    counts: Counter[str] = Counter()
    for path in shards:
        file = snapshot.files.get(path)
        if file is None:
            warnings.append(f"{path} is named by the index of the weights, but is not there.")
            return {}, warnings
        try:
            counts.update(count_header(read_header(snapshot, file)))
        except ValueError as error:
            warnings.append(f"The header of {path} cannot be read: {error}.")
            return {}, warnings
    if not counts:
        return {}, warnings
    return {"parameters": dict(counts), "total": sum(counts.values())}, warnings


def shards_of(snapshot: Snapshot, index: str, warnings: list[str]) -> list[str]:
    """The files that an index names."""
    weight_map = read_json(snapshot, index, warnings).get("weight_map")
    if not isinstance(weight_map, dict):
        warnings.append(f"{index} has no weight_map.")
        return []
    shards = sorted({one for one in weight_map.values() if isinstance(one, str)})
    if len(shards) > MOST_SHARDS:
        warnings.append(f"{index} names more than {MOST_SHARDS} files.")
        return []
    return shards


def read_header(snapshot: Snapshot, file: File) -> dict[str, Any]:
    """The header of one file. Raises `ValueError`, saying what is wrong, for whatever is no safetensors file."""
    prefix = snapshot.begin(file, 0, 8)
    if prefix is None:
        raise ValueError("its bytes are not here")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(LONGEST_HEADER, file.size - 8):
        raise ValueError(f"a header of {length} bytes does not fit into the file")
    content = snapshot.begin(file, 8, length)
    if content is None or len(content) < length:
        raise ValueError("the file ends within it")
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({str(error)[:100]})") from error
    if not isinstance(header, dict):
        raise ValueError("it is no JSON object")
    return header


def count_header(header: dict[str, Any]) -> Counter[str]:
    """Parameters per type. Raises `ValueError`."""
    counts: Counter[str] = Counter()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(tensor, dict):
            raise ValueError(f"{name[:100]!r} is no object")
        dtype, shape = tensor.get("dtype"), tensor.get("shape")
        if not isinstance(dtype, str) or not 0 < len(dtype) <= 16 or not isinstance(shape, list) or len(shape) > 16:
            raise ValueError(f"{name[:100]!r} has no type and shape")
        if any(type(one) is not int or not 0 <= one < 2**48 for one in shape):
            raise ValueError(f"{name[:100]!r} has an impossible shape")
        counts[dtype] += math.prod(shape)
    if sum(counts.values()) >= 2**62:
        raise ValueError("it claims more parameters than any disk holds")
    return counts
