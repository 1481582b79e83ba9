"""Forms as browsers and devices send them: small, and only from the Hub's own pages where a browser sends them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from samovar.server.api.context import identified, require_csrf, require_own_page
from samovar.server.errors import BadRequestError, TooLargeError
from samovar.server.services.access import Caller

LARGEST, LARGEST_TEXT, LARGEST_FILE = 64 * 1024, 2 * 1024 * 1024, 5 * 1024 * 1024
MOST_FIELDS = 100
Fields = dict[str, str]


async def fields_of(request: Request) -> Fields:
    """The fields of a form as `read_fields` takes them; a dependency, so the size is no parameter of the request."""
    return await read_fields(request, LARGEST)


async def read_fields(request: Request, largest: int) -> Fields:
    """The fields of an `application/x-www-form-urlencoded` body; of a repeated one, the last.

    Raises `TooLargeError`, `BadRequestError`.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise TooLargeError("The form is too large.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise BadRequestError("This is no form.", "Send application/x-www-form-urlencoded.") from error


@dataclass(frozen=True)
class Submitted:
    """A form, and who sent it."""

    fields: Fields
    caller: Caller


async def submitted_text(request: Request) -> Submitted:
    """As `submitted`, with room for a whole text file."""
    return await taken(request, LARGEST_TEXT)


async def submitted(request: Request) -> Submitted:
    """The form that a page of the Hub sent. Somebody who is logged in must send the session's token as `csrf`.

    Raises `ForbiddenError` and what `fields_of` raises.
    """
    return await taken(request, LARGEST)


@dataclass(frozen=True)
class Sent(Submitted):
    """A form with a file."""

    file: bytes | None
    """The file's bytes; None if none was chosen."""


async def sent(request: Request) -> Sent:
    """A small file with a form (`multipart/form-data`) of one of the Hub's pages. Raises as `submitted` does."""
    require_own_page(request)
    length = request.headers.get("content-length", "")
    # A body of unknown length would be kept on the disk as long as it goes on.
    if not length.isdecimal():
        raise BadRequestError("How large the form is was not said.", "Send Content-Length.")
    if int(length) > LARGEST_FILE:
        raise TooLargeError("The file is too large.", f"Send at most {LARGEST_FILE // 2**20} MB.")
    async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=LARGEST) as form:
        files = [await value.read() for value in form.values() if isinstance(value, UploadFile)]
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    caller = await run_in_threadpool(identified, request)
    if caller.session_id is not None:
        require_csrf(caller, fields.get("csrf", ""))
    return Sent(fields, caller, next(filter(None, files), None))


async def taken(request: Request, largest: int) -> Submitted:
    """The form, up to a size."""
    require_own_page(request)
    fields = await read_fields(request, largest)
    caller = await run_in_threadpool(identified, request)
    if caller.session_id is not None:
        require_csrf(caller, fields.get("csrf", ""))
    return Submitted(fields, caller)
