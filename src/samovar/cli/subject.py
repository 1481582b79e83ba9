"""What all questions of a run are about: a text or a table in a file of its own, so that inputs are questions alone."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from samovar.cli.inputs import FORMATS, Records
from samovar.errors import InputError
from samovar.pipelines.registry import PIPELINE_REGISTRY

# Task → the field of the file, and that of the question.
FIELDS = {"question-answering": ("context", "question"), "table-question-answering": ("table", "query")}


def fields_of(task: str) -> tuple[str, str]:
    """Names of both fields. Raises `InputError` for a task that asks no questions."""
    name = PIPELINE_REGISTRY.find(task).name
    if name not in FIELDS:
        raise InputError(f"{name} asks no questions about a file.", f"--about is for {' and '.join(FIELDS)}.")
    return FIELDS[name]


def subject(task: str, path: Path) -> Any:
    """The text, or the table as column → cells. Raises `InputError` for a file that is none, or a ragged table."""
    field, _ = fields_of(task)
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{path} cannot be read: {cause}.", "Check the path.") from error
    if field != "table":
        return content
    form = FORMATS.get(path.suffix.lower(), "csv")
    rows = [
        row for row in csv.reader(io.StringIO(content, newline=""), delimiter="\t" if form == "tsv" else ",") if row
    ]
    if len(rows) < 2:
        raise InputError(f"{path} is no table with rows.", "Its first line names the columns.")
    header, *cells = rows
    for number, row in enumerate(cells, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}, row {number} has {len(row)} cells, the table {len(header)} columns.", "Give each row as many."
            )
    if len(set(header)) < len(header):
        raise InputError(f"Columns of {path} have the same name.", f"There are: {', '.join(header)}.")
    return {name: [row[index] for row in cells] for index, name in enumerate(header)}


def asked(records: Records, task: str, about: Any) -> Records:
    """Each question beside what it is about."""
    field, question = fields_of(task)
    for record in records:
        if record is None or record.error is not None:
            yield record
        else:
            yield replace(record, value={field: about, question: record.value})
