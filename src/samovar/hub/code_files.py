"""The source files of a class, for a repository that brings its own code: its module, and those that it imports."""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samovar.errors import InputError
from samovar.hub.atomic import write_file

logger = logging.getLogger(__name__)


def write_source(kind: type, folder: Path) -> str:
    """Write the class's module, and what it imports from beside it, into a folder; `"module.Class"`.

    Raises `InputError` for a class that stands in no file, or whose imports lead out of its file's folder.
    """
    path = source_of(kind)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in with_imports(path).items():
        write_file(folder / name, content)
    return f"{path.stem}.{kind.__name__}"


def code_beside(things: Sequence[Any], folder: Path) -> dict[str, str]:
    """Write the source of those whose class was registered for an Auto class; Auto class → `"module.Class"`."""
    found = {}
    for thing in things:
        auto = type(thing).__dict__.get("_auto_class")
        if auto is not None:
            found[auto] = write_source(type(thing), folder)
    return found


def source_of(kind: type) -> Path:
    """The file that a class was defined in."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file() or "." in kind.__qualname__:
        raise InputError(
            f"The code of {kind.__qualname__} stands in no file of its own, so it cannot be saved.",
            "Define the class at the top of a .py file, and import it from there.",
        )
    path = Path(file)
    if path.name == "__init__.py":
        raise InputError(
            f"{kind.__name__} is defined in {path}.", "Define it in a module of its own, not in a package's __init__."
        )
    if not path.stem.isidentifier():
        raise InputError(f"{path.name} is no module's name.", "Rename the file: letters, digits and underscores.")
    return path


def with_imports(path: Path) -> dict[str, bytes]:
    """File name → content, of a module and of the modules beside it that it imports relatively."""
    found: dict[str, bytes] = {}
    waiting = [path]
    while waiting:
        one = waiting.pop()
        if one.name in found:
            continue
        if not one.is_file():
            raise InputError(
                f"{path.name} imports {one.stem!r} from beside it, and there is no {one}.",
                "Keep the modules of a custom class in one folder, without packages in it.",
            )
        found[one.name] = one.read_bytes()
        waiting += [one.with_name(f"{name}.py") for name in imported(one, found[one.name])]
    return found


def imported(path: Path, source: bytes) -> list[str]:
    """Modules beside a file that it imports with a dot."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source, str(path))):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level > 1 or "." in (node.module or ""):
                raise InputError(
                    f"{path.name}, line {node.lineno}, imports from outside of its folder.",
                    "Import with one dot, from modules beside it: a repository has no packages above.",
                )
            names += [node.module] if node.module else [one.name for one in node.names]
        absolute = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
        plain = [one.name for one in node.names] if isinstance(node, ast.Import) else [absolute] if absolute else []
        for name in plain:
            if (path.parent / f"{name}.py").is_file() and name != path.stem and name not in sys.stdlib_module_names:
                logger.warning("%s imports %s, which lies beside it: write `from .%s import …`, so that it is saved "
                               "too.", path.name, name, name)  # fmt: skip
    return names
