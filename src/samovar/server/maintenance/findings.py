"""What a check of a Hub finds: something broken, or only left over from work that was broken off."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report. What is left over takes space; what is broken was promised, and is not there."""

    level: Literal["broken", "leftover"]
    subject: str
    """What it is about: `model alice/bert`, `object 0a1b…`, a path in the data folder."""
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.subject}: {self.message}"

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


def broken(subject: str, message: str) -> Finding:
    """Something that was promised is not there or not whole."""
    return Finding("broken", subject, message)


def leftover(subject: str, message: str) -> Finding:
    """Something that nothing needs."""
    return Finding("leftover", subject, message)
