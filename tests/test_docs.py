"""The tours run as they stand, and print what they say; the README names only what exists."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import samovar
from assets import minilm_folder
from samovar.pipelines.registry import BUILT_IN
from samovar.registry import ARCHITECTURES

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("tour", ["tour.md", "tour.ru.md"])
def test_the_tour_prints_what_it_says(tour: str) -> None:
    text = (ROOT / "docs" / tour).read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    namespace: dict[str, object] = {}
    promised = 0
    for number, block in enumerate(blocks):
        # The first block says where the weights usually are; here they are where the tests keep them.
        if number == 0:
            namespace["folder"] = minilm_folder()
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block, f"{tour}, block {number + 1}", "exec"), namespace)
        expected = re.findall(r"# → (.*)", block)
        assert printed.getvalue().splitlines() == expected
        promised += len(expected)
    assert promised >= 5


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
