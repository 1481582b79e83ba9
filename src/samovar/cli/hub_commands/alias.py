"""`samovar hub alias`: names without an owner, as `bert-base-cased`, that lead to a repository."""

from __future__ import annotations

import argparse
import sys

from samovar.errors import SamovarError


def add_options(parser: argparse.ArgumentParser) -> None:
    """`add NAME OWNER/NAME`, `remove NAME`, `list`."""
    parser.add_argument("action", choices=["add", "remove", "list"], help="what to do")
    parser.add_argument("name", nargs="?", help="the name without an owner; not for list")
    parser.add_argument("repository", nargs="?", help="the repository, OWNER/NAME; for add")
    parser.add_argument("--type", choices=["model", "dataset", "space"], default="model", help="of what kind (model)")


def run(options: argparse.Namespace) -> int:
    """`list` prints kind, name and repository, one a line; the others say what was done on standard error."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services import short_names

    if (options.action != "list" and not options.name) or (options.action == "add" and not options.repository):
        raise SamovarError(
            f"`samovar hub alias {options.action}` needs more.",
            "samovar hub alias add bert-base-cased google-bert/bert-base-cased; … remove bert-base-cased",
        )
    with opened_database(options.data) as database:
        if options.action == "list":
            with database.read() as session:
                for row in short_names.listed(session):
                    print(*row, sep="\t")
            return 0
        if options.action == "add":
            full = short_names.add(database, OPERATOR, options.type, options.name, options.repository)
            done = f"{options.name} leads to {full}."
        else:
            short_names.remove(database, OPERATOR, options.type, options.name)
            done = f"{options.name} leads nowhere any more."
    print(done, file=sys.stderr)
    return 0
