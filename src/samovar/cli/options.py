"""Values that several commands read from their command lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from samovar.errors import InputError


def named_values(given: Sequence[str]) -> dict[str, Any]:
    """`["top_k=3", "name=tea"]` → `{"top_k": 3, "name": "tea"}`: JSON where it is JSON. Raises `InputError`."""
    values: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name.isidentifier():
            raise InputError(f"--option {one!r} is no NAME=VALUE.", "Write it as --option top_k=3.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def device_named(text: str | None) -> int | str | None:
    """A device as pipelines and models take it: a number counts accelerators."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else text
