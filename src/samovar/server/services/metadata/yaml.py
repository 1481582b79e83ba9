"""YAML from strangers: no tags, no bombs. Size, depth and what aliases expand to are bounded."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import yaml  # type: ignore[import-untyped]

LARGEST = 512 * 1024
DEEPEST = 40
MOST_NODES = 100_000
# The same language, read by C where the library was built with it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableYamlError(ValueError):
    """The text is no YAML, or none that is read here; says why in one sentence."""


def check_size(text: str) -> None:
    """Walk through the text's events before anything is built of them: an alias counts as all that it stands for.

    Raises `UnreadableYamlError`, and `yaml.YAMLError`.
    """
    nodes = 0
    open_: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise UnreadableYamlError("The card's YAML holds itself.")
            nodes += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = nodes - before
        if len(open_) > DEEPEST or nodes > MOST_NODES:
            raise UnreadableYamlError("The card's YAML is nested too deeply or has too many values.")


def read_yaml(text: str) -> dict[str, Any]:
    """The mapping at the top, of values that JSON can hold. Raises `UnreadableYamlError`."""
    if len(text) > LARGEST:
        raise UnreadableYamlError(f"The card's YAML is longer than {LARGEST} characters.")
    try:
        check_size(text)
        loaded = jsonable(yaml.load(text, LOADER))
    except UnreadableYamlError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UnreadableYamlError(f"The card's YAML cannot be read{where}: {reason(error)}.") from error
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError, AttributeError) as error:
        # Values such as `2021-02-31`, or a list as a key.
        raise UnreadableYamlError(f"The card's YAML cannot be read: {str(jsonable(str(error)))[:200]}.") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise UnreadableYamlError("The card's YAML is no mapping (`key: value`).")
    return loaded


def reason(error: yaml.YAMLError) -> str:
    """What the parser says, in one line without its snippet."""
    return str(jsonable(str(getattr(error, "problem", None) or str(error).splitlines()[0])))[:200]


def jsonable(value: Any) -> Any:
    """The value as JSON has it: dates and bytes as text, sets as lists, keys as text, no infinities."""
    if isinstance(value, dict):
        return {str(jsonable(str(key))): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [jsonable(one) for one in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value) if value.bit_length() < 1024 else "(too large a number)"
    if isinstance(value, str):
        # PostgreSQL holds no NUL; nothing holds half a surrogate pair.
        return value.encode(errors="replace").decode().replace("\0", "")
    return value
