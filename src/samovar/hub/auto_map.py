"""`auto_map`: the classes that a checkpoint brings along for the Auto classes, where there is none here for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from samovar.config import CODE_OPTIONS
from samovar.hub.code import check_kind, repository_class
from samovar.hub.source import Source

KEY = "auto_map"


@dataclass(frozen=True)
class Trust:
    """What the caller said about code: run it (True), not (False), nothing (None); and of which revision."""

    trust_remote_code: bool | None = None
    code_revision: str | None = None

    @classmethod
    def of(cls, kwargs: Mapping[str, Any]) -> Self:
        """From keyword arguments, which stay as they are."""
        return cls(**{name: kwargs[name] for name in CODE_OPTIONS if name in kwargs})


def named_class(values: Mapping[str, Any], auto: str) -> str | None:
    """What a file's `auto_map` says for this Auto class; of a slow and a fast tokenizer, the fast one."""
    found = (values.get(KEY) or {}).get(auto)
    if isinstance(found, list | tuple):
        found = next((one for one in reversed(found) if one), None)
    return None if found is None else str(found)


def own_class(auto: str, base: type, values: Mapping[str, Any], source: Source, trust: Trust) -> Any:
    """The class that a checkpoint brings for this Auto class, None where it brings none.

    Raises `UnsafeFileError` unless it is trusted, and `ConfigError` for code that was written for another library.
    """
    reference = named_class(values, auto)
    if reference is None:
        return None
    what = f"the {base.__name__.lower()} of {source.name}"
    found = repository_class(reference, source, trust.trust_remote_code, trust.code_revision, what)
    return check_kind(found, base, what)
