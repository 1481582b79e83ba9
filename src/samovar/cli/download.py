"""`samovar download ID [FILE …]`: a repository's files into the cache, or into a folder."""

from __future__ import annotations

import argparse
import re

from samovar.cli.endpoint import add_endpoint, add_type, client
from samovar.errors import InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Download a repository, or some of its files, and print where they are."
    parser.epilog = """\
examples:
  samovar download owner/name                            into the cache that all tools share
  samovar download owner/name config.json --to ./model
  samovar download owner/name --exclude '*.bin' --revision v1.0

A download that was broken off goes on where it stopped.
"""
    parser.add_argument("id", help="'owner/name'")
    parser.add_argument("files", nargs="*", metavar="FILE", help="only these files or folders")
    add_type(parser)
    parser.add_argument("--revision", help="branch, tag or commit")
    parser.add_argument("--to", metavar="DIR", help="write into this folder, without links into the cache")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only files like '*.json'")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no files like '*.bin'")
    parser.add_argument("--force", action="store_true", help="fetch again what is there already")
    add_endpoint(parser)


def run(options: argparse.Namespace) -> int:
    """Download, and print the path."""
    if options.files and options.include:
        raise InputError("Files and --include were given.", "Name files, or patterns.")
    api = client(options)
    from samovar.hub.refusals import refusals

    common = {"repo_type": options.type, "revision": options.revision, "local_dir": options.to,
              "force_download": options.force}  # fmt: skip
    with refusals("Downloading", options.id, options.token, offline=True):
        if len(options.files) == 1 and not options.files[0].endswith("/") and not options.exclude:
            path = api.hf_hub_download(options.id, options.files[0], **common)
        else:
            wanted = [*map(pattern, options.files), *options.include] or None
            path = api.snapshot_download(
                options.id, allow_patterns=wanted, ignore_patterns=options.exclude or None, **common
            )
    print(path)
    return 0


def pattern(name: str) -> str:
    """A file's name as a pattern that fits only it; a folder's, with a slash, as all that is in it."""
    literal = re.sub(r"([*?\[])", r"[\1]", name)
    return f"{literal}*" if literal.endswith("/") else literal
