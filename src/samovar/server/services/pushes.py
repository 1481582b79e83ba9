"""A `git push`: checked while nothing refers to it, then its references move, each if it is where it was expected."""

from __future__ import annotations

import os
from typing import IO

import pygit2

from samovar.server.errors import HubError, RepositoryNotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.repos.inspection import Inspection
from samovar.server.repos.names import printable, reference_name
from samovar.server.repos.packets import Command, Commands, report
from samovar.server.repos.packing import packer
from samovar.server.repos.quarantine import Quarantine
from samovar.server.repos.references import ZERO, ReferenceMovedError, move
from samovar.server.repos.revisions import DEFAULT, peel
from samovar.server.services import quota
from samovar.server.services.changes import turn
from samovar.server.services.large_files import committing
from samovar.server.services.refresh import refresh
from samovar.server.services.repositories import announce

FAMILIES = {"refs/heads/": "branch", "refs/tags/": "tag"}


def references(repo: pygit2.Repository) -> list[tuple[str, str]]:
    """All references with what they point to, by name."""
    return sorted((name, str(repo.references[name].target)) for name in repo.references if name != "HEAD")


def push(hub: Hub, repository_id: int, commands: Commands, pack: IO[bytes], has_pack: bool) -> bytes:
    """Take a push; the report for the client. Raises `RepositoryNotFoundError`."""
    wrong = {one.name: refusal(one) for one in commands.commands}
    wanted = [one for one in commands.commands if wrong[one.name] is None]
    if "atomic" in commands.capabilities and len(wanted) < len(wrong):
        return report(commands.capabilities, None, {name: why or "the push is atomic" for name, why in wrong.items()})
    try:
        with Quarantine(hub.folders.path(repository_id)) as quarantine:
            try:
                check(hub, repository_id, quarantine, wanted, pack if has_pack else None)
            except HubError as error:
                refused = dict.fromkeys(wrong, "refused by the Hub")
                return report(commands.capabilities, None, refused, f"Refused: {error.message}")
            quarantine.release()
        moved = move_all(hub, repository_id, wanted, atomic="atomic" in commands.capabilities)
    except FileNotFoundError as error:
        raise RepositoryNotFoundError from error
    return report(commands.capabilities, None, {**wrong, **moved})


def refusal(command: Command) -> str | None:
    """Why a reference may not move so, whatever the push holds."""
    family = next((prefix for prefix in FAMILIES if command.name.startswith(prefix)), None)
    if family is None:
        return "only branches and tags may be pushed"
    try:
        reference_name(command.name.removeprefix(family), FAMILIES[family])
    except HubError as error:
        return error.cause
    if command.new == ZERO and command.name == f"refs/heads/{DEFAULT}":
        return "the default branch cannot be deleted"
    return None


def check(hub: Hub, repository_id: int, quarantine: Quarantine, wanted: list[Command], pack: IO[bytes] | None) -> None:
    """Everything about the new objects. Raises `UnprocessableError` and other errors of the Hub."""
    tips = sorted({one.new for one in wanted if one.new != ZERO})
    if pack is not None:
        with hub.database.read() as session:
            quota.check_repository(session, hub.settings, repository_id, os.fstat(pack.fileno()).st_size)
        quarantine.unpack(pack, hub.settings.largest_commit)
    if not tips:
        return
    quarantine.check_whole(tips)
    repo = quarantine.open()
    for one in wanted:
        if one.new != ZERO:
            found = repo.get(one.new)
            if peel(found) is None or (one.name.startswith("refs/heads/") and not isinstance(found, pygit2.Commit)):
                raise UnprocessableError(f"{printable(one.name)} would not point to a commit.")
    inspection = Inspection(repo, hub.settings.largest_regular)
    commits = [str(commit.id) for tip in tips if (commit := peel(repo.get(tip))) is not None]
    known = [str(commit.id) for name in repo.references if (commit := peel(repo.references.get(name))) is not None]
    inspection.look(commits, known)
    check_large_files(hub, repository_id, inspection.pointers)


def check_large_files(hub: Hub, repository_id: int, pointers: dict[str, tuple[str, int]]) -> None:
    """Every pointer is to a file that was uploaded here: knowing its hash is not having it."""
    if not pointers:
        return
    with hub.database.write() as session:
        sizes = committing(session, repository_id, {sha256: path for sha256, (path, _) in pointers.items()})
    for sha256, (path, size) in pointers.items():
        if sizes.get(sha256) != size:
            raise UnprocessableError(
                f"LFS pointer pointed to a file that does not exist: {printable(path)}.",
                "Run `git lfs push --all` for this remote, then push again.",
            )


def move_all(hub: Hub, repository_id: int, wanted: list[Command], atomic: bool) -> dict[str, str | None]:
    """Move the references, together or each on its own; why those that stayed did so."""
    if not wanted:
        return {}
    changes = {one.name: (given(one.old), given(one.new)) for one in wanted}
    batches = [changes] if atomic else [{name: change} for name, change in changes.items()]
    results: dict[str, str | None] = {}
    with hub.database.write() as session:
        announcement = announce(session, repository_id)
    try:
        with turn(repository_id):
            repo = hub.folders.open(repository_id)
            for batch in batches:
                why: str | None = None
                try:
                    move(repo, batch)
                except ReferenceMovedError:
                    why = "fetch first: somebody else has pushed"
                except HubError as error:
                    why = error.cause
                results.update(dict.fromkeys(batch, why))
    finally:
        refresh(hub, repository_id, announcement)
        packer.look(hub.folders.path(repository_id))
    return results


def given(oid: str) -> str | None:
    """An id, or None for the one that means nothing."""
    return None if oid == ZERO else oid
