"""Whether everything that a git repository's references lead to can be read, and which large files it points to."""

from __future__ import annotations

from dataclasses import dataclass, field

import pygit2
from pygit2.enums import FileMode, ReferenceType

from samovar.server.objects.pointers import Pointer, parse

# A corrupt repository may have a problem in every object: the first ones tell it.
MOST_PROBLEMS = 20


@dataclass
class GitCheck:
    """What was found in one repository."""

    problems: list[str] = field(default_factory=list)
    pointers: dict[str, tuple[Pointer, str]] = field(default_factory=dict)
    """Large files that any reference leads to: SHA-256 → the pointer, and a path at which it stands."""


def check_git(repository: pygit2.Repository) -> GitCheck:
    """Read every commit, tree and file that a reference leads to. libgit2 compares each object with its hash."""
    found = GitCheck()
    walk = Walk(repository, found)
    try:
        names = repository.raw_listall_references()
    except pygit2.GitError as error:
        found.problems.append(f"its references cannot be listed: {error}")
        return found
    for raw in names:
        name = raw.decode("utf-8", "replace")
        try:
            reference = repository.references[name]
        except (KeyError, ValueError, pygit2.GitError) as error:
            found.problems.append(f"{name} cannot be read: {error}")
            continue
        if reference.type == ReferenceType.DIRECT:
            walk.run(pygit2.Oid(hex=str(reference.target)), name)
    return found


class Walk:
    """One pass over the objects of a repository, each read once."""

    def __init__(self, repository: pygit2.Repository, found: GitCheck) -> None:
        self.repository, self.found = repository, found
        self.seen: set[bytes] = set()

    def run(self, start: pygit2.Oid, reference: str) -> None:
        """Read everything behind an object."""
        waiting: list[tuple[pygit2.Oid, str]] = [(start, "")]
        while waiting and len(self.found.problems) < MOST_PROBLEMS:
            oid, path = waiting.pop()
            if oid.raw in self.seen:
                continue
            self.seen.add(oid.raw)
            try:
                waiting.extend(self.behind(self.repository[oid], path))
            except (KeyError, ValueError, pygit2.GitError) as error:
                where = f"{reference}, {path}" if path else reference
                self.found.problems.append(f"object {oid} ({where}) cannot be read: {error}")

    def behind(self, thing: pygit2.Object, path: str) -> list[tuple[pygit2.Oid, str]]:
        """What an object refers to, with the path of each."""
        if isinstance(thing, pygit2.Commit):
            return [(thing.tree_id, ""), *((parent, "") for parent in thing.parent_ids)]
        if isinstance(thing, pygit2.Tag):
            return [(thing.target, "")]
        if isinstance(thing, pygit2.Tree):
            # A submodule's commit belongs to another repository.
            return [(entry.id, f"{path}/{entry.name}" if path else entry.name or "") for entry in thing
                    if entry.filemode != FileMode.COMMIT]  # fmt: skip
        assert isinstance(thing, pygit2.Blob)
        pointer = parse(thing.data)
        if pointer is not None:
            self.found.pointers.setdefault(pointer.sha256, (pointer, path))
        return []
