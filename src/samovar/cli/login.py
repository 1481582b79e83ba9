"""`samovar login`: keep a token of a Hub on this machine, where all tools of the field look for it."""

from __future__ import annotations

import argparse
import getpass
import sys

from samovar.cli.endpoint import add_endpoint, use_endpoint
from samovar.errors import HubError, InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the token comes from."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Keep an access token on this machine, for samovar, hf and every other tool of the field."
    parser.epilog = """\
examples:
  samovar login --endpoint http://localhost:8080        asks for the token
  samovar login < token.txt                             a token from standard input
  samovar login --browser                               confirm a code in a browser; no token to copy

Set HF_ENDPOINT to the same address for the other tools.
"""
    add_endpoint(parser, token=False)
    parser.add_argument("--token", help="the token itself; '-' reads it from standard input")
    parser.add_argument("--browser", action="store_true", help="get a token by confirming a code in a browser")


def run(options: argparse.Namespace) -> int:
    """Check the token with the Hub, then keep it."""
    if options.browser and options.token:
        raise InputError("--browser and --token exclude each other.", "Choose one.")
    use_endpoint(options)
    from huggingface_hub import constants, errors, interpreter_login, login

    from samovar.hub.refusals import refusals

    # Older clients know no login by a browser.
    not_confirmed: type[Exception] = getattr(errors, "DeviceCodeError", HubError)
    token = None if options.browser else asked_token(options.token, constants.ENDPOINT)
    with refusals("Logging in to", constants.ENDPOINT, token):
        try:
            if token is None:
                interpreter_login(skip_if_logged_in=False)
            else:
                login(token=token)
        except not_confirmed as error:
            raise HubError(f"The login was not confirmed: {error}", "Begin again.") from error
        except ValueError as error:
            raise HubError(f"Not a token for logging in: {error}", "Make one on your Hub's page of tokens.") from error
        from huggingface_hub import whoami

        name = whoami(token=token)["name"]
    print(f"Logged in to {constants.ENDPOINT} as {name}.")
    return 0


def asked_token(given: str | None, endpoint: str) -> str:
    """The token: as given, from standard input, or typed. Raises `InputError` for an empty one."""
    if given not in (None, "-"):
        return str(given).strip()
    typed = given is None and sys.stdin.isatty()
    token = getpass.getpass(f"Token of {endpoint}: ") if typed else sys.stdin.readline()
    if not token.strip():
        raise InputError("No token was given.", "Pass --token, pipe it in, or use --browser.")
    return token.strip()
