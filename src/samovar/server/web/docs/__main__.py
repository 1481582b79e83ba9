"""`python -m samovar.server.web.docs --output build/docs`: the documentation as static HTML."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from samovar.server.web.docs.writing import write


def main(given: Sequence[str] | None = None) -> int:
    """Write the site; the exit status."""
    parser = argparse.ArgumentParser("python -m samovar.server.web.docs", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/docs"), help="the folder (build/docs)")
    output = parser.parse_args(given).output
    try:
        count = write(output)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{count} pages: {output.resolve() / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
