"""One JSON object a line, read as it arrives. A line's long `content` goes to a file, decoded from base64, so that the
memory that a request takes does not depend on how large its files are."""

from __future__ import annotations

import binascii
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from samovar.server.errors import BadRequestError, TooLargeError

# A line up to here is parsed in one piece (bytes).
SHORT = 2**18
# Lines of one request, blank ones included.
MOST_LINES = 200_000
# Possessive: a long string takes no memory for ways back.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
PLACE = re.compile(rb"\s*:\s*")


@dataclass
class Line:
    """One object. If it had `value.content` in base64, that is in `content`, with its number of bytes."""

    key: str
    value: dict[str, Any]
    content: IO[bytes] | None = None
    size: int = 0


class Lines:
    """Takes bytes and gives lines. Not more than `longest` decoded bytes in one content, nor `most` bytes in all."""

    def __init__(self, longest: int, most: int) -> None:
        self.longest, self.most = longest, most
        self.seen = self.number = 0
        self.buffer = bytearray()
        self.content: Content | None = None
        self.in_content = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that are complete with these bytes. Raises `BadRequestError`, `TooLargeError`."""
        self.seen += len(data)
        if self.seen > self.most:
            raise TooLargeError("The request is too large.", "Make several commits.")
        position = 0
        while position < len(data):
            if self.in_content and self.content is not None:
                end = data.find(b'"', position)
                self.content.write(data[position : end if end >= 0 else None])
                if end < 0:
                    return
                self.in_content, position = False, end
                continue
            end = data.find(b"\n", position)
            if end >= 0:
                self.buffer += data[position:end]
                position = end + 1
                if (line := self.line()) is not None:
                    yield line
                continue
            self.buffer += data[position:]
            if len(self.buffer) > SHORT:
                self.find_content()
            return

    def end(self) -> Iterator[Line]:
        """The last line, which need not end with a newline. Raises `BadRequestError`."""
        if self.in_content:
            raise self.wrong("ends within a string")
        if (line := self.line()) is not None:
            yield line

    def close(self) -> None:
        """Remove what was not finished."""
        if self.content is not None:
            self.content.close()

    def find_content(self) -> None:
        """In a long line: where the content begins that has not ended yet."""
        last, position = b"", 0
        while (quote := self.buffer.find(b'"', position)) >= 0:
            between = self.buffer[position:quote]
            if found := STRING.match(self.buffer, quote):
                last, position = found[0], found.end()
                continue
            if last == b'"content"' and PLACE.fullmatch(between) and self.content is None:
                self.content = Content(self.longest, self.number + 1)
                begun = bytes(self.buffer[quote + 1 :])
                del self.buffer[quote + 1 :]
                self.in_content = True
                self.content.write(begun)
                return
            break
        if len(self.buffer) > 2 * SHORT:
            raise TooLargeError(f"Line {self.number + 1} is too long.", "Only the content of a file may be long.")

    def line(self) -> Line | None:
        """The line in the buffer; None if it is blank."""
        text = bytes(self.buffer)
        self.buffer.clear()
        self.number += 1
        if self.number > MOST_LINES:
            raise TooLargeError("The request has too many lines.", "Make several commits.")
        if not text.strip():
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.wrong("is no JSON") from error
        if not isinstance(found, dict) or not isinstance(found.get("key"), str):
            raise self.wrong("is no object with a `key`")
        value = found.get("value")
        if not isinstance(value, dict):
            raise self.wrong("has no object as its `value`")
        if self.content is not None:
            if value.get("content") != "":
                raise self.wrong("has a `content` in a wrong place")
        elif isinstance(value.get("content"), str) and value.get("encoding", "base64") == "base64":
            self.content = Content(self.longest, self.number)
            self.content.write(value.pop("content").encode("ascii", "replace"))
        if self.content is None:
            return Line(found["key"], value)
        file, size = self.content.finish()
        self.content = None
        return Line(found["key"], value, file, size)

    def wrong(self, what: str) -> BadRequestError:
        """An error that names the line."""
        return BadRequestError(f"Line {self.number} {what}.", "Send one operation a line, as JSON.")


class Content:
    """Base64 on its way into a file."""

    def __init__(self, longest: int, number: int) -> None:
        self.longest, self.number = longest, number
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(SHORT)  # noqa: SIM115
        self.size = 0
        self.left = b""
        self.padded = False

    def write(self, text: bytes) -> None:
        """Decode a piece. Raises `BadRequestError`, `TooLargeError`."""
        text = (self.left + text).replace(b"\\/", b"/")
        # A slash may be escaped, and the two may come apart.
        whole = (len(text) - text.endswith(b"\\")) // 4 * 4
        text, self.left = text[:whole], text[whole:]
        if not text:
            return
        # The library lets some misplaced padding pass.
        padding = text.find(b"=")
        if self.padded or (padding >= 0 and (padding < len(text) - 2 or text[padding:].strip(b"="))):
            raise self.wrong()
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error as error:
            raise self.wrong() from error
        self.padded = padding >= 0
        self.size += len(data)
        if self.size > self.longest:
            self.file.close()
            raise TooLargeError(
                f"The file in line {self.number} is too large for git (more than {self.longest:,} bytes).",
                "Upload it as a large file (LFS or Xet).",
            )
        self.file.write(data)

    def finish(self) -> tuple[IO[bytes], int]:
        """The file, at its beginning, and its size."""
        if self.left:
            raise self.wrong()
        self.file.seek(0, io.SEEK_SET)
        return self.file, self.size

    def close(self) -> None:
        """Remove it."""
        self.file.close()

    def wrong(self) -> BadRequestError:
        """An error that names the line."""
        return BadRequestError(f"The content in line {self.number} is no base64.")
