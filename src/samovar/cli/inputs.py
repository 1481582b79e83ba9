"""Inputs of `samovar run`, one at a time: from arguments, files of lines, JSON lines or tables, and standard input."""

from __future__ import annotations

import csv
import json
import os
import select
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True)
class Reading:
    """What of a line is the input: of what kind, in which column, and which arguments may stand `beside` it."""

    takes: Takes
    column: str | None = None
    beside: tuple[str, ...] = ()


@dataclass(slots=True)
class Record:
    """One input, the number of its line, and arguments that it brings along; `error` says why it cannot be read."""

    line: int
    value: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


# A record, or None: nothing has come for a while.
Records = Iterator[Record | None]
Lines = Iterator[bytes] | Iterator[bytes | None]


def from_arguments(values: Iterable[str], reading: Reading) -> Records:
    """Each argument is an input; mappings are written as JSON."""
    for number, value in enumerate(values, 1):
        yield parsed(value, number) if reading.takes == "fields" else Record(number, value)


def from_file(path: Path, form: str | None, reading: Reading) -> Records:
    """The inputs of a file, or the images of a folder. Raises `InputError` when there is no such file."""
    if path.is_dir():
        if reading.takes != "image":
            raise InputError(f"{path} is a folder.", "Name a file with an input a line; folders are for images.")
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in IMAGES)
        if not found:
            raise InputError(f"{path} holds no images ({', '.join(sorted(IMAGES))}).", "Name another folder.")
        return from_arguments(map(str, found), reading)
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"There is no file {path}.", f"{did_you_mean(path.name, beside)} Check the path.".strip())
    return read(lines_of(path), form or FORMATS.get(path.suffix.lower()), reading)


def from_stdin(form: str | None, reading: Reading) -> Records:
    """The inputs of standard input, as they arrive."""
    return read(arriving(sys.stdin.buffer.fileno()), form, reading)


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


def read(lines: Lines, form: str | None, reading: Reading) -> Records:
    """Records from lines in a format; without one, mappings are JSON lines and all else is text."""
    form = form or ("jsonl" if reading.takes == "fields" else "text")
    if form in ("csv", "tsv"):
        return table((line for line in lines if line is not None), "," if form == "csv" else "\t", reading)
    return each_line(lines, form, reading)


def each_line(lines: Lines, form: str, reading: Reading) -> Records:
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
            yield chosen(parsed(text, number), reading)


def parsed(text: str, number: int) -> Record:
    """A record from a line of JSON."""
    try:
        return Record(number, json.loads(text))
    except (ValueError, RecursionError) as error:
        # A plain question is the usual mistake: what it asks about is missing.
        plain = " This task reads mappings with several fields: see --help, or --about." if text[:1] not in "{[" else ""
        return Record(number, error=f"The line is not JSON: {error}.{plain}")


def table(lines: Iterator[bytes], separator: str, reading: Reading) -> Records:
    """A record for each row of a table whose first row names the columns. Raises `InputError` for the columns."""
    csv.field_size_limit(sys.maxsize)
    # What is not UTF-8 is found in its row, where it can be reported without ending the reading.
    decoded = (line.decode("utf-8-sig" if first else "utf-8", "surrogateescape") for first, line in firsts(lines))
    rows = csv.DictReader(decoded, delimiter=separator)
    names = list(rows.fieldnames or [])
    if not names:
        raise InputError("The table is empty.", "Its first line names the columns.")
    if reading.takes != "fields":
        # As for a mapping of its own; columns that are arguments hold no text.
        reading = replace(reading, column=column_for(names, reading))
    return each_row(rows, names, reading)


def each_row(rows: csv.DictReader[str], names: list[str], reading: Reading) -> Records:
    """A record for each row."""
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Record(rows.line_num, error=f"The row cannot be read: {error}.")
            continue
        if row is None:
            return
        yield row_record(row, rows.line_num, names, reading)


def firsts(lines: Iterator[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Each line, and whether it is the first."""
    return ((number == 0, line) for number, line in enumerate(lines))


def row_record(row: dict[Any, Any], line: int, names: list[str], reading: Reading) -> Record:
    """A record from a row of a table; a row of another width is an error."""
    given = [value for name, value in row.items() if name is not None and value is not None]
    if None in row or len(given) < len(names):
        cells = len(given) + len(row.get(None) or [])
        return Record(line, error=f"The row has {cells} cells, the table {len(names)} columns.")
    if any("\udc80" <= letter <= "\udcff" for value in given for letter in value):
        return Record(line, error="The row is not UTF-8.")
    return chosen(Record(line, row), reading)


def column_for(names: list[str], reading: Reading) -> str:
    """The column that a task reads: the one named, or one of a usual name, or the only one. Raises `InputError`."""
    if reading.column is not None:
        if reading.column not in names:
            hint = did_you_mean(reading.column, names)
            raise InputError(
                f"There is no column {reading.column!r}.", f"{hint} There are: {', '.join(names)}.".strip()
            )
        return reading.column
    usual = [name for name in COLUMNS[reading.takes] if name in names]
    if usual:
        return usual[0]
    others = [name for name in names if name not in reading.beside]
    if len(others) == 1:
        return others[0]
    raise InputError(
        f"Which column holds the {reading.takes}? There are: {', '.join(names)}.", "Name it with --column."
    )


def chosen(record: Record, reading: Reading) -> Record:
    """The part of a mapping that the task reads, with the arguments beside it; a pair of texts stays together."""
    value = record.value
    if record.error is not None or not isinstance(value, dict):
        return record
    if reading.takes == "fields" and reading.column is None:
        return record
    arguments = {name: value[name] for name in reading.beside if name in value}
    if reading.takes == "text" and reading.column in (None, "text") and value.get("text_pair") and "text" in value:
        return Record(record.line, {"text": value["text"], "text_pair": value["text_pair"]}, arguments)
    try:
        return Record(record.line, value[column_for(list(value), reading)], arguments)
    except InputError as error:
        return Record(record.line, error=str(error.cause))
