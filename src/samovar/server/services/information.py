"""The description of one repository, at its newest state or at any revision."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import pygit2

from samovar.server.db.tables import Repository
from samovar.server.errors import RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.revisions import DEFAULT, referenced, resolve
from samovar.server.services.access import Caller, find
from samovar.server.services.descriptions import COUNTED, INFO, describe, expanded, facts_of, selecting
from samovar.server.services.metadata.read import CONTENT, ROW, Metadata, read_metadata
from samovar.server.services.searching import dependants

# Other revisions than the newest are read when asked for; this many are remembered.
REMEMBERED = 64


class Revisions:
    """What was read of revisions other than the newest. A commit never changes."""

    def __init__(self) -> None:
        self.known: OrderedDict[tuple[int, str], Metadata] = OrderedDict()
        self.lock = Lock()

    def read(self, hub: Hub, repository_id: int, type_: str, git: pygit2.Repository, commit: pygit2.Commit) -> Metadata:
        """The metadata of one commit."""
        key = repository_id, str(commit.id)
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
                return self.known[key]
        found = read_metadata(hub, repository_id, type_, git, commit)
        with self.lock:
            # Long lists of files are not worth remembering.
            if len(found.files) <= 10_000:
                self.known[key] = found
            while len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        return found


def information(
    hub: Hub, caller: Caller, type_: str, name: str, revisions: Revisions, revision: str | None = None,
    expand: list[str] | None = None, blobs: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What clients get to know about one repository; with `expand` only those keys.

    Raises `RepositoryNotFoundError`, `RevisionNotFoundError`, and `BadRequestError` for an unknown key.
    """
    keys = expanded(type_, expand) if expand else INFO[type_]
    with hub.database.read() as session:
        repository = find(session, type_, name, caller)
        row = session.execute(selecting(type_, (*keys, "sha"), Repository.id == repository.id)).first()
        if row is None:
            raise RepositoryNotFoundError(anonymous=caller.anonymous)
    facts = facts_of(row)
    try:
        git = hub.folders.open(facts["id"])
    except pygit2.GitError:  # Deleted in between.
        raise RepositoryNotFoundError(anonymous=caller.anonymous) from None
    commit = referenced(git, DEFAULT) if revision is None else resolve(git, revision)
    if commit is not None and str(commit.id) != facts["sha"]:
        found = revisions.read(hub, facts["id"], type_, git, commit)
        facts |= {key: getattr(found, key) for key in (*ROW, *CONTENT) if key != "sdk" or found.sdk}
        if found.last_modified is not None:
            facts["last_modified"] = found.last_modified
    if type_ == "model" and COUNTED & set(keys):
        facts |= dependants(hub, caller, facts["name"])
    return describe(type_, facts, keys, blobs)
