"""Adapter files: `adapter_config.json` beside `adapter_model.safetensors`, as the field's tools write and read them.

Tensor names are `base_model.model.<module>.lora_A.weight` (r, inputs) and `….lora_B.weight` (outputs, r), whichever
way round the base layer stores its own weight; a trained bias of an adapted layer is `<module>.base_layer.bias`;
modules saved in full have their own names.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from samovar.adapters import tuning
from samovar.adapters.config import CONFIG_FILE, WEIGHTS_FILE, LoraConfig
from samovar.adapters.layers import LoraLayer, SavedModule
from samovar.adapters.names import Plan, Site, plain_modules, plain_tensors, plan_for
from samovar.config import source_options
from samovar.errors import CorruptFileError, FileMissingError, InputTypeError, WeightsError, nearest
from samovar.hub.source import Source
from samovar.weights.names import Operation, Split, Transpose

PREFIX = "base_model.model."
DEFAULT = "default"


def slots(model: nn.Module, name: str) -> dict[str, tuple[list[Tensor | int], Operation | None]]:
    """File name → our tensors that it is made of, and how; a number stands for that many rows that are not ours."""
    plan = plan_for(model, tuning.state_of(model).configs[name])
    modules = dict(plain_modules(model))
    found: dict[str, tuple[list[Tensor | int], Operation | None]] = {}
    for site, parts in plan.sites:
        layers = [cast(nn.Linear, modules[part]) for part in site.parts]
        first = cast(LoraLayer, modules[parts[0]])
        down = cast(nn.Linear, first.lora_A[name]).weight
        rows: list[Tensor | int] = [
            cast(nn.Linear, cast(LoraLayer, layer).lora_B[name]).weight if part in parts else layer.out_features
            for part, layer in zip(site.parts, layers, strict=True)
        ]
        found[f"{PREFIX}{site.name}.lora_A.weight"] = ([down], None)
        found[f"{PREFIX}{site.name}.lora_B.weight"] = (rows, None)
    found |= whole_slots(model, name, plan)
    return found


def whole_slots(model: nn.Module, name: str, plan: Plan) -> dict[str, tuple[list[Tensor | int], Operation | None]]:
    """The biases of the base model that are trained, and the modules that are saved in full."""
    base = plain_tensors(model)
    config = tuning.state_of(model).configs[name]
    biases = tuning.trained_biases(model, config)
    values = {key: base[key] for key in biases if key in base}
    for path in plan.saved:
        parent, _, leaf = path.rpartition(".")
        saved = cast(SavedModule, getattr(dict(plain_modules(model))[parent], leaf))
        state = saved.modules_to_save[name].state_dict(keep_vars=True)
        values |= {f"{path}.{key}": tensor for key, tensor in state.items()}
    adapted = {site.name for site, _ in plan.sites}
    found: dict[str, tuple[list[Tensor | int], Operation | None]] = {}
    for ours in values:
        key, parts, operation = plan.dialect.theirs(ours)
        stem, _, leaf = key.rpartition(".")
        if ours in biases and stem in adapted:
            key = f"{stem}.base_layer.{leaf}"
        found[PREFIX + key] = ([values.get(part, base[part]) for part in parts], operation)
    return found


def adapter_tensors(
    model: nn.Module, name: str, state_dict: Mapping[str, Tensor] | None = None, prefix: str = ""
) -> dict[str, Tensor]:
    """An adapter's tensors under the names of its file.

    With a `state_dict` (under the model's names after `prefix`) its values are taken, as they are where a model's own
    parameters hold only a part of them.
    """
    names = {id(tensor): key for key, tensor in model.state_dict(keep_vars=True).items()} if state_dict else {}
    tensors = {}
    for key, (own, operation) in slots(model, name).items():
        parts = [
            part if isinstance(part, int) or not state_dict else state_dict[prefix + names[id(part)]] for part in own
        ]
        if operation is not None:
            tensors[key] = operation.save([cast(Tensor, part).detach() for part in parts])
        elif len(parts) == 1:
            tensors[key] = cast(Tensor, parts[0]).detach()
        else:
            known = next(part for part in parts if isinstance(part, Tensor))
            filled = [known.new_zeros(part, known.shape[1]) if isinstance(part, int) else part for part in parts]
            tensors[key] = torch.cat(filled).detach()
    # Copies: two names of one storage cannot be in one file.
    return {key: tensor.cpu().contiguous().clone() for key, tensor in tensors.items()}


def file_config(model: nn.Module, name: str) -> LoraConfig:
    """The configuration as other programs understand it: their module names, and layers that store weights turned."""
    config = copy.deepcopy(tuning.state_of(model).configs[name])
    plan = plan_for(model, config)
    if not plan.spelled:
        config.target_modules = [site.name for site, _ in plan.sites]
        config.exclude_modules = config.layers_to_transform = config.layers_pattern = None
    config.fan_in_fan_out = any(turned(site) for site, _ in plan.sites)
    config.inference_mode = True
    config.base_model_name_or_path = config.base_model_name_or_path or getattr(model, "name_or_path", None) or None
    return config


def turned(site: Site) -> bool:
    """Does the checkpoint store this layer as (input, output)?"""
    return isinstance(site.operation, Transpose) or (isinstance(site.operation, Split) and site.operation.transposed)


def save(
    model: nn.Module,
    folder: Path,
    names: Sequence[str] | None = None,
    state_dict: Mapping[str, Tensor] | None = None,
    prefix: str = "",
) -> None:
    """What `PeftModel.save_pretrained` does. Raises `SaveError`, with the folder as it was."""
    from samovar.hub.atomic import write_beside

    chosen = list(tuning.state_of(model).configs) if names is None else tuning.check_names(model, names)
    with write_beside(folder) as beside:
        for name in chosen:
            place = beside if name == DEFAULT else beside / name
            place.mkdir(exist_ok=True)
            (place / CONFIG_FILE).write_text(file_config(model, name).to_json_string(), "utf-8")
            save_file(adapter_tensors(model, name, state_dict, prefix), place / WEIGHTS_FILE, metadata={"format": "pt"})


# Loading ----------------------------------------------------------------------------------------------------------


def load(
    model: nn.Module,
    name_or_path: str | Path,
    name: str,
    config: LoraConfig | None = None,
    trainable: bool = False,
    **options: Any,
) -> None:
    """Put an adapter from a folder or repository into a model, not yet in use; on errors the model is as it was."""
    if not isinstance(name_or_path, str | Path):
        raise InputTypeError(
            f"An adapter's folder or name expected, got {type(name_or_path).__name__}.", "Pass a path or a string."
        )
    source = Source(name_or_path, **source_options(options))
    config = copy.deepcopy(config) if config is not None else LoraConfig.from_source(source)
    config.inference_mode = not trainable
    tensors = read_tensors(source)
    tuning.add(model, name, config)
    try:
        fill(model, name, tensors, source.name)
    except BaseException:
        tuning.take_out(model, name)
        raise


def read_tensors(source: Source) -> dict[str, Tensor]:
    """The tensors of an adapter. Raises `FileMissingError` or `CorruptFileError`."""
    path = source.file(WEIGHTS_FILE)
    if path is None:
        pickled = source.file("adapter_model.bin") is not None
        raise FileMissingError(
            f"{source.name} has no {WEIGHTS_FILE}" + (", only adapter_model.bin, a pickle." if pickled else "."),
            "Ask its author for safetensors: reading a pickle can run code."
            if pickled
            else "Give the folder that an adapter was saved into.",
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is no whole safetensors file ({path.stat().st_size:,} bytes): {error}.",
            "Download it again (force_download=True), or save the adapter again.",
        ) from error


@torch.no_grad()
def fill(model: nn.Module, name: str, tensors: Mapping[str, Tensor], origin: str) -> None:
    """An adapter's values from a file's. Raises one `WeightsError` with everything that does not fit."""
    wanted = slots(model, name)
    given = {PREFIX + key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
    for key in [key for key in given if key not in wanted]:
        tensor = given.pop(key)
        plain = spelled_plainly(key, wanted)
        if plain is not None:
            given.setdefault(plain, tensor)
    problems, ready = [], []
    for key, (parts, operation) in wanted.items():
        if key not in given:
            near = nearest(key, [other for other in given if other not in wanted], 1)
            problems.append(f"missing     {key}" + (f"   (the file has {near[0]})" if near else ""))
            continue
        tensor = given[key]
        needed = shape_of(parts, operation)
        if tuple(tensor.shape) != needed:
            problems.append(f"mis-shaped  {key}   file {tuple(tensor.shape)}, model {needed}")
            continue
        sizes = [part if isinstance(part, int) else part.shape[0] for part in parts]
        split = operation.load(tensor) if operation is not None else tensor.split(sizes) if tensor.ndim else (tensor,)
        ready += [(part, value) for part, value in zip(parts, split, strict=True) if isinstance(part, Tensor)]
    problems += [f"unexpected  {key}" for key in given if key not in wanted]
    if problems:
        shown = problems[:12] + ([f"… and {len(problems) - 12} more"] if len(problems) > 12 else [])
        config = tuning.state_of(model).configs[name]
        base = config.base_model_name_or_path
        raise WeightsError(
            f"The adapter in {origin} does not fit {type(model).__name__}: {len(problems)} problem(s).\n  "
            + "\n  ".join(shown),
            "Load it onto the model that it was trained on" + (f" ({base})." if base else "."),
        )
    for part, value in ready:
        part.copy_(value)


def spelled_plainly(key: str, wanted: Container[str]) -> str | None:
    """A file's name without what its program's wrappers left in it; None for what is no part of an adapter.

    With all biases trained, files hold some of them again under the names of the wrapped modules.
    """
    if ".original_module." in key:
        return None
    key = re.sub(r"\.modules_to_save(\.default)?\.", ".", key)
    unwrapped = key.replace(".base_layer.", ".")
    return unwrapped if unwrapped in wanted else key


def shape_of(parts: Sequence[Tensor | int], operation: Operation | None) -> tuple[int, ...]:
    """The shape in the file of what is made of these parts."""
    if operation is not None:
        meta = [torch.empty(part.shape, device="meta") for part in parts if isinstance(part, Tensor)]
        return tuple(operation.save(meta).shape)
    known = next(part for part in parts if isinstance(part, Tensor))
    rows = [part if isinstance(part, int) else part.shape[0] for part in parts if isinstance(part, int) or part.ndim]
    return (sum(rows), *known.shape[1:]) if known.ndim else ()


def load_weights(model: nn.Module, folder: str | Path) -> None:
    """The values of all adapters of a model from a folder that `save` wrote, into the parameters that are there."""
    for name in tuning.state_of(model).configs:
        source = Source(folder, subfolder="" if name == DEFAULT else name)
        fill(model, name, read_tensors(source), str(folder))
