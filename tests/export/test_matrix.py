"""The page of exports has a cell for every architecture and format, and what it measured is near."""

from __future__ import annotations

import re

import matrix
from toys import MODEL_TYPES

from samovar.export.comparing import TOLERANCE
from samovar.export.formats import FORMATS, NEEDS
from samovar.export.usage import LINES
from samovar.registry import ARCHITECTURES

NUMBER = re.compile(r"0|\de-\d\d")
CELLS = matrix.written()


def test_every_architecture_and_every_format_has_a_cell() -> None:
    assert set(MODEL_TYPES) == set(ARCHITECTURES)
    assert set(FORMATS) == set(NEEDS) == set(LINES)
    text = matrix.PAGE.read_text("utf-8")
    assert matrix.table(CELLS) in text, "run python tests/export/matrix.py"
    for form in FORMATS:
        assert f"| `{form}` |" in text.partition("## In the folder")[0]


def test_what_was_measured_is_near() -> None:
    assert len(CELLS) == len(MODEL_TYPES) * len(FORMATS)
    for place, shown in CELLS.items():
        assert NUMBER.fullmatch(shown), place
        assert float(shown) <= TOLERANCE / 5, place
