"""Folders that were made of a commit's files, for models that answer and for the viewer: which of them nobody needs.

`DATA/inference/NUMBER-COMMIT`, `DATA/viewer/NUMBER-COMMIT` and `DATA/viewer/sources/NUMBER-COMMIT` can be made again
at any time. They are named by the repository's number: another name of it changes nothing. Whoever works with one holds
it; what is held stays, whichever process asks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pygit2
from sqlalchemy import delete, select

from samovar.server.db.tables import Conversion, Repository
from samovar.server.db.tables.base import now
from samovar.server.errors import RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.services.snapshots import take_away

logger = logging.getLogger(__name__)
FOLDER = re.compile(r"(\d+)-([0-9a-f]{40})")
DRAFT = re.compile(r"\.((\d+)-[0-9a-f]{40}-\w+|gone-\w+)")
# Seconds: an earlier commit that somebody has looked at so lately is on pages that are still open.
GRACE = 600.0
# Nothing is laid out or converted for so long.
LONGEST = 2 * 3600.0


def clear_derived(hub: Hub, number: int | None = None, grace: float = GRACE) -> int:
    """Remove what was made of commits that are no branch's head any more, and of repositories that are gone; the bytes.

    With `number`, of that repository alone. Safe beside a running Hub, in several processes, and to be cut off.
    """
    freed = 0
    for path in list(unneeded(hub, number, grace)):
        size = weight(path)
        if not take_away(path):
            continue
        freed += size
        if found := FOLDER.fullmatch(path.name):
            with hub.database.write() as session:
                session.execute(
                    delete(Conversion).where(
                        Conversion.repository_id == int(found[1]), Conversion.commit == found[2],
                        Conversion.state.in_(("done", "failed")),
                    )
                )  # fmt: skip
    return freed


def unneeded(hub: Hub, number: int | None = None, grace: float = GRACE) -> Iterator[Path]:
    """The folders that nobody needs, whether or not somebody holds them."""
    needed: dict[int, set[str] | None] = {}
    for path in folders(hub):
        found = FOLDER.fullmatch(path.name)
        if found is None:
            if DRAFT.fullmatch(path.name) and number is None and idle(path) > LONGEST:
                yield path
            continue
        whose, commit = int(found[1]), found[2]
        if number not in (None, whose):
            continue
        if whose not in needed:
            needed[whose] = commits_of(hub, whose)
        commits = needed[whose]
        if commits is None or (commit not in commits and idle(path) > grace):
            yield path


def folders(hub: Hub) -> list[Path]:
    """All of them, drafts included."""
    viewer = hub.settings.data / "viewer"
    places = (hub.settings.data / "inference", viewer, viewer / "sources")
    return [path for place in places if place.is_dir() for path in sorted(place.iterdir())]


def commits_of(hub: Hub, number: int) -> set[str] | None:
    """The commits of a repository whose folders stay: heads, and what is being converted. None: it is gone."""
    with hub.database.read() as session:
        row = session.get(Repository, number)
        if row is None:
            return None
        working = session.scalars(
            select(Conversion.commit).where(
                Conversion.repository_id == number, Conversion.state == "running", Conversion.alive_until > now()
            )
        ).all()
    kept = {*working, *([row.sha] if row.sha else [])}
    try:
        git = hub.folders.open(number)
        heads = [name for name in git.raw_listall_references() if name.startswith(b"refs/heads/")]
        return kept | {str(git.references[name.decode()].target) for name in heads}
    except (pygit2.GitError, KeyError, UnicodeDecodeError, RepositoryNotFoundError) as error:
        logger.warning("Not every branch of repository %d can be read: %s", number, error)
        return kept


def idle(path: Path) -> float:
    """Seconds since somebody made or used it."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return 0.0


def weight(path: Path) -> int:
    """Bytes of its own files; links to large files count nothing."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(root) / name).lstat().st_size
    return total
