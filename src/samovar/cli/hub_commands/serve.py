"""`samovar hub serve`: one process that answers HTTP."""

from __future__ import annotations

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to listen."""
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8080); 0 takes any free one")
    parser.add_argument("--url", help="the address that people use, if it is another one: https://hub.example")


def run(options: argparse.Namespace) -> int:
    """Serve until told to end."""
    from samovar.server.run import serve
    from samovar.server.settings import read_settings

    serve(read_settings(data=options.data, host=options.host, port=options.port, url=options.url))
    return 0
