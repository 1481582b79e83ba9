"""`python -m samovar.evaluate [METRIC …]`: the pages of the metrics, in Markdown."""

from __future__ import annotations

import sys

from samovar.errors import SamovarError
from samovar.evaluate.spec import find, pages


def main(names: list[str]) -> int:
    """Print the pages of these metrics, or of all."""
    try:
        print("\n".join(find(*name.split("/", 1)).page() for name in names) if names else pages(), end="")
    except SamovarError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
