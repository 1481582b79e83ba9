"""Code of a repository: of one commit, shown, and run only when somebody said so.

The code of `owner/name` at a commit is the package `samovar_remote.owner.name.c<commit>`, whose modules are the files
of the cache's snapshot of that commit. Nothing is copied, nothing else can be imported under that name, and two
commits are two packages. A folder's code is a package named by a digest of what its files hold.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from samovar.errors import ConfigError, UnsafeFileError, did_you_mean
from samovar.hub.source import REPOSITORY_ID, Source

logger = logging.getLogger(__name__)

NAMESPACE = "samovar_remote"
# The parts of a package's name: namespace, owner, name, commit.
DEPTH = 4
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Reference:
    """Where a class stands: `"module.Class"`, or `"owner/name--module.Class"` in another repository."""

    repository: str | None
    module: str
    name: str

    @classmethod
    def parse(cls, text: Any) -> Reference:
        """Raises `UnsafeFileError` for what is no module and class, such as a path."""
        repository, dashes, rest = str(text).rpartition("--")
        module, _, name = rest.rpartition(".")
        parts = [*module.split("."), name]
        if not all(part.isidentifier() for part in parts) or (dashes and not REPOSITORY_ID.fullmatch(repository)):
            raise UnsafeFileError(
                f"{text!r} names no class of a repository.", "It is 'module.Class' or 'owner/name--module.Class'."
            )
        return cls(repository or None, module, name)

    @property
    def file(self) -> str:
        """The module's file in the repository."""
        return f"{self.module.replace('.', '/')}.py"


def repository_class(text: Any, source: Source, trust: bool | None, code_revision: str | None, what: str) -> type:
    """The class that a configuration file of `source` names; `what` says what it is, for the error.

    Its code is that of `code_revision`, or of the commit that `source` has found its files in. Raises
    `UnsafeFileError`, with nothing fetched and nothing run, unless `trust`.
    """
    reference = Reference.parse(text)
    home = code_source(reference, source, code_revision)
    if not trust:
        raise UnsafeFileError(*refusal(reference, home, what))
    home.require(reference.file, why=f"It is the code of {what}.")
    package = trusted_package(home)
    asked = code_revision or (source.revision if reference.repository in (None, source.name) else None)
    pinned = COMMIT.fullmatch(asked or "") is not None
    if f"{package}.{reference.module}" not in sys.modules and home.commit and not pinned:
        logger.warning(
            "Running code of %s: %s of commit %s. Pass code_revision=%r to keep to what you have read.",
            home.name, reference.file, home.commit, home.commit,
        )  # fmt: skip
    return loaded(package, reference, home)


def code_source(reference: Reference, source: Source, code_revision: str | None) -> Source:
    """Where the code is looked for: the commit of the other files, unless something else was said."""
    own = reference.repository in (None, source.name)
    if own and source.is_local:
        return source
    revision = code_revision or ((source.commit or source.revision) if own else None)
    return Source(
        source.name if own else str(reference.repository),
        revision,
        source.cache_dir,
        source.local_files_only,
        source.token,
        source.subfolder if own else "",
    )


def refusal(reference: Reference, home: Source, what: str) -> tuple[str, str]:
    """Cause and next step where code may not be run: which file of which commit it is, and where it can be read."""
    if home.is_local:
        file = home.base() / reference.file
        return f"{what} is code of {home.name}: {file}.", "Read it; if you trust it, pass trust_remote_code=True."
    from huggingface_hub import constants

    place = f"{home.subfolder}/{reference.file}" if home.subfolder else reference.file
    revision = home.commit or home.revision
    state = f"commit {revision}" if revision and COMMIT.fullmatch(revision) else f"revision {revision or 'main'}"
    keep = f", code_revision={revision!r}" if revision else ""
    return (
        f"{what} is code of the repository {home.name}: {place} of {state}.",
        f"Read {constants.ENDPOINT}/{home.name}/blob/{revision or 'main'}/{place}; if you trust it, pass "
        f"trust_remote_code=True{keep}.",
    )


def loaded(package: str, reference: Reference, home: Source) -> type:
    """Import the module and take the class out of it."""
    try:
        module = importlib.import_module(f"{package}.{reference.module}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(NAMESPACE):
            raise ConfigError(
                f"{reference.file} of {home.name} imports {str(error.name).rpartition('.')[2]!r}, which is not in it.",
                "Its repository is not whole: ask its owner.",
            ) from error
        raise ConfigError(
            f"{reference.file} of {home.name} needs the package {error.name!r}, which is not installed.",
            f"Install it:  pip install {error.name.split('.')[0]}",
        ) from error
    found = getattr(module, reference.name, None)
    if not isinstance(found, type):
        names = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise ConfigError(
            f"{reference.file} of {home.name} has no class {reference.name}.",
            did_you_mean(reference.name, names) or "Ask the repository's owner.",
        )
    return found


def check_kind(found: type, base: type, what: str) -> Any:
    """The class, if it is one of ours. Raises `ConfigError` for code that was written for another library."""
    if not issubclass(found, base):
        raise ConfigError(
            f"{found.__name__}, {what}, is no {base.__module__.split('.')[0]} {base.__name__}: its code was written "
            "for another library.",
            f"Load it with that library, or write it as a subclass of samovar.{base.__name__}.",
        )
    return found


# Packages that were trusted ---------------------------------------------------------------------------------------


def escaped(name: str) -> str:
    """A name as part of a module's name, different for different names."""
    return "_" + re.sub(r"[^0-9A-Za-z]", lambda found: f"_{ord(found.group()):x}_", name)


def trusted_package(home: Source) -> str:
    """The package of this source's code, ready to be imported from."""
    if home.is_local:
        parts = ["local", escaped(home.base().resolve().name), f"d{folder_digest(home.base())}"]
    else:
        owner, _, name = home.name.rpartition("/")
        place = f"{name}/{home.subfolder}" if home.subfolder else name
        parts = [escaped(owner), escaped(place), f"c{home.commit}"]
    package = ".".join([NAMESPACE, *parts])
    FINDER.trust(package, home)
    return package


def folder_digest(folder: Path) -> str:
    """What the code in a folder is: another digest when a file of it changes."""
    found = hashlib.sha256(str(folder.resolve()).encode())
    for path in sorted(folder.rglob("*.py")):
        found.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of trusted packages in their sources, and nothing else."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.lock = threading.Lock()

    def trust(self, package: str, source: Source) -> None:
        """Make the package and those around it, empty."""
        with self.lock:
            if self not in sys.meta_path:
                sys.meta_path.append(self)
            self.sources.setdefault(package, source)
            parts = package.split(".")
            for end in range(1, len(parts) + 1):
                name = ".".join(parts[:end])
                if name not in sys.modules:
                    module = ModuleType(name)
                    module.__path__ = []
                    sys.modules[name] = module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module's file, by the source that its package was trusted as."""
        parts = fullname.split(".")
        source = self.sources.get(".".join(parts[:DEPTH]))
        if source is None or len(parts) == DEPTH:
            return None
        inside = "/".join(parts[DEPTH:])
        for relative in (f"{inside}.py", f"{inside}/__init__.py"):
            found = source.file(relative)
            if found is not None:
                places: list[str] | None = [] if relative.endswith("/__init__.py") else None
                return importlib.util.spec_from_file_location(
                    fullname, found, loader=Loader(fullname, str(found)), submodule_search_locations=places
                )
        return None


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles a file each time: compiled code beside a cached file would be code that nobody has read."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


FINDER = Finder()
