"""Inputs of `samovar run`, one at a time: from arguments, files of lines, JSON lines or tables, and standard input."""

from __future__ import annotations

import csv
import json
import os
import select
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samovar.cli.tasks import Takes
from samovar.errors import InputError, did_you_mean

# By the ending of a file's name.
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
# Names under which tables hold what a task reads, best first.
COLUMNS = {
    "text": (
        "text",
        "sentence",
        "sequence",
        "review",
        "content",
        "body",
        "document",
        "article",
        "prompt",
        "input",
        "messages",
    ),
    "image": ("image", "path", "file", "file_name", "image_path"),
}
# Seconds without a new line after which what has come from a pipe is answered.
IDLE = 0.2
BLOCK = 1 << 16


@dataclass(slots=True)
class Record:
    """One input and the number of its line; `error` says why it cannot be read."""

    line: int
    value: Any = None
    error: str | None = None


# A record, or None: nothing has come for a while.
Records = Iterator[Record | None]
Lines = Iterator[bytes] | Iterator[bytes | None]


def from_arguments(values: Iterable[str], takes: Takes) -> Records:
    """Each argument is an input; mappings are written as JSON."""
    for number, value in enumerate(values, 1):
        yield parsed(value, number) if takes == "fields" else Record(number, value)


def from_file(path: Path, form: str | None, takes: Takes, column: str | None) -> Records:
    """The inputs of a file, or the images of a folder. Raises `InputError` when there is no such file."""
    if path.is_dir():
        if takes != "image":
            raise InputError(f"{path} is a folder.", "Name a file with an input a line; folders are for images.")
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES)
        if not found:
            raise InputError(f"{path} holds no images ({', '.join(sorted(IMAGES))}).", "Name another folder.")
        return from_arguments(map(str, found), takes)
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"There is no file {path}.", f"{did_you_mean(path.name, beside)} Check the path.".strip())
    return read(lines_of(path), form or FORMATS.get(path.suffix.lower()), takes, column)


def from_stdin(form: str | None, takes: Takes, column: str | None) -> Records:
    """The inputs of standard input, as they arrive."""
    return read(arriving(sys.stdin.buffer.fileno()), form, takes, column)


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file; the file is held open only as long as they are read."""
    with path.open("rb") as file:
        yield from file


def arriving(descriptor: int) -> Iterator[bytes | None]:
    """Lines as they come, and None whenever none has come for a while.

    Read without Python's own buffer, which would not say whether a line waits in it.
    """
    rest = b""
    while True:
        # Only POSIX systems can wait for a pipe; elsewhere reading blocks.
        if os.name == "posix" and not select.select([descriptor], [], [], IDLE)[0]:
            yield None
            continue
        block = os.read(descriptor, BLOCK)
        if not block:
            break
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def read(lines: Lines, form: str | None, takes: Takes, column: str | None) -> Records:
    """Records from lines in a format; without one, mappings are JSON lines and all else is text."""
    form = form or ("jsonl" if takes == "fields" else "text")
    if form in ("csv", "tsv"):
        return table((line for line in lines if line is not None), "," if form == "csv" else "\t", takes, column)
    return each_line(lines, form, takes, column)


def each_line(lines: Lines, form: str, takes: Takes, column: str | None) -> Records:
    """A record for each line of text, or of JSON; blank lines of JSON are left out."""
    number = 0
    for raw in lines:
        if raw is None:
            yield None
            continue
        number += 1
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield Record(number, error=f"The line is not UTF-8: byte {error.start + 1} is {raw[error.start]:#04x}.")
            continue
        if form == "text":
            yield Record(number, text)
        elif text.strip():
            yield chosen(parsed(text, number), takes, column)


def parsed(text: str, number: int) -> Record:
    """A record from a line of JSON."""
    try:
        return Record(number, json.loads(text))
    except (ValueError, RecursionError) as error:
        return Record(number, error=f"The line is not JSON: {error}.")


def table(lines: Iterator[bytes], separator: str, takes: Takes, column: str | None) -> Records:
    """A record for each row of a table whose first row names the columns. Raises `InputError` for the columns."""
    csv.field_size_limit(sys.maxsize)
    # What is not UTF-8 is found in its row, where it can be reported without ending the reading.
    decoded = (line.decode("utf-8-sig" if first else "utf-8", "surrogateescape") for first, line in firsts(lines))
    rows = csv.DictReader(decoded, delimiter=separator)
    names = list(rows.fieldnames or [])
    if not names:
        raise InputError("The table is empty.", "Its first line names the columns.")
    if takes != "fields":
        column = column_for(names, takes, column)
    return each_row(rows, names, takes, column)


def each_row(rows: csv.DictReader[str], names: list[str], takes: Takes, column: str | None) -> Records:
    """A record for each row."""
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Record(rows.line_num, error=f"The row cannot be read: {error}.")
            continue
        if row is None:
            return
        yield row_record(row, rows.line_num, names, takes, column)


def firsts(lines: Iterator[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Each line, and whether it is the first."""
    return ((number == 0, line) for number, line in enumerate(lines))


def row_record(row: dict[Any, Any], line: int, names: list[str], takes: Takes, column: str | None) -> Record:
    """A record from a row of a table; a row of another width is an error."""
    given = [value for name, value in row.items() if name is not None and value is not None]
    if None in row or len(given) < len(names):
        cells = len(given) + len(row.get(None) or [])
        return Record(line, error=f"The row has {cells} cells, the table {len(names)} columns.")
    if any("\udc80" <= letter <= "\udcff" for value in given for letter in value):
        return Record(line, error="The row is not UTF-8.")
    return chosen(Record(line, row), takes, column)


def column_for(names: list[str], takes: Takes, column: str | None) -> str:
    """The column that a task reads: the one named, or one of a usual name, or the only one. Raises `InputError`."""
    if column is not None:
        if column not in names:
            hint = did_you_mean(column, names)
            raise InputError(f"There is no column {column!r}.", f"{hint} There are: {', '.join(names)}.".strip())
        return column
    usual = [name for name in COLUMNS[takes] if name in names]
    if usual:
        return usual[0]
    if len(names) == 1:
        return names[0]
    raise InputError(f"Which column holds the {takes}? There are: {', '.join(names)}.", "Name it with --column.")


def chosen(record: Record, takes: Takes, column: str | None) -> Record:
    """The part of a mapping that the task reads; a pair of texts stays together."""
    value = record.value
    if record.error is not None or not isinstance(value, dict):
        return record
    if takes == "fields" and column is None:
        return record
    if column is None and takes == "text" and value.get("text_pair") is not None and "text" in value:
        return Record(record.line, {"text": value["text"], "text_pair": value["text_pair"]})
    try:
        return Record(record.line, value[column_for(list(value), takes, column)])
    except InputError as error:
        return Record(record.line, error=str(error.cause))
