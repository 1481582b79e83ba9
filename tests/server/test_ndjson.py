"""Operations that arrive in pieces, whatever the pieces are."""

from __future__ import annotations

import base64
import json
import os
import random
import tracemalloc

import pytest

from samovar.server.errors import BadRequestError, TooLargeError
from samovar.server.http.ndjson import SHORT, Lines

LONG = os.urandom(SHORT + 12345)


def line(key, **value):
    """An operation."""
    return json.dumps({"key": key, "value": value}).encode()


def encoded(data):
    """In base64."""
    return base64.b64encode(data).decode()


def read(pieces, longest=2**30, most=2**40):
    """Key, value and content of each line."""
    lines, found = Lines(longest, most), []

    def take(several):
        for one in several:
            found.append((one.key, one.value, one.content and one.content.read()))
            if one.content:
                one.content.close()

    try:
        for piece in pieces:
            take(lines.feed(piece))
        take(lines.end())
    finally:
        lines.close()
    return found


def cut(data, sizes):
    """The data in pieces of these sizes, over and over."""
    position = 0
    while position < len(data):
        size = next(sizes)
        yield data[position : position + size]
        position += size


def endless(*sizes):
    """These numbers again and again."""
    while True:
        yield from sizes


BODY = b"\n".join(
    [
        line("header", summary='says "content": "', description="\\"),
        line("file", path='a"content": "b\\', content=encoded(b"short"), encoding="base64"),
        b"",
        line("file", content=encoded(LONG), path="long", encoding="base64"),
        b'{"key": "file", "value": {"path": "slashes", "content": "'
        + encoded(LONG[:-1]).replace("/", "\\/").encode()
        + b'"}}',
        line("file", content="", path="empty", encoding="base64"),
        line("deletedFile", path="x"),
    ]
)
EXPECTED = [b"short", LONG, LONG[:-1], b""]


@pytest.mark.parametrize("sizes", [(2**30,), (2**16,), (4099, 1, 7), (SHORT + 1, 13), (100_003,)])
def test_the_same_comes_out_wherever_the_bytes_are_cut(sizes):
    found = read(cut(BODY, endless(*sizes)))
    assert [key for key, _, _ in found] == ["header", "file", "file", "file", "file", "deletedFile"]
    assert [content for key, _, content in found if key == "file"] == EXPECTED
    assert [value["path"] for key, value, _ in found if key == "file"] == [
        'a"content": "b\\',
        "long",
        "slashes",
        "empty",
    ]


def test_every_cut_of_a_short_body():
    body = line("file", path="ü", content=encoded(b"12345")) + b"\n" + line("deletedFile", path="y") + b"\n"
    for position in range(len(body)):
        found = read([body[:position], body[position:]])
        assert [one[0] for one in found] == ["file", "deletedFile"]
        assert found[0][2] == b"12345"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_content():
    def pieces():
        yield b'{"key":"file","value":{"path":"x","content":"'
        for _ in range(256):
            yield encoded(random.Random(1).randbytes(3 * 2**16)).encode()
        yield b'"}}'

    lines = Lines(2**30, 2**40)
    tracemalloc.start()
    found = [one for piece in pieces() for one in lines.feed(piece)] + list(lines.end())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0].size == 256 * 3 * 2**16
    assert peak < 4 * 2**20
    found[0].content.close()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"key": 1, "value": {}}',
        b'{"key": "file"}',
        b'{"key": "file", "value": []}',
        b'{"key": "file", "value": {"content": "a"}}',
        b'{"key": "file", "value": {"content": "a==="}}',
        b'{"key": "file", "value": {"content": "YQ==YQ=="}}',
        b'{"key": "file", "value": {"content": "Y Q="}}',
        '{"key": "file", "value": {"content": "ÿÿÿÿ"}}'.encode(),
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b'{"key": "file", "value": {"content": "' + b"A" * (2 * SHORT),
        b'{"key": "file", "value": {"content": "' + b"A" * (2 * SHORT) + b'", "content": "QQ=="}}',
        b'{"key": "file", "value": {"content": "' + b"A" * (2 * SHORT) + b"=" * 8 + b'"}}',
        b'{"key": "file", "content": "' + b"A" * (2 * SHORT) + b'"}',
    ],
)
def test_what_is_no_operation_is_refused(body):
    with pytest.raises(BadRequestError):
        read(cut(body, endless(2**16)))


def test_an_endless_line_is_refused_before_it_fills_the_memory():
    lines = Lines(2**20, 2**40)
    with pytest.raises(TooLargeError):  # noqa: PT012
        for _ in range(1000):
            list(lines.feed(b'{"key": "' + b"x" * 2**16))
    assert len(lines.buffer) < 4 * SHORT


def test_an_endless_content_and_an_endless_number_of_lines_are_refused():
    with pytest.raises(TooLargeError):
        read([b'{"key": "file", "value": {"content": "'] + [b"A" * 2**16] * 100, longest=2**20)
    with pytest.raises(TooLargeError):
        read([line("deletedFile", path="x") + b"\n"] * 1000, most=10_000)
