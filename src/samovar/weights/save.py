"""Saving: the checkpoint's own names, shapes and types, in safetensors, split above a size."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor

from samovar.errors import InputError
from samovar.weights.checkpoint import SAFETENSORS, SAFETENSORS_INDEX

if TYPE_CHECKING:
    from samovar.model import Model

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(size: int | str) -> int:
    """`"5GB"` → bytes. Raises `InputError` for what is no size."""
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if found is None or found.group(2).upper() not in UNITS:
        raise InputError(f"{size!r} is not a size.", 'Write a number of bytes, or for example "500MB" or "5GB".')
    return int(float(found.group(1)) * UNITS[found.group(2).upper()])


def checkpoint_tensors(model: Model, state_dict: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The model's tensors under the checkpoint's names, tied ones once."""
    state = model.state_dict() if state_dict is None else state_dict
    names = [name for name in state if name not in model.tied]
    plan = model.name_table(model.config).gather(names)
    tensors = {}
    for key, (parts, operation) in plan.items():
        values = [state[name].detach() for name in parts]
        tensors[key] = (values[0] if operation is None else operation.save(values)).contiguous()
    return tensors


def shards_of(tensors: Mapping[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    """Tensors in order, cut before a shard would exceed `limit` bytes."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        length = tensor.numel() * tensor.element_size()
        if shards[-1] and size + length > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += length
    return shards


def save_model(model: Model, folder: Path, max_shard_size: int | str, state_dict: Mapping[str, Tensor] | None) -> None:
    """What `Model.save_pretrained` does."""
    from samovar.hub.atomic import write_beside

    shards = shards_of(checkpoint_tensors(model, state_dict), parse_size(max_shard_size))
    model.config.architectures = [type(model).__name__]
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    with write_beside(folder) as beside:
        (beside / "config.json").write_text(model.config.to_json_string(), "utf-8")
        if len(shards) == 1:
            save_file(shards[0], beside / SAFETENSORS, metadata={"format": "pt"})
            return
        weight_map = {}
        for number, shard in enumerate(shards, 1):
            name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            save_file(shard, beside / name, metadata={"format": "pt"})
            weight_map.update(dict.fromkeys(shard, name))
        total = sum(t.numel() * t.element_size() for shard in shards for t in shard.values())
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (beside / SAFETENSORS_INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")
