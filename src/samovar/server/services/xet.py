"""Receiving files by the Xet protocol: whoever sends blocks of chunks, then says of which a file is made, gets an
ordinary object, rebuilt here and checked against the file's SHA-256."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from samovar.server.errors import BadRequestError, HubError, StorageFullError, TooLargeError
from samovar.server.hub import Hub
from samovar.server.objects.xet.shard import ShardFile, Term
from samovar.server.services import quota, xorbs
from samovar.server.services.access import Caller, find
from samovar.server.services.large_files import Grant, bring, here, store, uploader

PURPOSE = "xet-write"
LIFETIME = 4 * 3600
BLOCK = 2**20


def token(hub: Hub, caller: Caller, type_: str, name: str) -> tuple[str, int]:
    """A ticket for sending to a repository, and when it ends (seconds since 1970). Raises what `access.find` does."""
    with hub.database.read() as session:
        grant = Grant.of(session, caller, find(session, type_, name, caller))
    return hub.signer.sign(PURPOSE, {"grant": grant}, LIFETIME), int(time.time()) + LIFETIME


class Turn:
    """Whose turn it is to build one file."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


turns: WeakValueDictionary[tuple[int, str], Turn] = WeakValueDictionary()
guard = threading.Lock()


@contextmanager
def turn(repository_id: int, sha256: str) -> Iterator[None]:
    """A client that has lost its patience asks again: it waits for what it asked for first."""
    with guard:
        mine = turns.setdefault((repository_id, sha256), Turn())
    with mine.lock:
        yield


def build(hub: Hub, grant: Grant, file: ShardFile) -> None:
    """Make a file of pieces, unless it is here already, and let the repository refer to it.

    Raises `MissingXorbError`, `BadRequestError` (pieces that do not make this file), `TooLargeError`,
    `StorageFullError`, and what `uploader` does.
    """
    if file.size > hub.settings.largest_file:
        raise TooLargeError(f"The file has {file.size:,} bytes.", f"At most {hub.settings.largest_file:,} may be.")
    with turn(grant.repository_id, file.sha256):
        with hub.database.read() as session:
            caller, repository = uploader(session, grant)
            known = xorbs.look_up(hub, session, caller, [term.xorb for term in file.terms])
            there = here(session, grant.repository_id, [file.sha256])
            if not there:
                quota.check(session, hub.settings, repository.owner_id, file.size)
        for term in file.terms:
            if term.xorb not in known:
                raise xorbs.MissingXorbError(term.xorb)
            known[term.xorb].bounds(term)
        if there.get(file.sha256) == file.size:
            with hub.database.write() as session:
                bring(session, grant.repository_id, grant.account_id, file.sha256)
            return
        path = hub.objects.scratch()
        try:
            found = join(hub, path, known, file.terms)
            if found != file.sha256:
                raise BadRequestError(f"The pieces make a file with the SHA-256 {found}, not {file.sha256}.")
            store(hub, path, file.sha256, file.size, grant)
        finally:
            path.unlink(missing_ok=True)
        with hub.database.write() as session:
            whole = xorbs.record(session, known, file.terms, file.sha256)
            xorbs.hold(session, grant.account_id, [one for one in known if known[one].held])
        for xorb in whole:
            xorbs.draft_of(hub, xorb).unlink(missing_ok=True)


def join(hub: Hub, path: Path, known: dict[str, xorbs.Known], terms: Sequence[Term]) -> str:
    """Write the pieces one behind the other into `path`; the SHA-256 of all. Raises `StorageFullError`."""
    digest = hashlib.sha256()
    try:
        with path.open("wb", buffering=0) as file:
            for term in terms:
                for piece in known[term.xorb].pieces(*known[term.xorb].bounds(term)):
                    for block in read(hub, piece):
                        digest.update(block)
                        file.write(block)
    except FileNotFoundError as error:  # Became part of an object, or was collected, while we were reading.
        raise HubError("What the file is made of has moved.", "Send the shard again.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("The Hub's disk is full.", "Tell its operator.") from error
        raise
    return digest.hexdigest()


def read(hub: Hub, piece: xorbs.Piece) -> Iterator[bytes]:
    """The bytes of a piece."""
    if piece.draft is None:
        yield from hub.objects.read(piece.sha256, piece.offset, piece.length)
        return
    with xorbs.draft_of(hub, piece.draft).open("rb", buffering=0) as file:
        file.seek(piece.offset)
        left = piece.length
        while left > 0:
            block = file.read(min(left, BLOCK))
            if not block:
                raise FileNotFoundError(piece.draft)
            left -= len(block)
            yield block
