"""Numbers for texts: tags, and the parts of names."""

from __future__ import annotations

from samovar.server.search.groups import group_of


class Vocabulary(dict[str, int]):
    """Text → number. Asking for a text gives it a number; spellings that differ in case alone share one.

    Only ever grows, so a reader needs no lock: a number that it has stays good.
    """

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        """Number → the spelling that was met first."""
        self.groups = bytearray()
        """Number → group (an index into `groups.GROUPS`)."""

    def __missing__(self, text: str) -> int:
        key = text.casefold()
        number = self.get(key)
        if number is None:
            number = len(self.texts)
            self.texts.append(text)
            self.groups.append(group_of(key))
            self[key] = number
        self[text] = number
        return number

    def find(self, text: str) -> int | None:
        """The number, or None for a text that was never met."""
        return self.get(text.casefold())
