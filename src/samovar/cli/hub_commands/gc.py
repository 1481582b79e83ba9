"""`samovar hub gc`: remove large files that nothing refers to any more."""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Whether to do it."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def run(options: argparse.Namespace) -> int:
    """Say how much went. Files wait in a bin for an hour; the next run deletes them."""
    from samovar.server.hub import Hub
    from samovar.server.services.collect import collect
    from samovar.server.settings import read_settings

    hub = Hub.open(read_settings(data=options.data))
    try:
        found = collect(hub, options.dry_run)
    finally:
        hub.close()
    for number in found.unreadable:
        print(f"Repository {number} cannot be read; its files stay. Run `samovar hub fsck`.")
    verb = "would go" if options.dry_run else "went into the bin"
    print(f"{len(found.objects)} large files of {found.size:,} bytes {verb}; {found.freed:,} bytes were freed.")
    return 0
