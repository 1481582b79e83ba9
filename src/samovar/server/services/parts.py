"""A large file that comes in parts: each is a draft of its own until all are there."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from samovar.server.errors import NotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.services.large_files import grant_of, here, store, uploader

BLOCK = 2**20


def folder_of(hub: Hub, ticket: dict[str, Any]) -> Path:
    """Where the parts of an upload wait."""
    folder = hub.objects.draft(ticket["upload"])
    folder.mkdir(exist_ok=True)
    return folder


def incoming(folder: Path) -> Path:
    """A file to receive a part in. Only a finished part gets its number, so nobody writes to one that is being read."""
    return folder / f"incoming-{secrets.token_hex(8)}"


def keep(path: Path, ticket: dict[str, Any]) -> None:
    """A part has arrived; one that was sent twice replaces itself. Raises `NotFoundError` if the upload is over."""
    try:
        os.replace(path, path.parent / str(ticket["part"]))
    except FileNotFoundError:
        raise NotFoundError("This upload is over.", "Begin a new one.") from None


def arrived(hub: Hub, upload: str, count: int) -> list[int]:
    """The numbers of the parts that have come whole."""
    folder = hub.objects.draft(upload)
    return [number for number in range(1, count + 1) if (folder / str(number)).is_file()] if folder.is_dir() else []


def complete(hub: Hub, ticket: dict[str, Any]) -> None:
    """Put the parts together, check the hash, and store the file. Asking again after success is no error.

    Raises `UnprocessableError` (a part is missing: send it; a wrong hash: all parts are gone), `NotFoundError`.
    """
    grant, oid = grant_of(ticket), ticket["oid"]
    folder = hub.objects.draft(ticket["upload"])
    if not folder.is_dir():
        with hub.database.read() as session:
            uploader(session, grant)
            if oid in here(session, grant.repository_id, [oid]):
                return
        raise NotFoundError("Nothing of this upload is here.", "Begin a new one.")
    missing = [number for number in range(1, ticket["count"] + 1) if not (folder / str(number)).is_file()]
    if missing:
        raise UnprocessableError(f"Part {missing[0]} has not arrived.", "Send it, then complete the upload.")
    # Whoever renames the folder has the upload; a part that still comes finds no place to go.
    mine = hub.objects.draft(f"{ticket['upload']}-{secrets.token_hex(4)}")
    try:
        folder.rename(mine)
    except FileNotFoundError:
        raise NotFoundError("This upload is being completed.", "Ask again in a moment.") from None
    try:
        whole = mine / "1"
        found = join(whole, [mine / str(number) for number in range(2, ticket["count"] + 1)])
        if found != oid or whole.stat().st_size != ticket["size"]:
            raise UnprocessableError(f"The file's SHA-256 is {found}, not {oid}.", "Upload it again.")
        store(hub, whole, oid, ticket["size"], grant)
    finally:
        for path in mine.iterdir():
            path.unlink(missing_ok=True)
        mine.rmdir()


def join(first: Path, others: list[Path]) -> str:
    """Append files to the first, deleting each; the SHA-256 of all."""
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK)
    with first.open("r+b") as whole:
        while count := whole.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
        for path in others:
            with path.open("rb") as part:
                while count := part.readinto(buffer):
                    digest.update(memoryview(buffer)[:count])
                    whole.write(memoryview(buffer)[:count])
            path.unlink()
    return digest.hexdigest()
