"""`samovar hub restore`: make a data folder from a backup."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where from."""
    parser.add_argument("source", type=Path, help="the backup; --data names the new data folder")


def run(options: argparse.Namespace) -> int:
    """0 when the restored Hub is whole, else 1 with a line for each finding; the folder is there in both cases."""
    from samovar.server.maintenance.restore import restore

    report = restore(options.source, options.data)
    for finding in report.findings:
        print(finding)
    verdict = "whole" if report.whole else "broken"
    print(f"{report.repositories} repositories, {report.objects} large files: {verdict}.", file=sys.stderr)
    return 0 if report.whole else 1
