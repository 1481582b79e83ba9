"""The encoded bytes behind a path, a web address, a data URL or base64 text."""

from __future__ import annotations

import base64
import binascii
import os
import re
import urllib.parse
from pathlib import Path

from samovar.errors import ImageError

# A shorter text is taken for a mistyped path rather than for an image in base64: the smallest real images need more.
SHORTEST_BASE64 = 48


def fetch(address: str | os.PathLike[str], timeout: float | None = None) -> tuple[bytes, str]:
    """The bytes that `address` leads to, and a short name for them in messages.

    `address` is a path, an `http(s)` URL, a `data:` URL, or an encoded image as base64 text. `timeout` is in seconds
    for the whole transfer (30 when not given); a download may have at most 64 MiB.

    Raises `ImageError` when nothing can be read there, and `OfflineError` for a URL while `HF_HUB_OFFLINE` is set.
    """
    text = os.fspath(address)
    if isinstance(address, str):
        if text.lower().startswith(("http://", "https://")):
            from samovar.vision.download import download  # Slow to import, and seldom needed.

            return download(text, timeout), short(text)
        if text.lower().startswith("data:"):
            return data_url(text), short(text, 40)
    if os.path.isfile(text):
        return read(Path(text)), text
    if isinstance(address, str) and len(text) >= SHORTEST_BASE64 and not os.path.isdir(text):
        decoded = from_base64(text)
        if decoded is not None:
            return decoded, "The base64 text"
    if os.path.isdir(text):
        raise ImageError(f"{text} is a folder, not an image file.", "Pass the files in it one by one, or as a list.")
    raise ImageError(
        f"No image file at {short(text)!r}.", "Pass an existing path, an http(s) URL, a data URL or an image object."
    )


def read(path: Path) -> bytes:
    """A file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from error


def data_url(text: str) -> bytes:
    """The payload of a `data:image/…;base64,…` URL (RFC 2397)."""
    header, comma, payload = text.partition(",")
    if not comma:
        raise ImageError(f"{short(text, 40)} has no comma and no data.", "A data URL is data:image/png;base64,…")
    if not header.lower().endswith(";base64"):
        return urllib.parse.unquote_to_bytes(payload)
    decoded = from_base64(urllib.parse.unquote(payload))
    if decoded is None:
        raise ImageError(f"{short(text, 40)} is not valid base64 after the comma.", "Encode the file's bytes again.")
    return decoded


def from_base64(text: str) -> bytes | None:
    """The bytes that `text` encodes, or `None` when it is no base64; line breaks are allowed."""
    try:
        return base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError):
        return None


def short(text: str, limit: int = 120) -> str:
    """`text`, cut to `limit` characters for a message."""
    return text if len(text) <= limit else f"{text[:limit]}…"
