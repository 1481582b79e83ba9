"""What the reference holds: the public names, the modules that they are defined in, and where each is described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from samovar.server.web.docs.sources import PACKAGE, Definition, Module, module_names, read
from samovar.surface import declared_names

# Described whole, though few of their names are imported by most people: bricks for an architecture of one's own.
WHOLE = ("samovar.errors", "samovar.nn", "samovar.tasks", "samovar.weights.names", "samovar.weights.operations")
# Heading of the rail → packages and modules below it, in the order of the rail; what is not named comes last.
GROUPS = {
    "Loading and running": ("samovar.auto", "samovar.pipelines", "samovar.model", "samovar.config", "samovar.errors"),
    "Text, images": ("samovar.text", "samovar.vision", "samovar.audio"),
    "Writing": ("samovar.generation",),
    "Training": ("samovar.training", "samovar.adapters"),
    "Embeddings": ("samovar.sentence",),
    "Metrics": ("samovar.evaluate",),
    "Sharing and export": ("samovar.hub", "samovar.export", "samovar.runtime"),
    "Architectures": ("samovar.architectures", "samovar.registry"),
    "Bricks": ("samovar.nn", "samovar.tasks", "samovar.weights"),
}


@dataclass(frozen=True)
class Place:
    """Where a name is described; `definition` is empty for a module."""

    module: str
    definition: str = ""

    @property
    def address(self) -> str:
        """The page of the docs, with its anchor."""
        return f"api/{self.module.removeprefix('samovar.')}" + (f"#{self.definition}" if self.definition else "")


@cache
def public() -> dict[str, Place]:
    """Dotted public name → where it is defined."""
    found: dict[str, Place] = {}
    for name in module_names():
        module = read(name)
        stub = PACKAGE.joinpath(*name.split(".")[1:], "__init__.pyi")
        if module.package and stub.is_file():
            for shown, (where, original) in declared_names(stub).items():
                place = resolve(f"{name}.{where}".rstrip("."), original)
                if place is not None:
                    found[f"{name}.{shown}"] = place
        else:
            for shown in module.exported:
                place = resolve(name, shown)
                if place is not None:
                    found[f"{name}.{shown}"] = place
    return found


def resolve(module: str, name: str) -> Place | None:
    """Where `module.name` is defined, through whatever imports lie between."""
    for _ in range(9):
        try:
            there = read(module)
        except KeyError:
            return None
        if there.find(name) is not None:
            return Place(module, name)
        if name in there.imports:
            module, name = there.imports[name]
            continue
        try:
            read(f"{module}.{name}")
        except KeyError:
            return None
        return Place(f"{module}.{name}")
    return None


@cache
def described() -> dict[str, tuple[str, ...]]:
    """Module → the names that its page describes, in the order of its source."""
    chosen: dict[str, set[str]] = {}
    for place in public().values():
        chosen.setdefault(place.module, set())
        if place.definition:
            chosen[place.module].add(place.definition)
    found = {}
    # A module that is a public name itself is described whole, too.
    modules = {place.module for place in public().values() if not place.definition}
    for name in module_names():
        whole = name in modules or any(name == one or name.startswith(f"{one}.") for one in WHOLE)
        if not whole and name not in chosen:
            continue
        names = tuple(
            one.name for one in read(name).definitions
            if one.name in chosen.get(name, ()) or (whole and one.kind != "constant" and one.doc)
        )  # fmt: skip
        if names or name in modules or read(name).package:
            found[name] = names
    return found


@cache
def groups() -> dict[str, list[str]]:
    """Heading → modules that have a page."""
    left = dict.fromkeys(name for name in described() if name != "samovar")
    found: dict[str, list[str]] = {}
    for heading, prefixes in GROUPS.items():
        for prefix in prefixes:
            for name in list(left):
                if name == prefix or name.startswith(f"{prefix}."):
                    found.setdefault(heading, []).append(name)
                    del left[name]
    if left:
        found["Other"] = list(left)
    return found


@cache
def short() -> dict[str, Place]:
    """What code in a text may be a name for: `Trainer`, `samovar.Trainer`, `evaluate.load`, `samovar.nn.cache`."""
    found: dict[str, Place] = {}
    for name, definitions in described().items():
        if name == "samovar":
            continue
        found[name] = Place(name)
        for one in definitions:
            found[f"{name}.{one}"] = Place(name, one)
            if name == "samovar.errors":
                found[one] = found[f"errors.{one}"] = Place(name, one)
    for name, place in public().items():
        found[name] = place
        found[name.removeprefix("samovar.")] = place
    return found


def place_of(name: str) -> Place | None:
    """Where code such as `Trainer`, `pipeline(…)` or `Trainer.train` is described, if anywhere."""
    name = name.partition("(")[0].strip()
    found = short().get(name)
    if found is not None:
        return found
    owner, dot, member = name.rpartition(".")
    place = short().get(owner) if dot else None
    if place is None:
        return None
    if not place.definition:
        return Place(place.module, member) if member in described().get(place.module, ()) else None
    for module, definition in lineage(place.module, place.definition):
        here = definition.name in described().get(module.name, ())
        if here and any(one.name == member and one.doc for one in definition.members):
            return Place(module.name, f"{definition.name}.{member}")
    return None


def lineage(module: str, name: str) -> Iterator[tuple[Module, Definition]]:
    """A class and the library's classes that it comes from, the nearest first."""
    seen, waiting = set(), [(module, name)]
    while waiting:
        where = waiting.pop(0)
        if where in seen:
            continue
        seen.add(where)
        there = read(where[0])
        found = there.find(where[1])
        if found is None:
            continue
        yield there, found
        for base in found.bases:
            place = named(there, base.partition("[")[0])
            if place is not None and place.definition:
                waiting.append((place.module, place.definition))


def named(module: Module, expression: str) -> Place | None:
    """What a dotted expression in a module's source names."""
    first, _, rest = expression.partition(".")
    if not rest:
        return resolve(module.name, first)
    if first in module.imports:
        origin, original = module.imports[first]
        return resolve(f"{origin}.{original}", rest)
    return None


def import_line(module: str, name: str) -> str:
    """The shortest line that imports a name."""
    ways = [dotted for dotted, place in public().items() if place == Place(module, name)]
    same = [dotted for dotted in ways if dotted.endswith(f".{name}")] or [f"{module}.{name}"]
    shortest = min(same, key=lambda dotted: dotted.count("."))
    return f"from {shortest.rpartition('.')[0]} import {name}"
