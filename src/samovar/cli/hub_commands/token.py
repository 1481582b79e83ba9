"""`samovar hub token`: make an access token from the machine itself."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta


def add_options(parser: argparse.ArgumentParser) -> None:
    """`create NAME --role ROLE`."""
    parser.add_argument("action", choices=["create"], help="create a token")
    parser.add_argument("name", help="the user whose token it is")
    parser.add_argument("--role", choices=["read", "write", "admin"], required=True, help="what it may do")
    parser.add_argument("--title", default="", help="a name for the token, to know it again")
    parser.add_argument("--days", type=int, help="how long it is good; without it, until it is revoked")


def run(options: argparse.Namespace) -> int:
    """Print the token alone."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services.accounts import create_token

    expires = datetime.now(UTC) + timedelta(days=options.days) if options.days is not None else None
    with opened_database(options.data) as database:
        print(create_token(database, OPERATOR, options.name, options.role, options.title, expires))
    return 0
