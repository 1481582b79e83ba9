"""Lists in pages: a bare array, and a `Link` to what follows, as clients read them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response

from samovar.server.api.context import base_url
from samovar.server.errors import BadRequestError

Row = TypeVar("Row")
LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted: up to `limit` rows behind the one numbered `after`."""

    limit: int
    after: int | None


def page_of(
    limit: Annotated[int, Query(ge=1, le=1000)] = 100, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Page:
    """`limit`, and `cursor` as it stood in the last page's `Link`. Raises `BadRequestError`."""
    if cursor is None:
        return Page(limit, None)
    try:
        after = int(base64.urlsafe_b64decode(cursor.encode("ascii") + b"==").decode("ascii"))
    except (ValueError, binascii.Error) as error:
        raise BadRequestError("The cursor was not made by this Hub.", "Begin at the first page again.") from error
    if not -LARGEST_NUMBER <= after <= LARGEST_NUMBER:
        raise BadRequestError("The cursor was not made by this Hub.", "Begin at the first page again.")
    return Page(limit, after)


PageOf = Annotated[Page, Depends(page_of)]


def linked(
    request: Request, response: Response, page: Page, rows: Sequence[Row], key: Callable[[Row], int]
) -> list[Row]:
    """The page's rows, of which one more than `limit` was asked for; if it came, a `Link` behind the last row.

    `key` numbers a row as the list is ordered by.
    """
    shown = list(rows[: page.limit])
    if len(rows) > page.limit:
        cursor = base64.urlsafe_b64encode(str(key(shown[-1])).encode()).decode().rstrip("=")
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("cursor", "limit")]
        query = urlencode([*kept, ("limit", str(page.limit)), ("cursor", cursor)])
        response.headers["Link"] = f'<{base_url(request)}{request.scope["path"]}?{query}>; rel="next"'
    return shown
