"""The page of all settings, made from the settings themselves: `python -m samovar.server.settings_page`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, get_args, get_origin

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from samovar.server.settings import FILE, Settings

HEAD = f"""\
# Settings of the Hub

Each is an option of `samovar hub serve` where there is one, else a variable of the environment, else a line of
`{FILE}` in the data folder (`sign_up = "closed"`); the first of these counts. Sizes may be written `2GiB` or `500MB`,
times as ISO 8601 (`P30D`, `PT12H`). A line of the file whose name is not in this table is an error, so that a misspelt
one is noticed. This page is made by `python -m samovar.server.settings_page > docs/hub/settings.md`.

| variable | default | what it is |
|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return HEAD + "".join(row(name, field) for name, field in Settings.model_fields.items())


def row(name: str, field: FieldInfo) -> str:
    """One line of the table."""
    what = " ".join((field.description or "").split())
    if get_origin(field.annotation) is Literal:
        what += f" One of {', '.join(f'`{value}`' for value in get_args(field.annotation))}."
    default = "(needed)" if field.is_required() else shown(field.default)
    return f"| `SAMOVAR_HUB_{name.upper()}` | {default} | {what.replace('|', chr(92) + '|')} |\n"


def shown(value: Any) -> str:
    """A default as a person would write it."""
    if value is None:
        return "–"
    if isinstance(value, ByteSize):
        return f"`{value.human_readable(separator=' ')}`"
    if isinstance(value, timedelta):
        hours = value.total_seconds() / 3600
        return f"{hours / 24:g} days" if hours >= 24 else f"{hours:g} hours"
    return f"`{value}`"


if __name__ == "__main__":
    print(page(), end="")
