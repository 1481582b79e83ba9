"""Checkpoints of Flax and TensorFlow, written from a PyTorch checkpoint in the layouts that those frameworks have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np

Arrays = Mapping[str, np.ndarray]

EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings", "wte", "wpe", "shared",
              "embed_positions", "embed_tokens", "relative_attention_bias")  # fmt: skip
# Kernels of (input, output) as they are, with biases of one row: what TensorFlow's GPT-2 has.
AS_THEY_ARE = ("c_attn", "c_proj", "c_fc")
# Layers that are called `layers.0`; the others are called `layer_._0`.
DOTTED = ("bart", "resnet")
ORDER = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0)}


def flax_tree(state: Arrays, model_type: str) -> dict[str, Any]:
    """Nested dicts of arrays by Flax's names."""
    flat: dict[str, np.ndarray] = {}
    for name, array in state.items():
        *owners, leaf = name.split(".")
        collection = ["batch_stats"] if leaf.startswith("running_") else ["params"]
        if leaf == "num_batches_tracked":
            continue
        owner = owners[-1] if owners else ""
        if leaf == "weight" and owner in EMBEDDINGS:
            leaf = "embedding"
        elif leaf == "weight" and array.ndim > 1:
            leaf, array = "kernel", array.transpose(ORDER[array.ndim])
        elif leaf == "weight" and model_type != "t5":
            leaf = "scale"
        leaf = leaf.removeprefix("running_")
        flat["/".join([*collection, *owners, leaf])] = array
    tree: dict[str, Any] = {}
    for path, array in flat.items():
        *owners, leaf = path.split("/")
        place = tree
        for one in owners:
            place = place.setdefault(one, {})
        place[leaf] = array
    return tree if "batch_stats" in tree else tree["params"]


def packed(node: Any) -> Any:
    """The tree as `flax.serialization` hands it to MessagePack."""
    if isinstance(node, Mapping):
        return {name: packed(child) for name, child in node.items()}
    content = (list(node.shape), node.dtype.name, node.tobytes())
    return msgpack.ExtType(1, msgpack.packb(content, use_bin_type=True))


def write_flax(folder: Path, state: Arrays, model_type: str, shards: int = 1) -> list[str]:
    """Write `flax_model.msgpack`, or shards with their index; the paths of all arrays come back."""
    tree = flax_tree(state, model_type)
    paths = list(flattened(tree))
    if shards == 1:
        (folder / "flax_model.msgpack").write_bytes(msgpack.packb(packed(tree), strict_types=True))
        return paths
    weight_map = {}
    for at in range(shards):
        name = f"flax_model-{at + 1:05d}-of-{shards:05d}.msgpack"
        part = dict(list(flattened(tree).items())[at::shards])
        weight_map |= dict.fromkeys(part, name)
        (folder / name).write_bytes(msgpack.packb(packed(nest(part)), strict_types=True))
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "flax_model.msgpack.index.json").write_text(json.dumps(index))
    return paths


def flattened(tree: Mapping[str, Any], before: str = "") -> dict[str, np.ndarray]:
    """Arrays by path."""
    found: dict[str, np.ndarray] = {}
    for name, node in tree.items():
        found |= flattened(node, f"{before}{name}/") if isinstance(node, Mapping) else {before + name: node}
    return found


def nest(flat: Arrays) -> dict[str, Any]:
    """Nested dicts from paths."""
    tree: dict[str, Any] = {}
    for path, array in flat.items():
        *owners, leaf = path.split("/")
        place = tree
        for one in owners:
            place = place.setdefault(one, {})
        place[leaf] = array
    return tree


def tensorflow_names(state: Arrays, model_type: str, scope: str) -> dict[str, np.ndarray]:
    """Arrays by the names that Keras gave the variables of a model of the class `scope`."""
    found: dict[str, np.ndarray] = {}
    for name, array in state.items():
        *owners, leaf = name.split(".")
        if leaf == "num_batches_tracked":
            continue
        owner = owners[-1] if owners else ""
        if leaf == "weight" and owner in ("wte", "shared", "word_embeddings"):
            pass
        elif leaf == "weight" and owner in EMBEDDINGS:
            leaf = "embeddings"
        elif model_type == "gpt2" and owner in AS_THEY_ARE:
            array = array[None] if leaf == "bias" else array
        elif leaf == "weight" and array.ndim > 1:
            leaf, array = "kernel", array.transpose(ORDER[array.ndim])
        elif leaf in ("weight", "bias") and array.ndim == 1 and is_norm(owner):
            leaf = leaf if model_type == "t5" else {"weight": "gamma", "bias": "beta"}[leaf]
        leaf = {"running_mean": "moving_mean", "running_var": "moving_variance"}.get(leaf, leaf)
        path = "/".join([*owners, leaf])
        for number in range(10):
            path = path.replace(f"/{number}/", f".{number}/" if model_type in DOTTED else f"_._{number}/")
        if owners == ["shared"]:
            found["shared/shared/weight:0"] = array
        elif owners == ["model", "shared"]:
            found["model.shared/model.shared/weight:0"] = array
        else:
            found[f"{scope}/{path}:0" if owners else f"{path}:0"] = array
    return found


def is_norm(owner: str) -> bool:
    """Whether a layer normalises, by its name."""
    return "norm" in owner.lower() or owner.startswith("ln_") or owner == "normalization"


def write_tensorflow(folder: Path, arrays: Arrays, shards: int = 1) -> None:
    """Write `tf_model.h5` as Keras saves weights, or shards as they are saved of large models."""
    if shards == 1:
        with h5py.File(folder / "tf_model.h5", "w") as file:
            groups: dict[str, list[str]] = {}
            for name in arrays:
                levels = name.split("/")
                groups.setdefault(levels[1] if len(levels) > 2 else levels[0], []).append(name)
            file.attrs["layer_names"] = [group.encode() for group in groups]
            for group, names in groups.items():
                place = file.create_group(group)
                place.attrs["weight_names"] = [name.encode() for name in names]
                for name in names:
                    place[name] = arrays[name]
        return
    weight_map = {}
    for at in range(shards):
        name = f"tf_model-{at + 1:05d}-of-{shards:05d}.h5"
        with h5py.File(folder / name, "w") as file:
            for weight in list(arrays)[at::shards]:
                file[weight] = arrays[weight]
                weight_map[weight] = name
            file.attrs["layer_names"] = [weight.encode() for weight in list(arrays)[at::shards]]
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "tf_model.h5.index.json").write_text(json.dumps(index))
