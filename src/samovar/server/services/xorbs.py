"""Xorbs that accounts have sent: kept until files are made of them, and then found again inside those files.

Clients remember for weeks what they have sent and refer to it without sending it again. So of every xorb it stays known
which bytes of which object its bytes are: nothing is stored twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Xorb, XorbHolder, XorbRun
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError
from samovar.server.hub import Hub
from samovar.server.objects.xet.shard import Term
from samovar.server.services.access import Caller
from samovar.server.services.large_files import AT_ONCE, readable


class MissingXorbError(BadRequestError):
    """A file is to be made of something that the account has not sent, or that is gone."""

    def __init__(self, xorb: str) -> None:
        super().__init__(
            f"The block {xorb} is not here for this account.",
            "Delete the client's record of what it has sent (`~/.cache/huggingface/xet`), and upload again.",
        )


class Run(NamedTuple):
    """Bytes `start` to `end` of a xorb are bytes `offset` on of an object."""

    start: int
    end: int
    sha256: str
    offset: int


class Piece(NamedTuple):
    """Bytes of a draft (`draft` is the xorb's hash) or of an object."""

    draft: str | None
    sha256: str
    offset: int
    length: int


@dataclass
class Known:
    """A xorb that the caller may use: where its chunks begin, and where its bytes are."""

    hash: str
    starts: list[int]
    draft: bool
    """Whether its bytes still lie in a draft, which the caller has sent."""
    runs: list[Run] = field(default_factory=list)
    held: bool = False
    """Whether the caller has sent it."""

    def bounds(self, term: Term) -> tuple[int, int]:
        """First byte, and the one behind the last, of a term. Raises `BadRequestError`."""
        if term.end >= len(self.starts) or self.starts[term.end] - self.starts[term.start] != term.length:
            raise BadRequestError(f"Chunks {term.start} to {term.end} of {self.hash} are not {term.length} bytes.")
        return self.starts[term.start], self.starts[term.end]

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Where bytes of it are to be read. Raises `MissingXorbError`."""
        if self.draft:
            yield Piece(self.hash, "", start, end - start)
            return
        for run in self.runs:
            if run.start <= start < run.end:
                until = min(run.end, end)
                yield Piece(None, run.sha256, run.offset + start - run.start, until - start)
                start = until
                if start == end:
                    return
        if start < end:
            raise MissingXorbError(self.hash)

    def covered(self, start: int, end: int) -> bool:
        """Whether objects hold all of these bytes."""
        for run in self.runs:
            if run.start <= start < run.end:
                start = run.end
        return start >= end


def draft_of(hub: Hub, xorb: str) -> Path:
    """Where a xorb's unpacked bytes lie until they are part of an object."""
    return hub.objects.draft(f"xorb-{xorb}")


def keep(hub: Hub, path: Path, xorb: str, lengths: Sequence[int], account_id: int) -> None:
    """A xorb has arrived, unpacked into `path`, its hash computed: the account may use it from now on."""
    with hub.database.read() as session:
        known = session.get(Xorb, xorb)
        whole = known is not None and Known(xorb, [], False, runs(session, [xorb]).get(xorb, []))
    if whole and whole.covered(0, sum(lengths)):
        path.unlink()
    else:
        path.replace(draft_of(hub, xorb))
    with hub.database.write() as session:
        if session.get(Xorb, xorb) is None:
            session.add(Xorb(hash=xorb, lengths=struct.pack(f"<{len(lengths)}I", *lengths)))
            session.flush()
        hold(session, account_id, [xorb])


def hold(session: Session, account_id: int, xorbs: Iterable[str]) -> None:
    """Note that an account has these, and still uses them."""
    for xorb in xorbs:
        holder = session.get(XorbHolder, (account_id, xorb))
        if holder is None:
            session.add(XorbHolder(account_id=account_id, hash=xorb))
        else:
            holder.used_at = now()


def look_up(hub: Hub, session: Session, caller: Caller, wanted: Iterable[str]) -> dict[str, Known]:
    """Of these xorbs those that the caller may build of: sent by the account, or part of files that they may read."""
    names, found = sorted(set(wanted)), {}
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        held = set(
            session.scalars(
                select(XorbHolder.hash).where(XorbHolder.account_id == caller.account_id, XorbHolder.hash.in_(some))
            )
        )
        where = runs(session, some)
        foreign = {run.sha256 for xorb, all_ in where.items() if xorb not in held for run in all_}
        legible = readable(session, caller, foreign)
        for row in session.scalars(select(Xorb).where(Xorb.hash.in_(some))):
            mine = row.hash in held
            lengths = struct.unpack(f"<{len(row.lengths) // 4}I", row.lengths)
            usable = [run for run in where.get(row.hash, []) if mine or run.sha256 in legible]
            if mine or usable:
                draft = mine and draft_of(hub, row.hash).is_file()
                found[row.hash] = Known(row.hash, [0, *accumulate(lengths)], draft, usable, mine)
    return found


def runs(session: Session, xorbs: Sequence[str]) -> dict[str, list[Run]]:
    """Where the bytes of xorbs are within objects, in order."""
    found: dict[str, list[Run]] = {}
    rows = session.scalars(
        select(XorbRun).where(XorbRun.hash.in_(xorbs)).order_by(XorbRun.start, XorbRun.length.desc())
    )
    for row in rows:
        found.setdefault(row.hash, []).append(Run(row.start, row.start + row.length, row.sha256, row.offset))
    return found


def record(session: Session, known: dict[str, Known], terms: Sequence[Term], sha256: str) -> list[str]:
    """A file was made of `terms`: from now on their bytes are found in it. The xorbs that objects now hold whole."""
    offset = 0
    new: dict[str, list[Run]] = {}
    for term in terms:
        start, end = known[term.xorb].bounds(term)
        mine = new.setdefault(term.xorb, [])
        if mine and mine[-1].end == start and mine[-1].offset + start - mine[-1].start == offset:
            mine[-1] = mine[-1]._replace(end=end)
        else:
            mine.append(Run(start, end, sha256, offset))
        offset += term.length
    whole = []
    there = runs(session, list(new)) if len(new) <= AT_ONCE else {
        xorb: found for first in range(0, len(new), AT_ONCE)
        for xorb, found in runs(session, list(new)[first : first + AT_ONCE]).items()
    }  # fmt: skip
    for xorb, mine in new.items():
        now_known = Known(xorb, known[xorb].starts, False, there.get(xorb, []))
        for run in mine:
            if not now_known.covered(run.start, run.end):
                session.add(
                    XorbRun(hash=xorb, start=run.start, length=run.end - run.start, sha256=sha256, offset=run.offset)
                )
                now_known.runs = sorted([*now_known.runs, run], key=lambda one: (one.start, one.start - one.end))
        if now_known.covered(0, now_known.starts[-1]):
            whole.append(xorb)
    return whole
