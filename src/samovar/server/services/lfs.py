"""What git-lfs and clients of the Hub ask before they send or fetch large files
(https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md)."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from samovar.server.errors import HubError, NotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.objects.store import SHA256
from samovar.server.services import quota
from samovar.server.services.access import Caller, find, require_files
from samovar.server.services.large_files import Grant, bring, here, readable, use
from samovar.server.services.parts import arrived

# Purposes of tickets.
PUT, PART, GET = "lfs-put", "lfs-part", "lfs-get"
MOST_PARTS = 1000


@dataclass(frozen=True)
class Wanted:
    """A large file that somebody wants to send or fetch."""

    oid: str
    size: int


@dataclass(frozen=True)
class Answer:
    """What is said of one: nothing to do, an error, or tickets."""

    oid: str
    size: int
    error: HubError | None = None
    put: str | None = None
    """A ticket to send the file, whole or in parts."""
    chunk: int | None = None
    """Bytes of each part but the last; none: whole."""
    parts: Sequence[str] = ()
    """A ticket for each part, in order."""
    arrived: Sequence[int] = ()
    """Numbers of the parts that an upload which was broken off has left here."""
    get: str | None = None
    """A ticket to fetch the file."""


def wrong(hub: Hub, one: Wanted) -> HubError | None:
    """What is wrong with a hash or size."""
    if not SHA256.fullmatch(one.oid):
        return UnprocessableError("The oid is no SHA-256.", "Write it as 64 hexadecimal digits in lower case.")
    if not 0 <= one.size <= hub.settings.largest_file:
        return UnprocessableError(f"A file cannot have {one.size} bytes.", f"0 to {hub.settings.largest_file} may be.")
    return None


def upload(
    hub: Hub, caller: Caller, type_: str, name: str, wanted: Sequence[Wanted], in_parts: bool, resumable: bool = False
) -> list[Answer]:  # fmt: skip
    """For each file a ticket to send it, unless it is here, or in another repository that the caller may read.

    With `resumable`, parts that the same account has sent of the same file to the same repository still count.

    Whoever does not have a file gets the same answer whether the Hub has it or not. Raises what `access.find` and
    `quota.check` do.
    """
    good = [one.oid for one in wanted if wrong(hub, one) is None]
    with hub.database.read() as session:
        repository = find(session, type_, name, caller)
        grant = Grant.of(session, caller, repository)
        mine = here(session, repository.id, good)
        known = {**readable(session, caller, good), **mine}
        new = sum(one.size for one in wanted if one.oid in good and one.oid not in mine)
        quota.check(session, hub.settings, repository.owner_id, new)
    with hub.database.write() as session:
        mine = here(session, grant.repository_id, known)
        for sha256 in known.keys() - mine.keys():
            bring(session, grant.repository_id, grant.account_id, sha256)
        use(session, grant.repository_id, mine)
    return [offer(hub, grant, one, known.get(one.oid), in_parts, resumable) for one in wanted]


def offer(hub: Hub, grant: Grant, one: Wanted, known: int | None, in_parts: bool, resumable: bool) -> Answer:
    """What is said of one file to be sent."""
    error = wrong(hub, one)
    if error is None and known is not None and known != one.size:
        error = UnprocessableError(f"The file of that hash has {known} bytes, not {one.size}.")
    if error is not None or known is not None:
        return Answer(one.oid, one.size, error)
    content: dict[str, Any] = {"grant": grant, "oid": one.oid, "size": one.size}
    lifetime = hub.settings.upload_lifetime.total_seconds()
    if not in_parts or one.size <= hub.settings.part:
        return Answer(one.oid, one.size, put=hub.signer.sign(PUT, content, lifetime))
    chunk = max(int(hub.settings.part), math.ceil(one.size / MOST_PARTS))
    count = math.ceil(one.size / chunk)
    upload = name_of(grant, one, chunk) if resumable else f"parts-{secrets.token_hex(16)}"
    content |= {"upload": upload, "count": count}
    parts = [
        {"upload": upload, "grant": grant, "part": number,
         "size": min(chunk, one.size - chunk * (number - 1))}
        for number in range(1, count + 1)
    ]  # fmt: skip
    return Answer(
        one.oid, one.size,
        put=hub.signer.sign(PUT, content, lifetime),
        chunk=chunk,
        parts=[hub.signer.sign(PART, part, lifetime) for part in parts],
        arrived=arrived(hub, upload, count) if resumable else (),
    )  # fmt: skip


def name_of(grant: Grant, one: Wanted, chunk: int) -> str:
    """The name of an upload that can be gone on with: the same for the same file, account, repository and parts."""
    whole = f"{grant.repository_id} {grant.account_id} {one.oid} {one.size} {chunk}"
    return f"parts-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


def download(hub: Hub, caller: Caller, type_: str, name: str, wanted: Sequence[Wanted]) -> list[Answer]:
    """For each file of the repository a ticket to fetch it. Raises what `access.find` and `require_files` do."""
    good = [one.oid for one in wanted if wrong(hub, one) is None]
    with hub.database.read() as session:
        repository = find(session, type_, name, caller)
        require_files(session, caller, repository)
        known = here(session, repository.id, good)
    lifetime = hub.settings.upload_lifetime.total_seconds()
    answers = []
    for one in wanted:
        if one.oid in known:
            ticket = hub.signer.sign(GET, {"oid": one.oid, "size": known[one.oid]}, lifetime)
            answers.append(Answer(one.oid, known[one.oid], get=ticket))
        else:
            missing = NotFoundError("This repository has no such file.")
            answers.append(Answer(one.oid, one.size, error=wrong(hub, one) or missing))
    return answers


def verify(hub: Hub, caller: Caller, type_: str, name: str, one: Wanted) -> None:
    """Raises `UnprocessableError` unless the file has been brought to the repository, with that size."""
    with hub.database.read() as session:
        repository = find(session, type_, name, caller)
        Grant.of(session, caller, repository)
        known = here(session, repository.id, [one.oid] if SHA256.fullmatch(one.oid) else [])
    if known.get(one.oid) != one.size:
        raise UnprocessableError("The file has not arrived.", "Upload it again.")
