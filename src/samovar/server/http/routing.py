"""Routes over the undecoded path: a revision such as `refs%2Fpr%2F1` is one segment, whatever it decodes to.

The server decodes `%2F` before routing; `RawPath` puts the path as it was sent in its place, and two convertors decode
what they match: `{rev:segment}` one segment, `{path:rest}` everything behind; `{kind:kind}` matches only the kinds of
repositories.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send


class Segment(Convertor[str]):
    """One segment of the path, decoded."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """Decode. Bytes that are no UTF-8 become U+FFFD, which no name may hold."""
        return unquote(value, errors="replace")

    def to_string(self, value: str) -> str:
        """Encode."""
        return quote(value, safe="")


class Rest(Convertor[str]):
    """The rest of the path, decoded; it may hold slashes, or be empty."""

    regex = ".*"

    def convert(self, value: str) -> str:
        """Decode."""
        return unquote(value, errors="replace")

    def to_string(self, value: str) -> str:
        """Encode, but for slashes."""
        return quote(value, safe="/")


class Kind(Convertor[str]):
    """`models`, `datasets` or `spaces`: other families have routes of their own, in whatever order."""

    regex = "models|datasets|spaces"

    def convert(self, value: str) -> str:
        """Itself."""
        return value

    def to_string(self, value: str) -> str:
        """Itself."""
        return value


class RawPath:
    """Lets the application route on the path as it was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replace the decoded path."""
        if scope["type"] == "http" and scope.get("raw_path"):
            scope["path"] = scope["raw_path"].decode("latin-1").partition("?")[0]
        await self.app(scope, receive, send)


def register() -> None:
    """Make the convertors known under their names."""
    register_url_convertor("segment", Segment())
    register_url_convertor("rest", Rest())
    register_url_convertor("kind", Kind())


register()
