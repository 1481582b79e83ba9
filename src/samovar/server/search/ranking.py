"""The first of what was found, in descending order of a column, and the place to go on from.

The place is the last one's value and number, not a count: what comes, goes or changes in between neither repeats nor
hides any other.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

import numpy as np

from samovar.server.errors import BadRequestError
from samovar.server.search.postings import Slots
from samovar.server.search.table import Table

SORTS = {
    "downloads": "downloads", "likes": "likes", "lastModified": "last_modified", "createdAt": "created_at",
    "trendingScore": "trending_score",
}  # fmt: skip
"""What clients sort by → column."""
DEFAULT = "trendingScore"
Place = tuple[float, int]
"""Value and repository id."""


def first(
    table: Table, slots: Slots, column: str, limit: int, after: Place | None = None
) -> tuple[Slots, Place | None]:
    """The first `limit` slots, and the place of the last of them if there are more. Equal values: the older first."""
    values, ids = table.columns[column], table.columns["id"]
    if after is not None:
        value, number = after
        those = values[slots]
        slots = slots[(those < value) | ((those == value) & (ids[slots] > number))]
    more = len(slots) > limit
    if more:
        slots = top(values[slots], ids, slots, limit)
    order = np.lexsort((ids[slots], -values[slots]))
    slots = slots[order]
    if not more:
        return slots, None
    last = slots[-1]
    return slots, (values[last].item(), int(ids[last]))


def top(values: Any, ids: Any, slots: Slots, limit: int) -> Slots:
    """The `limit` slots of the largest values, in any order. Does not sort them all."""
    border = np.partition(values, len(values) - limit)[len(values) - limit]
    above = slots[values > border]
    equal = slots[values == border]
    missing = limit - len(above)
    if len(equal) > missing:
        numbers = ids[equal]
        equal = equal[np.argpartition(numbers, missing - 1)[:missing]] if missing else equal[:0]
    return np.concatenate([above, equal])


def write_cursor(sort: str, place: Place) -> str:
    """A place as text for an address."""
    return base64.urlsafe_b64encode(json.dumps([sort, *place]).encode()).decode().rstrip("=")


def read_cursor(text: str, sort: str) -> Place:
    """The place. Raises `BadRequestError` for whatever was not made by `write_cursor` for the same order."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        made_for, value, number = json.loads(data)
    except (ValueError, binascii.Error, RecursionError, TypeError) as error:
        raise BadRequestError("The cursor is none that this Hub made.", "Follow the links of the answers.") from error
    if made_for != sort or type(value) not in (int, float) or type(number) is not int or not math.isfinite(value) or (
        abs(value) > 2**62 or abs(number) > 2**62
    ):  # fmt: skip
        raise BadRequestError("The cursor belongs to another order.", "Begin again without it.")
    return value, number
