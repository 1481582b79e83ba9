"""The bytes behind a web address, within limits of time and size, and never while the network is switched off."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException

from samovar.errors import ImageError, OfflineError
from samovar.vision.fetch import short

TIMEOUT = 30.0  # seconds for a whole transfer
MAX_BYTES = 64 * 2**20  # of one download
CHUNK = 2**16
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def download(url: str, timeout: float | None = None) -> bytes:
    """The body behind a URL, within `timeout` seconds (30 when not given) and `MAX_BYTES`.

    Raises `ImageError`, and `OfflineError` before any connection while the network is switched off.
    """
    timeout = TIMEOUT if timeout is None else timeout
    shortened = short(url)
    for variable in OFFLINE_VARIABLES:
        if os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise OfflineError(
                f"{shortened} is on the network, and {variable} is set.", f"Pass a local file, or unset {variable}."
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
                        f"{shortened} is larger than {MAX_BYTES // 2**20} MiB.", "Download it yourself, pass the file."
                    )
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {timeout:g} s")
            missing = response.length
    except ImageError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answered {error.code} {error.reason}"
        raise ImageError(f"{shortened} cannot be read: {answer}.", "Open it in a browser to check it.") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ImageError(f"{shortened} cannot be read: {reason}.", "Check the address and the connection.") from error
    if missing:
        raise ImageError(f"{shortened} broke off {missing} bytes before its end.", "Try again.")
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
