"""The table of weight names: checkpoint name ↔ our name, matched on whole dotted segments, in both directions.

A table maps a checkpoint prefix to ours; what follows the prefix (`weight`, `bias`) is kept. `{i}` stands for one
numeric segment and carries over by its letter. The longest matching prefix wins; a name that no entry matches is the
same on both sides. A target may be an operation (`Split`, `Transpose`), whose inverse is used on the way back, and
`None` marks what a checkpoint may hold and a model does not need, such as buffers of old versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from samovar.errors import ConfigError
from samovar.weights.operations import Operation as Operation
from samovar.weights.operations import Reshape as Reshape
from samovar.weights.operations import Split as Split
from samovar.weights.operations import SplitRows as SplitRows
from samovar.weights.operations import Transpose as Transpose
from samovar.weights.operations import When as When

if TYPE_CHECKING:
    from samovar.config import Config

Target = str | Operation | When | None
Table = Mapping[str, Target]
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def targets_of(target: str | Operation | None) -> tuple[str, ...]:
    """Our names in a table entry."""
    if target is None:
        return ()
    return (target,) if isinstance(target, str) else target.targets


class Pattern:
    """A dotted prefix in which `{i}` stands for one numeric segment."""

    def __init__(self, text: str) -> None:
        self.text = text
        if not text:
            # The empty prefix stands before every name.
            self.regex = re.compile(r"(?P<rest>.+)$")
            self.rank = (0, 0)
            return
        parts = [PLACEHOLDER.sub(r"(?P<\1>\\d+)", re.escape(part).replace(r"\{", "{").replace(r"\}", "}"))
                 for part in text.split(".")]  # fmt: skip
        self.regex = re.compile(r"\.".join(parts) + r"(?P<rest>(\..*)?)$")
        # More segments first, then more literal ones: `layer.0` beats `layer.{i}`.
        self.rank = (len(parts), -len(PLACEHOLDER.findall(text)))

    def match(self, name: str) -> tuple[dict[str, str], str] | None:
        found = self.regex.match(name)
        if found is None:
            return None
        groups = found.groupdict()
        return groups, groups.pop("rest")


def join(prefix: str, rest: str) -> str:
    """The two with exactly one dot between them, or one of them alone."""
    return ".".join(part for part in (prefix, rest.removeprefix(".")) if part)


def fill(text: str, indices: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced."""
    return PLACEHOLDER.sub(lambda found: indices[found.group(1)], text)


class NameTable:
    """A table compiled for both directions.

    Raises `ConfigError` when two entries claim the same target, which would make the way back ambiguous.
    """

    def __init__(self, table: Table) -> None:
        # What depends on a configuration is there once the table is bound to one.
        entries = [(Pattern(source), one) for source, one in table.items() if not isinstance(one, When)]
        self.forward = sorted(entries, key=lambda entry: entry[0].rank, reverse=True)
        backward = [(Pattern(ours), source.text, target) for source, target in entries for ours in targets_of(target)]
        seen: dict[str, str] = {}
        for ours, source_text, _ in backward:
            if seen.setdefault(ours.text, source_text) != source_text:
                raise ConfigError(
                    f"Two checkpoint names, {seen[ours.text]!r} and {source_text!r}, lead to {ours.text!r}.",
                    "Keep the name that is written back and map the other to None or to `tied`.",
                )
        self.backward = sorted(backward, key=lambda entry: entry[0].rank, reverse=True)

    def to_ours(self, name: str) -> tuple[tuple[str, ...], Operation | None]:
        """Our names for a checkpoint name, and the operation between them; no names: not needed."""
        for pattern, target in self.forward:
            found = pattern.match(name)
            if found:
                indices, rest = found
                names = tuple(join(fill(ours, indices), rest) for ours in targets_of(target))
                return names, None if isinstance(target, str | None) else target
        return (name,), None

    def to_checkpoint(self, name: str) -> tuple[str, tuple[str, ...], Operation | None]:
        """The checkpoint name of one of our names, all of our names that it holds, and the operation."""
        for pattern, source, target in self.backward:
            found = pattern.match(name)
            if found:
                indices, rest = found
                operation = None if isinstance(target, str | None) else target
                names = tuple(join(fill(ours, indices), rest) for ours in targets_of(target))
                return join(fill(source, indices), rest), names, operation
        return name, (name,), None

    def gather(self, names: Iterable[str]) -> dict[str, tuple[tuple[str, ...], Operation | None]]:
        """For saving: checkpoint name → (our names it is made of, operation), in the order of `names`."""
        plan: dict[str, tuple[tuple[str, ...], Operation | None]] = {}
        for name in names:
            source, ours, operation = self.to_checkpoint(name)
            plan[source] = (ours, operation)
        return plan


def bound(table: Table, config: Config) -> Table:
    """The table for one configuration: operations are given its sizes, entries that it does not have are left out."""
    made: dict[str, Target] = {}
    for source, target in table.items():
        if isinstance(target, When):
            if target.condition(config):
                made[source] = target.target
        else:
            made[source] = target.bound(config) if isinstance(target, Operation) else target
    return made


def prefixed(table: Table, theirs: str, ours: str) -> dict[str, Target]:
    """The table with a prefix on either side, for a backbone that stands inside a model with a head."""

    def move(target: Target) -> Target:
        if target is None:
            return None
        return join(ours, target) if isinstance(target, str) else target.moved(lambda name: join(ours, name))

    return {join(theirs, source): move(target) for source, target in table.items()}
