"""Serve the Hub: bind, say when it answers, end cleanly on SIGTERM."""

from __future__ import annotations

import logging
import signal
import socket
import sys

import uvicorn

from samovar.errors import SamovarError
from samovar.server.app import create_app
from samovar.server.http.sendfile import SendfileProtocol
from samovar.server.hub import Hub
from samovar.server.settings import Settings

# Requests that are still running when the Hub is told to end have this long (seconds).
FAREWELL = 20
WAITING = 2048


class Server(uvicorn.Server):
    """Says `Hub ready at URL` on one line when it answers."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self.url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            print(f"Hub ready at {self.url}", flush=True)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `SamovarError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: the event loop sends small answers at once only on sockets that it knows to be TCP, and else
    # every answer waits 40 ms for the client's acknowledgement of its headers.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SamovarError(
            f"The Hub cannot listen on {host}:{port}: {error.strerror}.",
            "Choose another --port (0 takes any free one) or --host.",
        ) from error
    listening.listen(WAITING)
    return listening


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The socket first: a port that is taken should not open, and so migrate, a database that another Hub uses.
    listening = bound(settings.host, settings.port)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
    config = uvicorn.Config(
        create_app(Hub.open(settings)),
        loop="asyncio",
        http=SendfileProtocol,
        log_level=settings.log_level,
        log_config=None,
        access_log=settings.log_level == "debug",
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=FAREWELL,
        lifespan="on",
        ws="none",
    )
    # uvicorn ends in order when told to, and then raises the signal again for its caller: that is no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = Server(config, settings.url or f"http://{shown}:{port}")
    server.run(sockets=[listening])
