"""The lazy public surface: names are declared once, in a `.pyi` stub, and resolved on first use.

The stub is what type checkers and editors read, so the run-time surface and the typed one cannot drift apart.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samovar.errors import MissingExtraError, did_you_mean
from samovar.extras import EXTRA_OF


def declared_names(stub: Path) -> dict[str, tuple[str, str]]:
    """Public name → (relative module, name there), as `from .module import name as public` lines declare them.

    `other = name` gives a declared name a second one.
    """
    names: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(stub.read_text("utf-8")).body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            for alias in statement.names:
                names[alias.asname or alias.name] = (statement.module or "", alias.name)
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = names[statement.value.id]
    return names


def attach(package: str, init_file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose surface stands in the stub beside `init_file`."""
    names = declared_names(Path(init_file).with_suffix(".pyi"))

    def getattr_(name: str) -> Any:
        if name not in names:
            hint = did_you_mean(name, names)
            raise AttributeError(f"module {package!r} has no attribute {name!r}. {hint}".rstrip())
        module, original = names[name]
        try:
            # `from . import evaluate as evaluate` declares a submodule, everything else a name inside one.
            value = (
                getattr(importlib.import_module(f"{package}.{module}"), original)
                if module
                else importlib.import_module(f"{package}.{original}")
            )
        except ModuleNotFoundError as error:
            if error.name not in EXTRA_OF:
                raise
            raise MissingExtraError(f"`{package}.{name}`", error.name, EXTRA_OF[error.name]) from error
        setattr(sys.modules[package], name, value)
        return value

    return getattr_, lambda: sorted(names), sorted(names)
