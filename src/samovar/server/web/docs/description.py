"""A module's page of the reference: what each class and function is called with, does and inherits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup

from samovar.server.web.docs.reference import Place, described, import_line, lineage, public
from samovar.server.web.docs.rendering import address, docstring
from samovar.server.web.docs.sources import Definition, read, summary
from samovar.server.web.markup import coloured

STANDARD = ("object", "ABC", "Protocol", "Exception", "nn.Module")


@dataclass(frozen=True)
class Described:
    """A definition as the page shows it. `inherited` is (class, [(member, address)])."""

    anchor: str
    kind: str
    name: str
    signature: Markup
    doc: Markup
    words: str
    importing: str
    bases: tuple[tuple[str, str], ...]
    fields: tuple[Any, ...]
    members: tuple[Described, ...]
    inherited: tuple[tuple[str, list[tuple[str, str]]], ...]


@dataclass(frozen=True)
class Reference:
    """A module's page. `parts` are the names that a package gathers from its modules: (name, address, summary)."""

    name: str
    doc: Markup
    summary: str
    definitions: tuple[Described, ...]
    parts: tuple[tuple[str, str, str], ...]


@cache
def reference(name: str) -> Reference:
    """A module's page by its dotted name. Raises `KeyError` if the reference does not hold it."""
    names, module = described()[name], read(name)
    parts = []
    for dotted, place in sorted(public().items()):
        if dotted.rpartition(".")[0] == name and place.module != name:
            parts.append((dotted.rpartition(".")[2], address(place.address), summary(words(place))))
    definitions = tuple(describe(name, one) for one in module.definitions if one.name in names)
    return Reference(name, safe(docstring(module.doc)), summary(module.doc), definitions, tuple(parts))


def words(place: Place) -> str:
    """The docstring of a definition or module."""
    module = read(place.module)
    found = module.find(place.definition) if place.definition else None
    return found.doc if found is not None else module.doc


def describe(module: str, one: Definition, owner: str = "") -> Described:
    """A definition with its members."""
    signature, bases, inherited = one.signature, [], []
    if one.kind == "class":
        family = list(lineage(module, one.name))
        if "(" not in signature:
            signature = constructor(one, [found for _, found in family])
        for expression in one.bases:
            place = next(
                (
                    Place(there.name, found.name)
                    for there, found in family[1:]
                    if found.name == expression.rpartition(".")[2]
                ),
                None,
            )
            if expression not in STANDARD:
                bases.append((expression, address_of(place)))
        own = {member.name for member in one.members}
        for there, ancestor in family[1:]:
            theirs = [member.name for member in ancestor.members if member.doc and member.name not in own]
            own.update(theirs)
            if theirs and address_of(Place(there.name, ancestor.name)):
                inherited.append(
                    (
                        ancestor.name,
                        [(name, address(Place(there.name, f"{ancestor.name}.{name}").address)) for name in theirs],
                    )
                )
    elif owner and one.kind in ("def", "classmethod", "staticmethod"):
        signature = f"{owner}.{signature}" if one.kind != "def" else signature
    head = {"class": "class ", "constant": "", "property": "property "}.get(one.kind, "def ")
    html = coloured(head.strip() + " " + signature if head else signature, "", "python")
    return Described(
        f"{owner}.{one.name}".lstrip("."), one.kind, one.name, safe(html), safe(docstring(one.doc, one.name)),
        one.doc, "" if owner else import_line(module, one.name), tuple(bases), one.fields,
        tuple(describe(module, member, one.name) for member in one.members if member.doc), tuple(inherited),
    )  # fmt: skip


def constructor(one: Definition, family: list[Definition]) -> str:
    """How a class without an `__init__` of its own is made."""
    for ancestor in family[1:]:
        if "(" in ancestor.signature:
            return ancestor.signature.replace(ancestor.name, one.name, 1)
    return one.name


def address_of(place: Place | None) -> str:
    """The address of a definition that the reference holds, else nothing."""
    return address(place.address) if place and place.definition in described().get(place.module, ()) else ""


def safe(html: str) -> Markup:
    """HTML that was made here of escaped parts."""
    return Markup(html)


@cache
def overview() -> dict[str, list[tuple[str, str, str]]]:
    """Module → (name, address, summary) of what it describes."""
    found = {}
    for name, definitions in described().items():
        module = read(name)
        found[name] = [
            (one.name, address(Place(name, one.name).address), one.summary)
            for one in module.definitions
            if one.name in definitions
        ]
    return found
