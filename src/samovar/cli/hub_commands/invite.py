"""`samovar hub invite`: an invitation, from the machine itself."""

from __future__ import annotations

import argparse
from datetime import timedelta


def add_options(parser: argparse.ArgumentParser) -> None:
    """To the Hub, or with `--organisation` to an organisation."""
    parser.add_argument("--organisation", help="the organisation that the invited person joins")
    parser.add_argument(
        "--role", choices=["read", "contributor", "write", "admin"], default="read", help="what they are there (read)"
    )
    parser.add_argument("--days", type=int, default=14, help="how long the invitation is good (14)")


def run(options: argparse.Namespace) -> int:
    """Print the code alone."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services.invitations import invite_to_join, invite_to_sign_up

    lifetime = timedelta(days=options.days)
    with opened_database(options.data) as database:
        if options.organisation:
            print(invite_to_join(database, OPERATOR, options.organisation, options.role, lifetime=lifetime))
        else:
            print(invite_to_sign_up(database, OPERATOR, lifetime))
    return 0
