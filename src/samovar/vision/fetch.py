"""The encoded bytes behind a path, a web address, a data URL or base64 text."""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path

from samovar.errors import ImageError, OfflineError

TIMEOUT = 30.0  # seconds for a whole transfer
MAX_BYTES = 64 * 2**20  # of one download
CHUNK = 2**16
# A shorter text is taken for a mistyped path rather than for an image in base64: the smallest real images need more.
SHORTEST_BASE64 = 48
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def fetch(address: str | os.PathLike[str], timeout: float | None = None) -> tuple[bytes, str]:
    """The bytes that `address` leads to, and a short name for them in messages.

    `address` is a path, an `http(s)` URL, a `data:` URL, or an encoded image as base64 text. `timeout` is in seconds
    for the whole transfer (30 when not given); a download may have at most 64 MiB.

    Raises `ImageError` when nothing can be read there, and `OfflineError` for a URL while `HF_HUB_OFFLINE` is set.
    """
    text = os.fspath(address)
    if isinstance(address, str):
        if text.lower().startswith(("http://", "https://")):
            return download(text, TIMEOUT if timeout is None else timeout), short(text)
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


def download(url: str, timeout: float) -> bytes:
    """The body behind a URL, within `timeout` seconds and `MAX_BYTES`."""
    for variable in OFFLINE_VARIABLES:
        if os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise OfflineError(
                f"{short(url)} is on the network, and {variable} is set.", f"Pass a local file, or unset {variable}."
            )
    deadline = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={"User-Agent": "samovar"})
    body = bytearray()
    try:
        with web_opener().open(request, timeout=timeout) as response:
            while chunk := response.read1(CHUNK):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ImageError(
                        f"{short(url)} is larger than {MAX_BYTES // 2**20} MiB.", "Download it yourself, pass the file."
                    )
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {timeout:g} s")
            missing = response.length
    except ImageError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answered {error.code} {error.reason}"
        raise ImageError(f"{short(url)} cannot be read: {answer}.", "Open it in a browser to check it.") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ImageError(f"{short(url)} cannot be read: {reason}.", "Check the address and the connection.") from error
    if missing:
        raise ImageError(f"{short(url)} broke off {missing} bytes before its end.", "Try again.")
    return bytes(body)


def web_opener() -> urllib.request.OpenerDirector:
    """An opener for http and https only, so that a redirect cannot lead to a local file or another protocol."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def short(text: str, limit: int = 120) -> str:
    """`text`, cut to `limit` characters for a message."""
    return text if len(text) <= limit else f"{text[:limit]}…"
