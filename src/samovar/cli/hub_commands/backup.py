"""`samovar hub backup`: copy the Hub into a folder while it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("target", type=Path, help="an empty folder, or an earlier backup, which is brought up to date")


def run(options: argparse.Namespace) -> int:
    """0 when everything was copied; 1 when the Hub is damaged, with a line for each thing that could not be copied."""
    from samovar.server.maintenance.backup import backup
    from samovar.server.settings import read_settings

    copied = backup(read_settings(data=options.data), options.target)
    for problem in copied.problems:
        print(f"broken: {problem}")
    print(
        f"{copied.repositories} repositories, {copied.objects} large files ({copied.object_bytes:,} bytes), "
        f"of which {copied.new_objects} ({copied.new_bytes:,} bytes) are new.",
        file=sys.stderr,
    )
    return 1 if copied.problems else 0
