"""Which of our layers an adapter's module names mean: the names of checkpoints, of newer programs, and our own.

An adapter's file and its `target_modules` name modules as the program that trained it does. For most architectures
those are the checkpoint's names. A few were renamed inside that program after their checkpoints were published, so
files of both kinds exist; `RENAMED` holds the newer names, and each adapter is read and written in the kind that its
`target_modules` are in.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from samovar.adapters.config import ALL_LINEAR, HEADS, LoraConfig
from samovar.adapters.layers import LoraLayer, SavedModule
from samovar.errors import ConfigError, did_you_mean
from samovar.weights.names import NameTable, Operation, Table, prefixed

logger = logging.getLogger(__name__)

VIT_RENAMED = {
    "encoder.layer.{i}": "layers.{i}",
    "encoder.layer.{i}.attention.attention.query": "layers.{i}.attention.q_proj",
    "encoder.layer.{i}.attention.attention.key": "layers.{i}.attention.k_proj",
    "encoder.layer.{i}.attention.attention.value": "layers.{i}.attention.v_proj",
    "encoder.layer.{i}.attention.output.dense": "layers.{i}.attention.o_proj",
    "encoder.layer.{i}.intermediate.dense": "layers.{i}.mlp.fc1",
    "encoder.layer.{i}.output.dense": "layers.{i}.mlp.fc2",
}
# Checkpoint name → the module's name in programs of 2026, by `model_type`.
RENAMED: dict[str, Table] = {
    "vit": VIT_RENAMED,
    "deit": VIT_RENAMED,
    "dinov2": {
        "encoder.layer.{i}.attention.attention.query": "encoder.layer.{i}.attention.q_proj",
        "encoder.layer.{i}.attention.attention.key": "encoder.layer.{i}.attention.k_proj",
        "encoder.layer.{i}.attention.attention.value": "encoder.layer.{i}.attention.v_proj",
        "encoder.layer.{i}.attention.output.dense": "encoder.layer.{i}.attention.o_proj",
    },
}


@dataclass(frozen=True)
class Site:
    """One linear layer of a checkpoint: its name, and our layers that it is made of, in order of their rows."""

    name: str
    parts: tuple[str, ...]
    operation: Operation | None


@dataclass
class Plan:
    """Where an adapter goes: each site with those of its parts that are adapted, and the modules saved in full."""

    dialect: Dialect
    sites: list[tuple[Site, tuple[str, ...]]] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    spelled: bool = True  # Whether the file's readers find the sites by `target_modules` as it was given.


class Dialect:
    """Our parameter names ↔ one kind of theirs."""

    def __init__(self, table: NameTable, newer: NameTable | None = None) -> None:
        self.table, self.newer = table, newer

    def theirs(self, name: str) -> tuple[str, tuple[str, ...], Operation | None]:
        """Their name of one of our tensors, all of our tensors that theirs holds, and the operation between them."""
        key, ours, operation = self.table.to_checkpoint(name)
        return (key if self.newer is None else self.newer.to_ours(key)[0][0]), ours, operation


def dialects(model: nn.Module) -> list[Dialect]:
    """The kinds of names that files for this model have, the newest first; a plain module has its own names alone."""
    make: Callable[[Any], NameTable] | None = getattr(model, "name_table", None)
    if make is None:
        return [Dialect(NameTable({}))]
    table, found = make(getattr(model, "config", None)), []
    renamed = RENAMED.get(getattr(getattr(model, "config", None), "model_type", ""))
    if renamed is not None:
        prefix = str(getattr(model, "prefix", "")) if hasattr(model, "backbone_class") else ""
        found.append(Dialect(table, NameTable(prefixed(renamed, prefix, prefix))))
    return [*found, Dialect(table)]


def plain_modules(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """All modules by the names that they have without adapters."""
    yield prefix, model
    if isinstance(model, LoraLayer):
        return
    for name, child in model.named_children():
        inside = child.original_module if isinstance(child, SavedModule) else child
        yield from plain_modules(inside, f"{prefix}.{name}" if prefix else name)


def plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and persistent buffers of the base model by the names that they have without adapters."""
    found: dict[str, Tensor] = {}
    for prefix, module in plain_modules(model):
        kept = {name: t for name, t in module._buffers.items() if name not in module._non_persistent_buffers_set}
        for name, tensor in {**module._parameters, **kept}.items():
            if tensor is not None:
                found[f"{prefix}.{name}" if prefix else name] = tensor
    return found


def linear_sites(model: nn.Module, dialect: Dialect) -> list[Site]:
    """All linear layers of the checkpoint, in the model's order."""
    found: dict[str, Site] = {}
    for path, module in plain_modules(model):
        if type(module) in (nn.Linear, LoraLayer):
            key, ours, operation = dialect.theirs(f"{path}.weight")
            parts = tuple(name.removesuffix(".weight") for name in ours)
            found.setdefault(key, Site(key.removesuffix(".weight"), parts, operation))
    return list(found.values())


def ends_with(name: str, words: Iterable[str]) -> bool:
    """Is the name one of these, or does it end with one after a dot?"""
    return any(name == word or name.endswith(f".{word}") for word in words)


def matches(name: str, wanted: list[str] | str | None) -> bool:
    """Does a module's name fit a list of endings, or a regular expression as a whole?"""
    if isinstance(wanted, str):
        return re.fullmatch(wanted, name) is not None
    return ends_with(name, wanted or ())


def allowed(name: str, config: LoraConfig, saved: list[str]) -> bool:
    """Is a module left in by everything in the configuration that takes modules out?"""
    if config.exclude_modules and matches(name, config.exclude_modules):
        return False
    if any(re.match(rf"(^|.*\.){word}($|\..*)", name) for word in saved):
        return False
    wanted = config.layers_to_transform
    if wanted is None or wanted == [] or isinstance(config.target_modules, str):
        return True
    patterns = [config.layers_pattern] if isinstance(config.layers_pattern, str) else config.layers_pattern
    numbers = [rf"(?:^|.*?\.){pattern}\.(\d+)\." for pattern in patterns or ()] or [r".*?\.[^.]*\.(\d+)\."]
    hit = next(filter(None, (re.match(pattern, name) for pattern in numbers)), None)
    return hit is not None and int(hit.group(1)) in ([wanted] if isinstance(wanted, int) else wanted)


def plan_for(model: nn.Module, config: LoraConfig) -> Plan:
    """Where an adapter of this configuration goes. Raises `ConfigError` when that is nowhere."""
    kinds = dialects(model)
    best = max(kinds, key=lambda kind: score(model, kind, config))
    plan = Plan(best)
    heads = HEADS.get(config.task_type, ()) if config.task_type else ()
    saved = list(dict.fromkeys([*(config.modules_to_save or ()), *heads]))
    plan.saved = saved_modules(model, best, saved, optional=heads)
    sites = linear_sites(model, best)
    for site in sites:
        chosen = chosen_parts(model, site, sites, config)
        if chosen and allowed(site.name, config, saved):
            plan.sites.append((site, chosen))
    wanted = config.target_modules
    plan.spelled = wanted not in (None, ALL_LINEAR) and {site.name for site, _ in plan.sites} == {
        site.name for site in sites if matches(site.name, wanted) and allowed(site.name, config, saved)
    }
    if not plan.sites:
        raise ConfigError(*nowhere(model, sites, config))
    return plan


def note_unused(model: nn.Module, config: LoraConfig, plan: Plan) -> None:
    """Say which of `target_modules` name no linear layer; lists that serve several architectures hold such."""
    sites = linear_sites(model, plan.dialect)
    for word in config.target_modules if isinstance(config.target_modules, list) else ():
        if not any(ends_with(name, [word]) for site in sites for name in (site.name, *site.parts)):
            hint = did_you_mean(word, endings(sites))
            logger.warning("target_modules: no linear layer's name ends with %r. %s", word, hint)


def score(model: nn.Module, dialect: Dialect, config: LoraConfig) -> int:
    """How many of `target_modules` are names of this kind."""
    wanted = config.target_modules
    if wanted is None or wanted == ALL_LINEAR:
        return 0
    sites = linear_sites(model, dialect)
    words = [wanted] if isinstance(wanted, str) else [[word] for word in wanted]
    return sum(any(matches(site.name, word) for site in sites) for word in words)


def chosen_parts(model: nn.Module, site: Site, sites: list[Site], config: LoraConfig) -> tuple[str, ...]:
    """Which of a site's parts `target_modules` names; a word that is nobody's checkpoint name is one of ours."""
    wanted = config.target_modules
    if wanted == ALL_LINEAR:
        output = getattr(model, "get_output_embeddings", lambda: None)()
        modules = dict(plain_modules(model))
        return () if any(modules[part] is output for part in site.parts) else site.parts
    if wanted is None:
        return site.parts if any(part.endswith(("q_proj", "v_proj")) for part in site.parts) else ()
    if matches(site.name, wanted):
        return site.parts
    own: list[str] | str = wanted
    if isinstance(wanted, str):
        if any(matches(one.name, wanted) for one in sites):
            return ()
    else:
        own = [word for word in wanted if not any(ends_with(one.name, [word]) for one in sites)]
    return tuple(part for part in site.parts if matches(part, own))


def endings(sites: list[Site]) -> list[str]:
    """The last words of all names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for site in sites for name in (site.name, *site.parts)))


def nowhere(model: nn.Module, sites: list[Site], config: LoraConfig) -> tuple[str, str]:
    """Cause and next step when no layer is adapted."""
    wanted, known = config.target_modules, endings(sites)
    keys = [kind.theirs(name)[0].rpartition(".")[0] for kind in dialects(model) for name in plain_tensors(model)]
    other = [key for key in keys if wanted and matches(key, wanted) and key not in {site.name for site in sites}]
    cause = f"target_modules={wanted!r} fits no linear layer of {type(model).__name__}"
    if other:
        cause += f"; it fits {other[0]!r}, which is no linear layer"
    elif config.exclude_modules or config.layers_to_transform is not None or config.modules_to_save:
        cause += " that exclude_modules, layers_to_transform and modules_to_save leave"
    words = wanted if isinstance(wanted, list) else []
    hints = " ".join(filter(None, (did_you_mean(word, known) for word in words)))
    return f"{cause}.", f"{hints} Its linear layers are called {', '.join(known)}.".strip()


def saved_modules(model: nn.Module, dialect: Dialect, words: list[str], optional: Iterable[str] = ()) -> list[str]:
    """The largest of our modules that hold what these checkpoint modules hold. Raises `ConfigError`."""
    keys = {name: dialect.theirs(name)[0] for name in plain_tensors(model)}
    found: list[str] = []
    for word in words:
        wanted = {name for name, key in keys.items() if inside(key, word)}
        wanted = wanted or {name for name in keys if inside(name, word)}
        if not wanted:
            if word in optional:
                continue
            known = dict.fromkeys(part for key in keys.values() for part in key.split(".")[:-1] if not part.isdigit())
            hint = did_you_mean(word, known)
            raise ConfigError(
                f"modules_to_save: {type(model).__name__} has no module whose name ends with {word!r}.",
                hint or f"It has {', '.join(known)}.",
            )
        units = cover("", wanted, list(keys))
        if not all(any(name.startswith(f"{unit}.") for unit in units) for name in wanted):
            raise ConfigError(
                f"modules_to_save: {word!r} is not made of whole modules in {type(model).__name__}.",
                "Name the modules inside it, or the one around it.",
            )
        found += [unit for unit in units if unit not in found]
    return [unit for unit in found if not any(unit.startswith(f"{other}.") for other in found)]


def inside(key: str, word: str) -> bool:
    """Is a tensor in a module whose name ends with this word?"""
    parts = key.split(".")[:-1]
    return any(".".join(parts[:count]).endswith(word) for count in range(1, len(parts) + 1))


def cover(path: str, wanted: set[str], names: list[str]) -> list[str]:
    """The fewest modules under `path` that hold only tensors that are wanted, and together all that can be.

    Of a module that only passes on to one inside, the one inside.
    """
    dot = f"{path}." if path else ""
    under = [name for name in names if name.startswith(dot)]
    first = {name[len(dot) :].split(".")[0] for name in under}
    if path and all(name in wanted for name in under) and (len(first) > 1 or f"{dot}{min(first)}" in under):
        return [path]
    children = dict.fromkeys(name[len(dot) :].split(".")[0] for name in under if "." in name[len(dot) :])
    return [unit for child in children for unit in cover(f"{dot}{child}", wanted, names)]
