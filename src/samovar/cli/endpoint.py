"""Which Hub a command talks to: `--endpoint`, else `HF_ENDPOINT`, else the client's own default."""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING

from samovar.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def add_endpoint(parser: argparse.ArgumentParser, token: bool = True) -> None:
    """The options that all commands of a Hub have."""
    parser.add_argument("--endpoint", metavar="URL", help="the Hub's address (else HF_ENDPOINT)")
    if token:
        parser.add_argument("--token", help="an access token, in place of the login of this machine")


def add_type(parser: argparse.ArgumentParser) -> None:
    """What kind of repository is meant."""
    parser.add_argument("--type", choices=("model", "dataset", "space"), default="model", help="(model)")


def use_endpoint(options: argparse.Namespace) -> None:
    """Make this Hub the one that is asked; to be called before `huggingface_hub` is imported."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if options.endpoint is None:
        return
    if not options.endpoint.startswith(("http://", "https://")):
        raise InputError(f"--endpoint {options.endpoint} is no address.", "Write it as http://host:port.")
    os.environ["HF_ENDPOINT"] = options.endpoint.rstrip("/")


def client(options: argparse.Namespace) -> HfApi:
    """The client of the Hub that was asked for."""
    use_endpoint(options)
    from huggingface_hub import HfApi

    return HfApi(token=options.token)
