"""Images behind web addresses, from a server on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from samovar.errors import ImageError, OfflineError
from samovar.vision import download, load_image
from samovar.vision.families import ViTImageProcessor

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


def png() -> bytes:
    """An image file."""
    buffer = BytesIO()
    Image.fromarray(COLOUR).save(buffer, "PNG")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """A few good and bad answers."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path.startswith("/to-"):
            self.send_response(302)
            self.send_header("Location", {"/to-picture": "/picture.png", "/to-file": "file:///etc/hostname"}[self.path])
            self.end_headers()
            return
        body = b"<html></html>" if self.path == "/page" else png()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (50 if self.path == "/short" else 0)))
        self.end_headers()
        if self.path == "/slow":
            for byte in body[:100]:
                time.sleep(0.05)
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server on a free port; `asked` lists the paths that it was asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url(server: ThreadingHTTPServer, path: str) -> str:
    """The address of `path` there."""
    return f"http://127.0.0.1:{server.server_port}{path}"


@pytest.mark.parametrize("path", ["/picture.png", "/to-picture"])
def test_download(server: ThreadingHTTPServer, path: str) -> None:
    assert np.array_equal(load_image(url(server, path)), COLOUR)
    batch = ViTImageProcessor()(url(server, path), return_tensors="np")
    assert np.array_equal(batch.pixel_values, ViTImageProcessor()(COLOUR, return_tensors="np").pixel_values)


@pytest.mark.parametrize(
    ("path", "message"),
    [("/missing", "404"), ("/page", "known format"), ("/short", "50 bytes before"), ("/to-file", "file")],
)
def test_bad_answers_are_named(server: ThreadingHTTPServer, path: str, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        load_image(url(server, path))
    assert path in caught.value.cause


def test_size_limit(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 100)
    with pytest.raises(ImageError, match="larger than"):
        load_image(url(server, "/picture.png"))


def test_a_slow_transfer_ends_at_the_timeout(server: ThreadingHTTPServer) -> None:
    with pytest.raises(ImageError, match=r"not complete after 0\.3 s|timed out"):
        load_image(url(server, "/slow"), timeout=0.3)


def test_nobody_answers(server: ThreadingHTTPServer) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    closed.server_close()
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(url(closed, "/picture.png"))


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_nobody(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(OfflineError, match=variable):
        load_image(url(server, "/picture.png"))
    assert server.asked == []  # type: ignore[attr-defined]
