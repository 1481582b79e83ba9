"""`samovar hub token`: access tokens, from the machine itself."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

from samovar.errors import SamovarError


def add_options(parser: argparse.ArgumentParser) -> None:
    """`create NAME --role ROLE`, `list NAME`, `revoke NAME --id ID`."""
    parser.add_argument("action", choices=["create", "list", "revoke"], help="what to do")
    parser.add_argument("name", help="the user whose token it is")
    parser.add_argument("--role", choices=["read", "write", "admin"], help="what it may do; for create")
    parser.add_argument("--title", default="", help="a name for the token, to know it again; for create")
    parser.add_argument("--days", type=int, help="how long it is good; without it, until it is revoked; for create")
    parser.add_argument("--id", type=int, help="the token's number, as list shows it; for revoke")


def run(options: argparse.Namespace) -> int:
    """`create` prints the token alone; `list` one token a line: number, role, last characters, last use, name."""
    from samovar.server.offline import OPERATOR, opened_database
    from samovar.server.services import tokens
    from samovar.server.services.accounts import user_called

    if options.action == "create" and options.role is None:
        raise SamovarError("`samovar hub token create` needs --role.", "Choose read, write or admin.")
    if options.action == "revoke" and options.id is None:
        raise SamovarError("`samovar hub token revoke` needs --id.", "`samovar hub token list NAME` shows it.")
    with opened_database(options.data) as database:
        if options.action == "create":
            expires = datetime.now(UTC) + timedelta(days=options.days) if options.days is not None else None
            _, token = tokens.create_token(database, OPERATOR, options.name, options.role, options.title, expires)
            print(token)
            return 0
        with database.read() as session:
            account = user_called(session, options.name)
        if options.action == "list":
            for one, _ in tokens.listed(database, OPERATOR, account.id):
                used = f"{one.last_used_at:%Y-%m-%d %H:%M}" if one.last_used_at else "never"
                print(one.id, one.role, f"…{one.ending}", used, one.name, sep="\t")
            return 0
        tokens.revoke(database, OPERATOR, options.id, account.id)
    print(f"Revoked token {options.id} of {account.name}.", file=sys.stderr)
    return 0
