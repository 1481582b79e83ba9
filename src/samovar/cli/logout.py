"""`samovar logout`: forget the tokens that are kept on this machine."""

from __future__ import annotations

import argparse
import os

from samovar.errors import HubError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which token."""
    parser.description = "Forget the access tokens that are kept on this machine; on the Hub they stay valid."
    parser.add_argument("--name", help="forget only the token of this name")


def run(options: argparse.Namespace) -> int:
    """Forget."""
    from huggingface_hub import get_token, logout

    if get_token() is None:
        print("Not logged in.")
        return 0
    try:
        logout(token_name=options.name)
    except OSError as error:
        if os.environ.get("HF_TOKEN"):
            raise HubError("The kept tokens are forgotten, but HF_TOKEN is set and goes on.", "Unset it.") from error
        raise HubError(f"Still logged in: {error}", "Unset the secret that holds the token.") from error
    print("Logged out.")
    return 0
