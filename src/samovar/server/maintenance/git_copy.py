"""Copy a git folder while others write to it: first what its references were, then every object file there is.

Git writes objects before it moves references to them, and object files never change. So a copy of all object files,
made after the references were read, holds everything that those lead to. Garbage collection moves objects from one file
to another, but writes the new file before it removes the old one: a file that vanishes means looking again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import ReferenceType

from samovar.errors import SamovarError

PACKED = "packed-refs"
LOOSE = re.compile(r"[0-9a-f]{38}")
# Garbage collections that may come in between.
TRIES = 20


@dataclass(frozen=True)
class References:
    """Where everything that has a name stood at one moment."""

    head: str = "ref: refs/heads/main\n"
    targets: tuple[tuple[str, str], ...] = ()
    """(full name, 40 hex digits), in order of names."""

    def packed(self) -> str:
        """As git's file `packed-refs`."""
        return "".join(f"{target} {name}\n" for name, target in self.targets)


def read_references(folder: Path) -> References:
    """The references of a git folder now. Raises `pygit2.GitError` if there is none."""
    repository = pygit2.Repository(str(folder))
    targets = {}
    for raw in repository.raw_listall_references():
        reference = repository.references.get(raw.decode())
        if reference is not None and reference.type == ReferenceType.DIRECT:
            targets[raw.decode()] = str(reference.target)
    return References((folder / "HEAD").read_text(), tuple(sorted(targets.items(), key=lambda one: one[0].encode())))


def copy_git(source: Path, target: Path, references: References, earlier: Path | None = None) -> None:
    """Copy a git folder with these references; files that an earlier copy has are linked to it.

    Raises `FileNotFoundError` if the folder goes away, `SamovarError` if an object that is needed is not there.
    """
    (target / "objects" / "pack").mkdir(parents=True)
    (target / "objects" / "info").mkdir()
    (target / "refs" / "heads").mkdir(parents=True)
    (target / "refs" / "tags").mkdir()
    shutil.copyfile(source / "config", target / "config")
    (target / "HEAD").write_text(references.head)
    (target / PACKED).write_text(references.packed())
    for attempts_left in reversed(range(TRIES)):
        try:
            for folder in object_folders(source):
                copy_objects(folder, target / "objects", None if earlier is None else earlier / "objects")
            break
        except FileNotFoundError:
            if not attempts_left or not source.is_dir():
                raise
    copied = pygit2.Repository(str(target))
    for name, oid in references.targets:
        if oid not in copied:
            raise SamovarError(f"{source}: {name} leads to {oid}, which is not there.", "Run `samovar hub fsck`.")


def object_folders(repository: Path) -> list[Path]:
    """Where a repository's objects are: its own folder, and those that it borrows from."""
    folders = [repository / "objects"]
    for folder in folders:
        alternates = folder / "info" / "alternates"
        lines = alternates.read_text().splitlines() if alternates.exists() else []
        folders += [other for line in lines if (other := (folder / line).resolve()) not in folders]
    return folders


def copy_objects(source: Path, target: Path, earlier: Path | None) -> None:
    """Copy all object files that are not there yet."""
    for name in object_files(source):
        there = target / name
        if there.exists():
            continue
        there.parent.mkdir(exist_ok=True)
        before = None if earlier is None else earlier / name
        if before is not None and before.exists() and before.stat().st_size == (source / name).stat().st_size:
            os.link(before, there)
        else:
            shutil.copyfile(source / name, there)


def object_files(folder: Path) -> Iterator[str]:
    """The object files: single ones first, as what leaves them goes into packs. A pack counts once it has its index."""
    for fan in sorted(folder.glob("[0-9a-f][0-9a-f]")):
        for entry in sorted(os.listdir(fan)):
            if LOOSE.fullmatch(entry):
                yield f"{fan.name}/{entry}"
    for index in sorted((folder / "pack").glob("pack-*.idx")):
        yield f"pack/{index.stem}.pack"
        yield f"pack/{index.name}"
