"""What adapters do to a model: put in, chosen, switched off, merged, taken out. Works on any `nn.Module`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from samovar.adapters.config import HEADS, LoraConfig
from samovar.adapters.layers import LoraLayer, SavedModule
from samovar.adapters.names import Plan, note_unused, plain_modules, plain_tensors, plan_for
from samovar.errors import ConfigError, InputTypeError, did_you_mean

STATE = "adapter_state"


@dataclass
class State:
    """A model's adapters: their configurations by name, those in use, and whether they are switched on."""

    configs: dict[str, LoraConfig] = field(default_factory=dict)
    active: list[str] = field(default_factory=list)
    enabled: bool = True


def state_of(model: nn.Module) -> State:
    """The model's adapters; none at first."""
    return model.__dict__.setdefault(STATE, State())


def lora_layers(model: nn.Module) -> list[LoraLayer]:
    """All adapted layers."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def saved_modules(model: nn.Module) -> list[SavedModule]:
    """All modules with trained copies."""
    return [module for module in model.modules() if isinstance(module, SavedModule)]


def check_names(model: nn.Module, names: str | Sequence[str]) -> list[str]:
    """The names as a list, each of an adapter that is there. Raises `ConfigError`."""
    chosen = [names] if isinstance(names, str) else list(names)
    known = state_of(model).configs
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, known)
            there = f"There are: {', '.join(known)}." if known else "There is none; call `add_adapter` first."
            raise ConfigError(f"There is no adapter {name!r}.", hint or there)
    return chosen


def add(model: nn.Module, name: str, config: LoraConfig) -> None:
    """Put an adapter in, not yet in use. Raises `ConfigError`; the model is then as it was."""
    if not isinstance(config, LoraConfig):
        raise InputTypeError(f"A LoraConfig expected, got {type(config).__name__}.", "Pass LoraConfig(r=8, …).")
    state = state_of(model)
    if name in state.configs:
        raise ConfigError(f"There is an adapter {name!r} already.", "Give another adapter_name, or delete it first.")
    if not name or "." in name or hasattr(nn.ModuleDict, name):
        raise ConfigError(f"An adapter cannot be called {name!r}.", "Use letters, digits and underscores.")
    biased = [other for other, one in state.configs.items() if one.bias != "none"]
    if biased or (state.configs and config.bias != "none"):
        raise ConfigError(
            f"bias={config.bias!r} for {name!r} beside {', '.join(biased or state.configs)}: "
            "the model's own biases can be trained by one adapter only.",
            "Use bias='none', or a single adapter.",
        )
    plan = plan_for(model, config)
    note_unused(model, config, plan)
    heads = HEADS.get(config.task_type, ()) if config.task_type else ()
    if heads:
        config.modules_to_save = list(dict.fromkeys([*(config.modules_to_save or ()), *heads]))
    put_in(model, name, config, plan)
    state.configs[name] = config


def put_in(model: nn.Module, name: str, config: LoraConfig, plan: Plan) -> None:
    """New layers of an adapter."""
    modules = dict(plain_modules(model))
    for site, parts in plan.sites:
        down: nn.Linear | None = None
        for part in parts:
            layer = modules[part]
            assert isinstance(layer, nn.Linear)
            if down is None:
                down = new_down(layer, config, site.name)
            LoraLayer.convert(layer).add(
                name, down, config.scaling_of(site.name), config.lora_dropout, config.init_lora_weights is False
            )
    for path in plan.saved:
        parent, _, leaf = path.rpartition(".")
        holder = modules[parent]
        child = getattr(holder, leaf)
        if not isinstance(child, SavedModule):
            child = SavedModule(child)
            setattr(holder, leaf, child)
        child.add(name)
        child.train(model.training)


def new_down(layer: nn.Linear, config: LoraConfig, site: str) -> nn.Linear:
    """A new `lora_A`, in float32 where the layer is narrower: small updates are lost in half precision."""
    narrow = layer.weight.dtype in (torch.float16, torch.bfloat16)
    rank = config.rank_of(site)
    down = nn.Linear(layer.in_features, rank, bias=False)
    if config.init_lora_weights == "gaussian":
        nn.init.normal_(down.weight, std=1 / rank)
    return down.to(device=layer.weight.device, dtype=torch.float32 if narrow else layer.weight.dtype)


def delete(model: nn.Module, name: str) -> None:
    """Take an adapter out; if it was the only one in use, the first of the others is used."""
    check_names(model, name)
    state = state_of(model)
    take_out(model, name)
    left = [one for one in state.active if one != name]
    activate(model, left or list(state.configs)[:1])


def take_out(model: nn.Module, name: str) -> None:
    """The opposite of `add`: what is trained is not changed."""
    for layer in lora_layers(model):
        layer.delete(name)
        if not layer.lora_A:
            layer.restore()
    for leaf, parent in list(plain_parents(model)):
        child = getattr(parent, leaf)
        if name in child.modules_to_save:
            del child.modules_to_save[name]
        child.active = None if child.active == name else child.active
        if not child.modules_to_save:
            setattr(parent, leaf, child.original_module)
    del state_of(model).configs[name]


def plain_parents(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(attribute, parent) of every module with trained copies."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, SavedModule):
                yield name, parent


def activate(model: nn.Module, names: str | Sequence[str]) -> None:
    """Use these adapters and train them, as far as their configurations say. Raises `ConfigError`."""
    chosen = check_names(model, names)
    for module in saved_modules(model):
        with_copy = [name for name in chosen if name in module.modules_to_save]
        if len(with_copy) > 1:
            raise ConfigError(
                f"The adapters {' and '.join(with_copy)} each have a {type(module.original_module).__name__} of their "
                "own in modules_to_save, and only one of them can be used at a time.",
                "Activate one of them.",
            )
    for layer in lora_layers(model):
        layer.active_adapters = tuple(name for name in chosen if name in layer.lora_A)
    for module in saved_modules(model):
        module.active = next((name for name in chosen if name in module.modules_to_save), None)
    state_of(model).active = chosen
    set_trainable(model)


def set_trainable(model: nn.Module) -> None:
    """Gradients for what the adapters in use train, and for nothing else of the model."""
    state = state_of(model)
    trained = [name for name in state.active if state.enabled and not state.configs[name].inference_mode]
    biases = trained_biases(model, next((state.configs[name] for name in trained), None))
    for name, tensor in plain_tensors(model).items():
        if isinstance(tensor, nn.Parameter) and tensor.is_floating_point():
            tensor.requires_grad_(name in biases)
    for layer in lora_layers(model):
        for table in (layer.lora_A, layer.lora_B):
            for name, module in table.items():
                module.requires_grad_(name in trained)
    for saved in saved_modules(model):
        for name, module in saved.modules_to_save.items():
            module.requires_grad_(name in trained)


def trained_biases(model: nn.Module, config: LoraConfig | None) -> set[str]:
    """Our names of the biases that a configuration trains in the base model."""
    if config is None or config.bias == "none":
        return set()
    plan = plan_for(model, config)
    if config.bias == "lora_only":
        return {f"{part}.bias" for _, parts in plan.sites for part in parts}
    names = {name for name in plain_tensors(model) if plan.dialect.theirs(name)[0].split(".")[-1] == "bias"}
    return {name for name in names if not any(name.startswith(f"{unit}.") for unit in plan.saved)}


def enable(model: nn.Module, on: bool) -> None:
    """Switch all adapters on or off; off, merged ones are taken out of the weights first."""
    state_of(model).enabled = on
    for layer in lora_layers(model):
        if not on:
            layer.unmerge()
        layer.enabled = on
    for module in saved_modules(model):
        module.enabled = on
    set_trainable(model)


@contextlib.contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """The base model, for the duration of a `with` block."""
    was_on = state_of(model).enabled
    merged = {layer: layer.merged_adapters for layer in lora_layers(model)}
    graded = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    enable(model, False)
    try:
        yield
    finally:
        enable(model, was_on)
        for layer, names in merged.items():
            if isinstance(layer, LoraLayer):  # The block may have unloaded the adapters.
                layer.merge(names)
        for parameter, flag in graded:  # What a caller had set by hand is set again.
            parameter.requires_grad_(flag)


def merge(model: nn.Module, names: Sequence[str] | None = None, safe: bool = False) -> None:
    """Put adapters, those in use if none are named, into the weights; undone for all layers if one is refused."""
    chosen = state_of(model).active if names is None else check_names(model, names)
    before = {layer: layer.merged_adapters for layer in lora_layers(model)}
    try:
        for layer in before:
            layer.merge(chosen, safe)
    except ArithmeticError:
        for layer, merged in before.items():
            layer.unmerge()
            layer.merge(merged)
        raise


def unmerge(model: nn.Module) -> None:
    """Take adapters out of the weights again."""
    for layer in lora_layers(model):
        layer.unmerge()


def unload(model: nn.Module) -> None:
    """Make the model an ordinary one: layers with the weights as they are now, modules with the copy in use."""
    for layer in lora_layers(model):
        layer.restore()
    for module in saved_modules(model):
        module.enabled = True  # Adapters that are switched off are merged all the same, and so are their modules.
    for name, parent in list(plain_parents(model)):
        setattr(parent, name, getattr(parent, name).in_use)
    model.__dict__.pop(STATE, None)
