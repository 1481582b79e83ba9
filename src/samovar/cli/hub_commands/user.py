"""`samovar hub user`: add users from the machine itself."""

from __future__ import annotations

import argparse
import getpass
import sys


def add_options(parser: argparse.ArgumentParser) -> None:
    """`add NAME`."""
    parser.add_argument("action", choices=["add"], help="add a user")
    parser.add_argument("name", help="the user's name")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--email", help="the user's e-mail address")
    parser.add_argument("--admin", action="store_true", help="the user runs the Hub")


def run(options: argparse.Namespace) -> int:
    """Add the user."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services.accounts import add_user

    password = sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass("Password: ")
    with opened_database(options.data) as database:
        add_user(database, OPERATOR, options.name, password, options.email, options.admin)
    print(f"Added {options.name}.", file=sys.stderr)
    return 0
