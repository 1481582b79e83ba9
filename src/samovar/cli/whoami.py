"""`samovar whoami`: as whom, and where, this machine is logged in."""

from __future__ import annotations

import argparse
import json

from samovar.cli.endpoint import add_endpoint, client


def add_options(parser: argparse.ArgumentParser) -> None:
    """How it is said."""
    parser.description = "Say as whom this machine is logged in, and to which Hub."
    add_endpoint(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Ask the Hub."""
    api = client(options)
    from samovar.hub.refusals import refusals, require_login

    asking = f"Asking {api.endpoint} who you are"
    with refusals(asking, token=options.token):
        require_login(asking, options.token)
        found = api.whoami()
    groups = [one["name"] for one in found.get("orgs", [])]
    role = ((found.get("auth") or {}).get("accessToken") or {}).get("role")
    if options.json:
        print(json.dumps({"name": found["name"], "endpoint": api.endpoint, "role": role, "organizations": groups}))
        return 0
    print(found["name"])
    print(f"  at {api.endpoint}" + (f", with a token to {role}" if role else ""))
    if groups:
        print(f"  member of {', '.join(groups)}")
    return 0
