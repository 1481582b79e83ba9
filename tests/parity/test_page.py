"""The page of architectures says what there is; what it measured is within what the tests allow."""

from __future__ import annotations

import re

from harness import TOLERANCE
from page import INTRODUCTION, PAGE, files, heads, kind, lines

WRITERS = ("decoder", "encoder–decoder")


def test_the_page_is_what_its_script_makes() -> None:
    text = PAGE.read_text("utf-8")
    assert text.startswith(INTRODUCTION)
    rows = re.findall(r"^\| `(\w+)`(?: \((.*)\))? \| (\S+) \| (\d+) \| ([\d–]+) \| (\S+) \| (\S*) \|$", text, re.M)
    found = {row[0]: row[1:] for row in rows}
    assert list(found) == list(files())
    for name, types in files().items():
        listed, what, length, models, near, tokens = found[name]
        assert listed == ("" if types == [name] else ", ".join(types))
        assert (what, int(length)) == (kind(types[0]), lines(name)), f"{name}: run python tests/parity/page.py"
        assert models == "–".join(map(str, sorted({heads(one) for one in types})))
        assert float(near) <= TOLERANCE / 5
        assert tokens == ("equal" if what in WRITERS else "")
