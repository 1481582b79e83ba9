"""`samovar hub fsck`: check that everything stored is whole."""

from __future__ import annotations

import argparse
import json
import sys


def add_options(parser: argparse.ArgumentParser) -> None:
    """How far to look, and what to do about it."""
    parser.add_argument("--deep", action="store_true", help="also read every large file and compare its SHA-256")
    parser.add_argument("--repair", action="store_true", help="remove leftovers and finish what was broken off")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    """0 when nothing is broken, else 1 with a line for each finding."""
    from samovar.server.hub import Hub
    from samovar.server.maintenance.fsck import fsck
    from samovar.server.maintenance.repair import repair
    from samovar.server.settings import read_settings

    hub = Hub.open(read_settings(data=options.data))
    try:
        done = repair(hub) if options.repair else []
        report = fsck(hub, options.deep)
    finally:
        hub.close()
    if options.json:
        print(
            json.dumps(
                {
                    "whole": report.whole,
                    "repositories": report.repositories,
                    "objects": report.objects,
                    "repaired": done,
                    "findings": [finding.as_json() for finding in report.findings],
                },
                indent=2,
            )
        )
    else:
        for line in (*done, *report.findings):
            print(line)
        verdict = "whole" if report.whole else "broken"
        print(f"{report.repositories} repositories, {report.objects} large files: {verdict}.", file=sys.stderr)
    return 0 if report.whole else 1
