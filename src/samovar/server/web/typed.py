"""Values as visitors type them into a metric's form: one row a line, or a list in JSON; and back into such a text."""

from __future__ import annotations

import json
import re
from typing import Any

from samovar.server.errors import BadRequestError

LONGEST = 200_000
MOST_ROWS = 10_000
# What a line of each kind of column is (`samovar.server.inference.scorer.HOLDS`).
HINTS = {
    "labels": "Classes, one on each line: numbers or words",
    "numbers": "Numbers, one row on each line",
    "texts": "Texts, one on each line",
    "text lists": "Texts, one on each line; several of a row as a list in JSON",
    "tags": "Tags of one sentence on each line, with spaces between them",
    "items": "One list on each line, with commas between its items",
    "maps": "A list in JSON: one array of class numbers for each picture",
    "records": "A list in JSON: one object for each row",
}
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)


def column(name: str, text: str, holds: str) -> list[Any]:
    """The rows of a column. Raises `BadRequestError` for nothing, too much, and JSON that cannot be read."""
    if len(text) > LONGEST:
        raise BadRequestError(f"{name}: this is too long.", f"Send at most {LONGEST:,} characters.")
    bare = text.strip()
    if not bare:
        raise BadRequestError(f"{name}: this is empty.", "Write at least one row.")
    rows = listed(name, bare) if is_json(bare, holds) else [line_of(one, holds) for one in lines(text, holds)]
    # A single line of numbers is one number a row: what people paste.
    if len(rows) == 1 and isinstance(rows[0], list) and holds in ("labels", "numbers") and not bare.startswith("["):
        rows = rows[0]
    if len(rows) > MOST_ROWS:
        raise BadRequestError(f"{name}: there are {len(rows):,} rows.", f"Send at most {MOST_ROWS:,}.")
    return rows


def is_json(text: str, holds: str) -> bool:
    """Whether the text is one list rather than lines."""
    if holds in ("maps", "records"):
        return True
    if not text.startswith("["):
        return False
    if holds == "texts":
        return text.endswith("]") and text[1:].lstrip()[:1] in ('"', "]")
    # Lines may be lists too: then the first one ends before the text does.
    first = text.partition("\n")[0].strip()
    return "\n" not in text or not (first.endswith("]") and balanced(first))


def balanced(text: str) -> bool:
    """Whether as many brackets close as open."""
    return text.count("[") == text.count("]")


def listed(name: str, text: str) -> list[Any]:
    """A list in JSON. Raises `BadRequestError`."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise BadRequestError(f"{name}: the list is nested too deeply.", "Write one list of rows.") from error
    except ValueError as error:
        place = f" ({error.msg}, line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadRequestError(
            f"{name}: this is no list in JSON{place}.", 'Write it as [1, 0], ["a", "b"] or [{"key": 1}].'
        ) from error
    if not isinstance(found, list):
        raise BadRequestError(f"{name}: this is JSON, but no list.", "Put [ and ] around the rows.")
    return found


def lines(text: str, holds: str) -> list[str]:
    """The lines that are rows: an empty one is a row where rows are texts, except at the end."""
    found = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return found if holds in ("texts", "text lists") else [one for one in found if one.strip()]


def line_of(line: str, holds: str) -> Any:
    """One row."""
    bare = line.strip()
    if holds == "texts":
        return line
    if bare.startswith("["):
        return listed("A row", bare)
    if holds == "text lists":
        return line
    if holds == "tags":
        return bare.split()
    if holds == "items":
        parts = [one.strip() for one in bare.split(",")] if "," in bare else bare.split()
        return [number(one) for one in parts]
    parts = [one for one in re.split(r"[,;\s]+", bare) if one]
    if len(parts) > 1 and all(NUMBER.fullmatch(one) for one in parts):
        return [number(one) for one in parts]
    return number(bare)


def number(text: str) -> Any:
    """The number that a text is, else the text."""
    if not NUMBER.fullmatch(text):
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    except ValueError:  # More digits than Python turns into a number.
        return text


def option(name: str, text: str, default: Any) -> Any:
    """An option's value: JSON where it is some, else the text. Raises `BadRequestError` for what is too long."""
    if len(text) > LONGEST:
        raise BadRequestError(f"{name}: this is too long.", f"Send at most {LONGEST:,} characters.")
    bare = text.strip()
    if isinstance(default, bool) and bare.lower() in ("true", "false"):
        return bare.lower() == "true"
    if bare == "None":
        return None
    if bare[:1] in ("[", "{", '"'):
        try:
            return json.loads(bare)
        except (ValueError, RecursionError) as error:
            raise BadRequestError(f"{name}: this is no JSON.", "Write [1, 2], a number or a word.") from error
    return number(bare)


def text_of(rows: Any, holds: str) -> str:
    """Rows as a visitor would type them."""
    if not isinstance(rows, list):
        return ""
    if holds in ("labels", "numbers") and not any(isinstance(one, list) for one in rows):
        return "\n".join(map(str, rows))
    if holds in ("texts", "text lists") and all(isinstance(one, str) and "\n" not in one for one in rows):
        return "\n".join(rows)
    if holds == "text lists" and all(isinstance(one, list) and len(one) == 1 for one in rows):
        return "\n".join(one[0] for one in rows)
    if holds == "tags":
        return "\n".join(" ".join(one) for one in rows)
    if holds == "items":
        return "\n".join(", ".join(map(str, one)) for one in rows)
    return json.dumps(rows, ensure_ascii=False)
