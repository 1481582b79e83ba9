"""`python tests/export/matrix.py [FORMAT …] [ARCHITECTURE …]`: architecture × format, measured into docs/export.md.

Every architecture at toy size with random weights is written and compared as `export_model` does it. Without names all
are measured; AOTInductor alone takes half an hour on two idle cores. The page is written after each row, and keeps what
was not measured.
"""

from __future__ import annotations

import fcntl
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from toys import MODEL_TYPES, parts

from samovar.errors import SamovarError
from samovar.export.comparing import compared
from samovar.export.formats import FORMATS, format_called
from samovar.hub.atomic import write_file

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- matrix:start -->", "<!-- matrix:end -->"
ROW = re.compile(r"^\| `([\w-]+)` \|(.*)\|$", re.M)

# What stands in a cell that nobody has measured yet: AOTInductor compiles a minute for each part.
NOT_YET = "not yet"

Cells = dict[tuple[str, str], str]


def written() -> Cells:
    """(architecture, format) → what the page says: a difference, or a reason."""
    text = PAGE.read_text("utf-8")
    inside = text.partition(BEGIN)[2].partition(END)[0]
    return {
        (name, format): cell.strip().replace(NOT_YET, "")
        for name, cells in ROW.findall(inside)
        for format, cell in zip(FORMATS, cells.split("|"), strict=False)
    }


def cell(model_type: str, format: str) -> str:
    """The largest difference over all parts and sizes, or why there is none."""
    try:
        chosen: Any = format_called(format, {})
        largest = 0.0
        with tempfile.TemporaryDirectory() as folder:
            for part in parts(model_type):
                chosen.write(part, Path(folder))
                for found in compared(part, chosen.runner(part, Path(folder))):
                    largest = max(largest, found.largest)
        return f"{largest:.0e}" if largest else "0"
    except SamovarError as error:
        return error.cause.replace("|", "¦").replace("\n", " ")


def table(cells: Cells) -> str:
    """The matrix."""
    rows = [f"| | {' | '.join(FORMATS)} |", f"|---|{'---:|' * len(FORMATS)}"]
    for model_type in MODEL_TYPES:
        shown = (cells.get((model_type, format)) or NOT_YET for format in FORMATS)
        rows.append(f"| `{model_type}` | {' | '.join(shown)} |")
    return "\n".join(rows)


def save(found: Cells) -> None:
    """Write these cells into the page, beside those that it has; several of these programs take turns."""
    with open(__file__) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        write_file(PAGE, f"{before}{BEGIN}\n{table(written() | found)}\n{END}{rest.partition(END)[2]}")


def main(names: list[str]) -> None:
    """Measure these formats of these architectures."""
    warnings.simplefilter("ignore")
    formats = [name for name in FORMATS if name in names] or list(FORMATS)
    for model_type in [name for name in MODEL_TYPES if name in names] or MODEL_TYPES:
        found = {(model_type, format): cell(model_type, format) for format in formats}
        save(found)
        parts.cache_clear()
        print(model_type, *found.values(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
