"""The forms in which models are asked on a page: fields of each kind, examples of cards as values, values as a request.

Values are texts under the fields' names; a table is kept as CSV, a conversation as JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from samovar.server.errors import BadRequestError
from samovar.server.inference.contract import CONTRACTS, WRITING

Values = dict[str, str]
LONGEST = 5000
MOST_ROWS, MOST_COLUMNS = 40, 20


@dataclass(frozen=True)
class Field:
    """One field of a form; `type` is `line`, `text`, `table`, `image` or `audio`."""

    name: str
    label: str
    type: str = "line"
    lines: int = 1
    required: bool = True


TEXT = Field("text", "Text", "text", 4)
LABELS = Field("labels", "Labels, with commas between them")
QUESTION = Field("question", "Question")
IMAGE = Field("image", "Image: choose, drop or paste one", "image")
AUDIO = Field("audio", "Sound: choose or drop a file", "audio")
FIELDS: dict[str, tuple[Field, ...]] = {
    "text": (TEXT,),
    "writing": (TEXT,),
    "chat": (Field("text", "Message", "text", 3),),
    "question": (QUESTION, Field("context", "Context", "text", 6)),
    "table": (QUESTION, Field("table", "Table", "table")),
    "labels": (TEXT, LABELS),
    "pair": (Field("text", "Sentence"), Field("sentences", "Sentences to compare, one on each line", "text", 4)),
    "choices": (
        Field("text", "Beginning or question", "text", 2),
        Field("sentences", "Choices, one on each line", "text", 4),
    ),
    "languages": (
        TEXT,
        Field("src_lang", "From which language, if the model knows several", required=False),
        Field("tgt_lang", "Into which language, if the model knows several", required=False),
    ),
    "image": (IMAGE,),
    "image-labels": (IMAGE, LABELS),
    "image-question": (IMAGE, QUESTION),
    "audio": (AUDIO,),
    "audio-labels": (AUDIO, LABELS),
}
EXAMPLES: dict[str, Values] = {
    "question": {
        "question": "Where does the samovar stand?",
        "context": "The samovar stands on the table in the garden.",
    },
    "table": {"question": "How many samovars has Tula?", "table": "city,samovars\nTula,90\nSuksun,12"},
    "labels": {"text": "The tea was served at five on the veranda.", "labels": "food, sport, politics"},
    "pair": {"text": "Tea is ready.", "sentences": "The tea is made.\nIt rains.\nDinner is served."},
    "choices": {"text": "The samovar boils, so", "sentences": "we drink tea.\nthe lake freezes."},
    "chat": {"text": "How is tea made in a samovar?"},
    "image-labels": {"labels": "cup, teapot, spoon"},
    "image-question": {"question": "What stands on the table?"},
    "audio-labels": {"labels": "music, speech, noise"},
    "image": {}, "audio": {},
    "fill-mask": {"text": "We drink [MASK] in the evening."},
    "text-generation": {"text": "Once upon a time"},
    "": {"text": "I could drink this tea every day."},
}  # fmt: skip
# What a visitor sees soon, rather than a whole page.
SOON = 60
IN_CHATS = 256


def kind_of(task: str, chats: bool = False) -> str:
    """Which form a task has; language models that know a template of messages chat."""
    if task == "translation":
        return "languages"
    return "chat" if chats and task == "text-generation" else CONTRACTS[task].kind


def usual(task: str, kind: str, mask: str = "") -> Values:
    """What stands in the form of a model whose card has no examples."""
    found = next((EXAMPLES[key] for key in (kind, task) if key in EXAMPLES), EXAMPLES[""])
    return {name: value.replace("[MASK]", mask or "[MASK]") for name, value in found.items()}


# Examples of cards ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """One example of a card. `output` is what its author says the model answers."""

    title: str
    values: Values
    output: Any = None


def example_of(one: Mapping[str, Any], kind: str, name: str = "", files: Collection[str] = ()) -> Example | None:
    """An entry of a card's `widget` as values of the form, or None if it does not fit the form.

    `name` and `files` are the repository's: a picture or sound must lie in it, since nothing is loaded from elsewhere.
    """
    found: Values = {}
    for theirs, ours in (
        ("text", "text"), ("prompt", "text"), ("source_sentence", "text"), ("question", "question"),
        ("context", "context"),
    ):  # fmt: skip
        if isinstance(one.get(theirs), str):
            found[ours] = one[theirs][:LONGEST]
    for theirs in ("sentences", "choices"):
        if isinstance(one.get(theirs), list):
            found["sentences"] = "\n".join(str(part) for part in one[theirs])[:LONGEST]
    if isinstance(one.get("candidate_labels"), str | list):
        labels = one["candidate_labels"]
        found["labels"] = (labels if isinstance(labels, str) else ", ".join(map(str, labels)))[:1000]
    if isinstance(one.get("table"), dict):
        found["table"] = table_text(one["table"])
    if isinstance(one.get("messages"), list):
        found |= of_messages(one["messages"])
    if kind == "image-question" and "text" in found:
        found.setdefault("question", found["text"])
    path = path_in(one.get("src"), name, files)
    if path:
        found["file"] = path
    for field in FIELDS[kind]:
        if field.required and ("file" if field.type in ("image", "audio") else field.name) not in found:
            return None
    title = one.get("example_title")
    first = found.get(FIELDS[kind][0].name) or found.get("file", "").rpartition("/")[2]
    return Example((title if isinstance(title, str) else first)[:60], found, one.get("output"))


def table_text(table: Mapping[str, Any]) -> str:
    """A table by columns as CSV."""
    columns = {str(name): cells for name, cells in table.items() if isinstance(cells, list)}
    rows = [list(columns), *(list(map(str, row)) for row in zip(*columns.values(), strict=False))]
    return csv_text(rows)[:LONGEST]


def of_messages(messages: list[Any]) -> Values:
    """A conversation, with the last message of the visitor still to be sent."""
    said = [
        {"role": str(one.get("role")), "content": one["content"]}
        for one in messages
        if isinstance(one, dict) and isinstance(one.get("content"), str)
    ]
    while said and said[-1]["role"] == "assistant":
        said.pop()
    if not said:
        return {}
    return {"text": said[-1]["content"][:LONGEST], "messages": json.dumps(said[:-1], ensure_ascii=False)[: 4 * LONGEST]}


def path_in(source: object, name: str, files: Collection[str]) -> str | None:
    """The file of the repository that an address in its card means, relative or in full."""
    if not isinstance(source, str):
        return None
    for way in ("resolve", "blob", "raw"):
        _, found, rest = source.partition(f"/{name}/{way}/")
        if found:
            source = rest.partition("/")[2].partition("?")[0]
    path = source.removeprefix("./")
    return path if path in files else None


# Values of a form ----------------------------------------------------------------------------------------------------


def body_for(task: str, kind: str, values: Values, file: bytes | None) -> dict[str, Any]:
    """The request that the form's values mean; bytes of a file stand in it as they are.

    Raises `BadRequestError` for an empty field.
    """
    for field in FIELDS[kind]:
        if field.type in ("image", "audio"):
            if not file:
                raise BadRequestError("There is no image." if field.type == "image" else "There is no sound.",
                                      "Choose one.")  # fmt: skip
        elif field.required and not values.get(field.name, "").strip():
            raise BadRequestError(f"{field.label}: this is empty.", "Write something there.")
    lines = lines_of(values)
    labels = {"candidate_labels": [one.strip() for one in values.get("labels", "").split(",") if one.strip()]}
    text = values.get("text", "")
    if kind == "question":
        return {"inputs": {"question": values["question"], "context": values["context"]}}
    if kind == "table":
        return {"inputs": {"query": values["question"], "table": columns_of(values["table"])}}
    if kind == "labels":
        return {"inputs": text, "parameters": labels}
    if kind == "pair":
        return {"inputs": {"source_sentence": text, "sentences": lines}}
    if kind == "choices":
        return {"inputs": {"question": text, "choices": lines}}
    if kind in ("image", "audio"):
        return {"inputs": file}
    if kind in ("image-labels", "audio-labels"):
        return {"inputs": file, "parameters": labels}
    if kind == "image-question":
        return {"inputs": {"image": file, "question": values["question"]}}
    parameters: dict[str, Any] = {"max_new_tokens": SOON} if task in WRITING else {}
    if kind == "languages":
        parameters |= {name: values[name].strip() for name in ("src_lang", "tgt_lang") if values.get(name, "").strip()}
    return {"inputs": text, "parameters": parameters}


def chat_body(values: Values) -> dict[str, Any]:
    """The request of a conversation that goes on with the visitor's text. Raises `BadRequestError`."""
    if not values.get("text", "").strip():
        raise BadRequestError("Message: this is empty.", "Write something there.")
    messages = [*conversation(values), {"role": "user", "content": values["text"].strip()}]
    return {"messages": messages, "max_tokens": IN_CHATS}


def conversation(values: Values) -> list[dict[str, str]]:
    """What was said so far; nothing if that cannot be read."""
    try:
        said = json.loads(values.get("messages") or "[]")
    except (ValueError, RecursionError):
        return []
    return [
        {"role": str(one["role"]), "content": str(one["content"])}
        for one in (said if isinstance(said, list) else [])
        if isinstance(one, dict) and {"role", "content"} <= set(one)
    ]


def lines_of(values: Values) -> list[str]:
    """The sentences or choices."""
    return [line.strip() for line in values.get("sentences", "").splitlines() if line.strip()]


# Tables --------------------------------------------------------------------------------------------------------------


def grid_of(text: str) -> list[list[str]]:
    """CSV as rows of cells, all of one length; the first row names the columns."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), skipinitialspace=True) if row]
    rows = [row[:MOST_COLUMNS] for row in rows[:MOST_ROWS]] or [[""]]
    width = max(map(len, rows))
    return [row + [""] * (width - len(row)) for row in rows]


def with_cells(values: Values) -> Values:
    """The values with the form's cells `cell_ROW_COLUMN` put together as one table, and made larger where asked."""
    cells: dict[tuple[int, int], str] = {}
    for name, value in values.items():
        parts = name.split("_")
        if len(parts) == 3 and parts[0] == "cell" and parts[1].isdecimal() and parts[2].isdecimal():
            cells[int(parts[1]), int(parts[2])] = value.strip()
    rest = {name: value for name, value in values.items() if not name.startswith("cell_") and name != "grow"}
    if not cells:
        return rest
    grow = values.get("grow", "")
    height = min(max(row for row, _ in cells) + 1 + (grow == "row"), MOST_ROWS)
    width = min(max(column for _, column in cells) + 1 + (grow == "column"), MOST_COLUMNS)
    rows = [[cells.get((row, column), "") for column in range(width)] for row in range(height)]
    return {**rest, "table": csv_text(rows)}


def csv_text(rows: list[list[str]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def columns_of(text: str) -> dict[str, list[str]]:
    """A table by columns; rows and columns that are empty to the end are left out.

    Raises `BadRequestError` for columns without or with equal names, and for a table without rows.
    """
    rows = grid_of(text)
    rows = [rows[0], *(row for row in rows[1:] if any(row))]
    width = max((at + 1 for row in rows for at, cell in enumerate(row) if cell), default=0)
    rows = [row[:width] for row in rows]
    if len(rows) < 2:
        raise BadRequestError("The table has no rows.", "Fill in at least one below the names of the columns.")
    names = rows[0]
    if not all(names) or len(set(names)) < len(names):
        raise BadRequestError("A column of the table has no name, or the name of another one.", "Name each column.")
    return {name: [row[at] for row in rows[1:]] for at, name in enumerate(names)}
