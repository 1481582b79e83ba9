"""`samovar hub user`: the Hub's users, from the machine itself."""

from __future__ import annotations

import argparse
import getpass
import sys

from samovar.errors import SamovarError

ACTIONS = {
    "add": "add a user",
    "list": "list users",
    "disable": "lock a user out",
    "enable": "let a user in again",
    "password": "give a user another password; sessions end and tokens are revoked",
    "admin": "let a user run the Hub",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """`ACTION [NAME]`."""
    parser.add_argument(
        "action", choices=list(ACTIONS), help="; ".join(f"{name}: {what}" for name, what in ACTIONS.items())
    )
    parser.add_argument("name", nargs="?", help="the user's name; not for list")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--email", help="the user's e-mail address; for add")
    parser.add_argument("--admin", action="store_true", help="the user runs the Hub; for add")
    parser.add_argument("--remove", action="store_true", help="the user runs the Hub no more; for admin")


def run(options: argparse.Namespace) -> int:
    """Do it, and say what was done on standard error."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services import accounts

    name = options.name
    if options.action == "list":
        with opened_database(options.data) as database:
            for user in accounts.users(database):
                print(user.name, *(["admin"] if user.is_admin else []), *(["disabled"] if user.disabled else []))
        return 0
    if not name:
        raise SamovarError(f"`samovar hub user {options.action}` needs a name.", "Put it behind the action.")
    password = read_password(options) if options.action in ("add", "password") else ""
    with opened_database(options.data) as database:
        if options.action == "add":
            accounts.add_user(database, OPERATOR, name, password, options.email, options.admin)
            done = f"Added {name}."
        elif options.action == "password":
            accounts.reset_password(database, OPERATOR, name, password)
            done = f"{name} has another password."
        elif options.action == "admin":
            accounts.set_admin(database, OPERATOR, name, not options.remove)
            done = f"{name} runs the Hub{' no more' if options.remove else ''}."
        else:
            accounts.set_disabled(database, OPERATOR, name, options.action == "disable")
            done = f"{name} is {'locked out' if options.action == 'disable' else 'let in again'}."
    print(done, file=sys.stderr)
    return 0


def read_password(options: argparse.Namespace) -> str:
    """The password, from standard input or from the person at the terminal."""
    return sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass("Password: ")
