"""`samovar hub`: serve a Hub and look after it. Each subcommand is a module of `cli/hub_commands/`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from samovar.extras import require

# Name → what it does; read only when it is asked for.
COMMANDS = {
    "serve": "serve the Hub",
    "user": "add, list and lock out users",
    "token": "make, list and revoke access tokens",
    "invite": "make an invitation to sign up or to join an organisation",
    "alias": "let a name without an owner lead to a repository",
    "gc": "remove large files that nothing refers to any more",
    "fsck": "check that everything stored is whole",
    "backup": "copy the Hub into a folder while it runs",
    "restore": "make a data folder from a backup",
}
HOME = "samovar.cli.hub_commands"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommands."""
    commands = parser.add_subparsers(dest="hub_command", metavar="COMMAND", title="commands", required=True)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        command.add_argument("--data", type=Path, required=True, help="the Hub's data folder")
        importlib.import_module(f"{HOME}.{name}").add_options(command)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand."""
    require("sqlalchemy", "The Hub")  # Not FastAPI, which takes a second and which most subcommands do not need.
    return int(importlib.import_module(f"{HOME}.{options.hub_command}").run(options))
