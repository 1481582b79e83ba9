"""Pages go compressed to whoever takes that, and what they hold of the session cannot be guessed from their length."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest
from browser import Browser

from samovar.server.http.compression import masked, takes_gzip, unmasked


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [("gzip", True), ("br, GZip;q=0.5", True), ("deflate, gzip ;q=1.0, *", True), ("", False), ("gzip;q=0", False),
     ("gzip; q=0.000, br", False), ("identity", False), ("gzippy", False)],
)  # fmt: skip
def test_the_header_is_read_as_it_is_meant(accepted, taken):
    assert takes_gzip(accepted) is taken


def test_a_masked_token_is_another_each_time_and_comes_back():
    seen = {masked("a token-of_the.session") for _ in range(50)}
    assert len(seen) == 50
    assert {unmasked(one) for one in seen} == {b"a token-of_the.session"}
    for odd in ("", "é", "====", "a", "Zm9v\0"):
        assert unmasked(odd) != b"a token-of_the.session"


def test_pages_and_their_files_are_sent_compressed(hub, people):
    with httpx.Client(base_url=hub.url, timeout=60) as client:
        plain, small = (
            client.get("/models", headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip;q=0.8")
        )
        assert "content-encoding" not in plain.headers
        assert small.headers["content-encoding"] == "gzip"
        assert small.text == plain.text
        assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 2
        assert {one.strip() for one in small.headers["vary"].split(",")} >= {"Cookie", "Accept-Encoding"}
        style = re.search(r'href="(/static/[^"]+\.css)"', plain.text)[1]
        with client.stream("GET", style, headers={"Accept-Encoding": "gzip"}) as answer:
            body = b"".join(answer.iter_raw())
        assert answer.headers["cache-control"].endswith("immutable")
        assert gzip.decompress(body) == client.get(style, headers={"Accept-Encoding": "identity"}).content


def test_the_session_s_token_is_another_in_each_page_and_each_is_taken(hub, people):
    name = people.user()
    with Browser(hub.url) as browser:
        browser.log_in(name)
        first, second = browser.csrf, browser.csrf
        assert first != second
        for number, token in enumerate((first, second, unmasked(first).decode())):
            made = browser.submit("/new", csrf=token, kind="model", owner=name, name=f"m{number}")
            assert made.status_code == 303
        wrong = first[:-4] + ("AAA=" if first[-4:] != "AAA=" else "BBB=")
        assert browser.submit("/new", csrf=wrong, kind="model", owner=name, name="never").status_code == 403
