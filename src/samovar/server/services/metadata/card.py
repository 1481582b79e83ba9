"""The card: a README that begins with YAML between two lines of `---`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from samovar.server.services.metadata.yaml import UnreadableYamlError, jsonable, read_yaml

LARGEST = 2 * 2**20
# Characters of the text that are kept for the page's beginning and the full-text search.
KEPT = 100_000
FENCE = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)(?:^|\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Card:
    """A README, taken apart."""

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    warnings: tuple[str, ...] = ()


def read_card(content: bytes) -> Card:
    """The card of a README. What is wrong with it becomes a warning; the rest is read all the same."""
    whole = jsonable(content.decode("utf-8-sig", errors="replace"))
    found = FENCE.match(whole)
    if not found:
        return Card(text=whole[:KEPT])
    text = whole[found.end() :][:KEPT]
    try:
        return Card(read_yaml(found[1]), text)
    except UnreadableYamlError as error:
        return Card(text=text, warnings=(str(error),))


def strings(value: object) -> list[str]:
    """A field of the card that may be one text or a list: its texts, without doubles, each of a sensible length."""
    many = value if isinstance(value, list) else [value]
    found = [str(one).strip() for one in many if isinstance(one, str | int | float) and not isinstance(one, bool)]
    return list(dict.fromkeys(one for one in found if 0 < len(one) <= 200))[:500]
