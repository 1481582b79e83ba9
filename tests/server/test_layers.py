"""The Hub's layers: each imports only those below it, nothing of the model side, and never torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import samovar.server

ROOT = Path(samovar.server.__file__).parent
# Layer → its floor; an import goes to the same floor or down.
FLOORS = {
    "db": 0, "repos": 0, "objects": 0, "taxonomy": 0, "search": 1, "services": 2, "inference": 3, "viewer": 3,
    "maintenance": 3, "http": 3, "api": 4, "web": 5,
}  # fmt: skip
SHARED = ("errors", "hub", "extras", "server", "surface")
# Dates are written in one form everywhere.
ALLOWED = {("services", "samovar.server.http.dates")}


def imports() -> Iterator[tuple[Path, str]]:
    """(file, module) of each import of this package in the server's files."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("samovar."):
                yield path.relative_to(ROOT), node.module


@pytest.mark.slow
def test_layers_import_only_what_lies_below():
    upward = []
    for path, module in imports():
        here, there = path.parts[0], [*module.split("."), ""][2]
        if here in FLOORS and FLOORS.get(there, 0) > FLOORS[here] and (here, module) not in ALLOWED:
            upward.append((str(path), module))
    assert not upward


@pytest.mark.slow
def test_nothing_of_the_model_side_is_imported():
    assert not [(str(path), module) for path, module in imports() if module.split(".")[1] not in SHARED]


@pytest.mark.slow
def test_the_server_starts_without_torch_and_without_readers_of_data():
    code = (
        "import importlib, sys; from samovar.server import app;"
        "[importlib.import_module(f'samovar.server.api.{name}') for name in app.ROUTES];"
        "[importlib.import_module(f'samovar.server.web.{name}') for name in app.PAGES];"
        "print([name for name in ('torch', 'transformers', 'datasets', 'duckdb', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
