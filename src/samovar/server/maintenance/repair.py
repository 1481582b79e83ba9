"""Remove what was left over, and bring the database up to date with git. What is broken is left for a person."""

from __future__ import annotations

import shutil
from pathlib import Path

from samovar.server.db.tables import DeletedRepository, Repository
from samovar.server.hub import Hub
from samovar.server.maintenance.fsck import UNDER_WAY, abandoned_drafts, has_references, older
from samovar.server.services import refresh
from samovar.server.services.derived import unneeded
from samovar.server.services.snapshots import take_away


def repair(hub: Hub) -> list[str]:
    """Safe beside a running Hub. What was done, a sentence each."""
    return [*refresh_pending(hub), *remove_folders(hub), *remove_drafts(hub), *remove_derived(hub)]


def refresh_pending(hub: Hub) -> list[str]:
    """Read again what changed while nobody could write it down."""
    return [f"read repository {number} again" for number in refresh.refresh_pending(hub)]


def remove_folders(hub: Hub) -> list[str]:
    """Git folders that belong to nothing. One with commits that was never deleted is not touched."""
    done = []
    for number in list(hub.folders.ids()):
        path = hub.folders.path(number)
        # SQLite's turn: nobody is making a repository meanwhile, so no folder is about to get its row.
        with hub.database.write() as session:
            if session.get(Repository, number) is not None:
                continue
            if session.get(DeletedRepository, number) is None and (
                has_references(path) or not (hub.database.is_sqlite or older(path, UNDER_WAY))
            ):
                continue
            aside = path.with_suffix(".deleted")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        done.append(f"removed {path}")
    for path in sorted(hub.folders.root.glob("*/*.deleted")):
        shutil.rmtree(path, ignore_errors=True)
        if str(path.with_suffix(".git")) not in {line.removeprefix("removed ") for line in done}:
            done.append(f"removed {path}")
    return done


def remove_drafts(hub: Hub) -> list[str]:
    """Uploads that were broken off."""
    return [removed(path) for path in abandoned_drafts(hub)]


def remove_derived(hub: Hub) -> list[str]:
    """Folders made of commits that nobody needs, unless somebody works with one."""
    return [f"removed {path}" for path in list(unneeded(hub)) if take_away(path)]


def removed(path: Path) -> str:
    """Remove a file or folder; what was done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return f"removed {path}"
