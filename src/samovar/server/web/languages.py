"""The pages' languages: English is written in the templates, every other language is one file of translations.

`catalogues/ru.json`: `{"name": "Русский", "plural": "slavic", "texts": {"English": "…", "{n} models": ["…", …]}}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "catalogues"
DEFAULT = "en"


def germanic(n: int) -> int:
    """One, or any other number."""
    return 0 if n == 1 else 1


def slavic(n: int) -> int:
    """1, 21, …; 2 to 4, 22 to 24, …; all others."""
    if n % 10 == 1 and n % 100 != 11:
        return 0
    return 1 if 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14 else 2


PLURALS: dict[str, Callable[[int], int]] = {"germanic": germanic, "slavic": slavic}


class Language:
    """One language of the pages."""

    def __init__(self, code: str, catalogue: dict[str, Any]) -> None:
        self.code, self.name = code, str(catalogue["name"])
        self.texts: dict[str, Any] = catalogue["texts"]
        self.plural = PLURALS[catalogue["plural"]]

    def text(self, english: str, **values: object) -> str:
        """The text in this language, or in English where there is none; `{name}` is replaced by the value."""
        found = self.texts.get(english, english)
        return found.format(**values) if values else str(found)

    def count(self, one: str, many: str, n: int, shown: str | None = None) -> str:
        """A text with a number, as `count("{n} model", "{n} models", 3)`."""
        forms = self.texts.get(many, [one, many])
        return str(forms[self.plural(n)]).format(n=shown if shown is not None else f"{n:,}")


@cache
def languages() -> dict[str, Language]:
    """Code → language, English first."""
    found = {DEFAULT: Language(DEFAULT, {"name": "English", "plural": "germanic", "texts": {}})}
    for path in sorted(FOLDER.glob("*.json")):
        found[path.stem] = Language(path.stem, json.loads(path.read_text("utf-8")))
    return found


def choose(wanted: str | None, accepted: str) -> Language:
    """The language that was chosen, else the first of the browser's that there is, else English."""
    known = languages()
    if wanted in known:
        return known[wanted]
    ranked = []
    for part in accepted[:500].split(","):
        code, _, weight = part.partition(";q=")
        quality = float(weight) if re.fullmatch(r"[01](\.\d{1,3})?", weight.strip()) else 1.0
        ranked.append((-quality, code.strip().lower().partition("-")[0]))
    for _, code in sorted(ranked, key=lambda one: one[0]):
        if code in known:
            return known[code]
    return known[DEFAULT]
