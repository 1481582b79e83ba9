"""The README names only what exists, and all of it. Its code is run by `tests/docs/test_blocks.py`."""

from __future__ import annotations

import re
from pathlib import Path

import samovar
from samovar.pipelines.registry import BUILT_IN
from samovar.registry import ARCHITECTURES

ROOT = Path(__file__).parents[1]


def test_the_readme_names_what_exists() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    imported = re.findall(r"from samovar import (.*)", text)
    names = [name.strip() for line in imported for name in line.split(",")]
    assert names
    for name in names:
        assert hasattr(samovar, name)
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link


def test_the_readme_lists_every_architecture_and_every_task() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    known = {*ARCHITECTURES, *(spec.name for spec in BUILT_IN)}
    assert not {name for name in known if f"`{name}`" not in text}
