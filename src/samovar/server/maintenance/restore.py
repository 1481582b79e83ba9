"""Make a data folder from a backup: compared with its hashes on the way, checked before it gets its name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory

from samovar.errors import SamovarError
from samovar.hub.atomic import flush_folder
from samovar.server.db.migrate import MIGRATIONS
from samovar.server.hub import Hub
from samovar.server.maintenance.backup import FORMAT, MANIFEST, copy_object, sha256_of
from samovar.server.maintenance.findings import broken
from samovar.server.maintenance.fsck import Report, fsck
from samovar.server.maintenance.repair import repair
from samovar.server.objects.store import LocalStore
from samovar.server.repos.folders import RepositoryFolders
from samovar.server.settings import read_settings


def restore(source: Path, data: Path) -> Report:
    """Make `data` from the backup; what was found to be broken in it.

    Raises `SamovarError` if `data` holds anything, or the backup is none, is of a later version, or its database or
    references have changed.
    """
    source, data = source.absolute(), data.absolute()
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise SamovarError(f"{data} is not empty.", "Give a folder that is not there yet: nothing is overwritten.")
    manifest = read_manifest(source)
    work = data.parent / f".{data.name}.samovar-restore"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, parents=True)
    damaged = copy_all(source, work, manifest)
    report = checked(work)
    report.findings += [broken(f"object {sha256}", "its bytes in the backup have changed") for sha256 in damaged]
    os.sync()
    os.rename(work, data)
    flush_folder(data.parent)
    return report


def read_manifest(source: Path) -> dict[str, Any]:
    """The manifest, if the backup is one that this version can read and is what was written."""
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text())
        version, schema = manifest["format"], manifest["schema"]
    except (OSError, ValueError, KeyError) as error:
        raise SamovarError(f"{source} holds no backup: {error}.", f"Give the folder with {MANIFEST}.") from error
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version != FORMAT or schema not in known:
        raise SamovarError(
            f"This backup was made by samovar {manifest.get('samovar')}, whose format this version does not know.",
            "Install that version or a later one.",
        )
    folders = RepositoryFolders(source / "repositories")
    expected = {source / name: sha256 for name, sha256 in manifest["files"].items()}
    expected |= {folders.path(int(number)) / "packed-refs": sha256 for number, sha256 in manifest["references"].items()}
    for path, sha256 in expected.items():
        if not path.is_file() or sha256_of(path) != sha256:
            raise SamovarError(f"{path} is not as it was backed up.", "Take another backup.")
    return manifest


def copy_all(source: Path, work: Path, manifest: dict[str, Any]) -> list[str]:
    """Copy the backup; the large files that have changed."""
    for name in manifest["files"]:
        shutil.copy2(source / name, work / name)
    if (source / "repositories").is_dir():
        shutil.copytree(source / "repositories", work / "repositories")
    here, there = LocalStore(source / "objects"), LocalStore(work / "objects")
    damaged = [sha256 for sha256 in here.all() if not copy_object(here, there, sha256)]
    shutil.rmtree(there.drafts, ignore_errors=True)
    return damaged


def checked(work: Path) -> Report:
    """Bring the restored Hub up to date, as its first start would, and check it."""
    hub = Hub.open(read_settings(data=work))
    try:
        repair(hub)
        return fsck(hub)
    finally:
        hub.close()
