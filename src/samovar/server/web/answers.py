"""Answers of models as people read them: bars, marked words, marked cells, pictures with boxes and masks, sound."""

from __future__ import annotations

import base64
from typing import Any

from markupsafe import Markup

from samovar.server.inference.contract import CONTRACTS
from samovar.server.web.asking import Values, columns_of, lines_of
from samovar.server.web.drawings import boxes, masks, points
from samovar.server.web.markup import escape

COLOURS = 6
MOST_BARS = 20


def shown(task: str, answer: Any, values: Values, picture: bytes | None = None) -> Markup:
    """An answer in the form of the API as HTML. `picture` is what was asked about."""
    one = answer[0] if isinstance(answer, list) and answer else answer
    media = CONTRACTS[task].media if task in CONTRACTS else ""
    if media:
        return file(str(answer["file"]), media)
    if task == "question-answering":
        return marked(values["context"], [(one["start"], one["end"], "", one["score"])])
    if task == "token-classification":
        return marked(values["text"], [
            (part["start"], part["end"], part.get("entity_group") or part.get("entity", ""), part["score"])
            for part in answer
        ])  # fmt: skip
    if task == "table-question-answering":
        return table(values["table"], one)
    if task == "sentence-similarity":
        return bars(sorted(zip(lines_of(values), answer, strict=True), key=lambda row: -row[1]))
    if task == "multiple-choice":
        return bars([(str(part["choice"]), part["score"]) for part in answer])
    if task == "fill-mask":
        return bars([(part["token_str"], part["score"]) for part in (one if isinstance(one, list) else answer)])
    if task in ("feature-extraction", "image-feature-extraction"):
        return Markup(f"<p>{escape(shape(answer))}</p>")
    if picture and isinstance(one, dict) and "box" in one:
        return boxes(picture, answer) + scored(answer)
    if picture and isinstance(one, dict) and "keypoints" in one:
        return points(picture, answer)
    if picture and isinstance(one, dict) and "mask" in one:
        return masks(picture, [part["mask"] for part in answer]) + scored(answer)
    if picture and isinstance(answer, dict) and "masks" in answer:
        return masks(picture, answer["masks"]) if answer["masks"] else Markup("<p>0</p>")
    if isinstance(answer, dict) and isinstance(answer.get("depth"), str):
        return file(answer["depth"], "image/png")
    return scored(answer)


def scored(answer: Any) -> Markup:
    """Whatever has scores as bars, whatever has texts as texts."""
    rows = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], list) else answer
    rows = [rows] if isinstance(rows, dict) else rows if isinstance(rows, list) else []
    rows = [one for one in rows if isinstance(one, dict)]
    if rows and "score" in rows[0]:
        return bars(
            [(name_of(one), one["score"]) for one in rows[:MOST_BARS]], kinds=any("mask" in one for one in rows)
        )
    texts = [
        text for one in rows for key, text in one.items() if key.endswith(("_text", "text")) and isinstance(text, str)
    ]
    return Markup("".join(f'<p class="written">{escape(text)}</p>' for text in texts))


def name_of(one: dict[str, Any]) -> str:
    """What a scored result is called."""
    return str(next((one[key] for key in ("label", "answer", "choice", "token_str", "text") if key in one), ""))


def bars(rows: list[tuple[str, Any]], kinds: bool = False) -> Markup:
    """Names with bars of their scores; with `kinds`, each with the colour of its mask."""
    inside = "".join(bar(name, score, at if kinds else None) for at, (name, score) in enumerate(rows))
    return Markup(f'<ul class="scores">{inside}</ul>')


def bar(name: str, score: Any, kind: int | None = None) -> str:
    """One name with its bar; without one where there is no score."""
    key = "" if kind is None else f'<i class="key k{kind % COLOURS}"></i> '
    if not isinstance(score, int | float):
        return f"<li><span>{key}{escape(name)}</span></li>"
    inside = max(0.0, min(1.0, score))
    meter = f'<meter min="0" max="1" value="{inside:.4f}" aria-hidden="true">{score:.3f}</meter>'
    return f"<li><span>{key}{escape(name)}</span>{meter}<b>{score:.3f}</b></li>"


def marked(text: str, spans: list[tuple[int, int, str, float]]) -> Markup:
    """A text with the parts that were found marked, each kind in a colour."""
    parts, at, kinds = [], 0, list(dict.fromkeys(kind for _, _, kind, _ in spans))
    for start, end, kind, score in sorted(spans):
        if start < at or end <= start:
            continue
        label = f"<small>{escape(kind)}</small>" if kind else ""
        number = kinds.index(kind) % COLOURS
        parts.append(escape(text[at:start]))
        parts.append(f'<mark class="k{number}" title="{score:.3f}">{escape(text[start:end])}{label}</mark>')
        at = end
    return Markup(f'<p class="written">{"".join(parts)}{escape(text[at:])}</p>')


def table(text: str, answer: dict[str, Any]) -> Markup:
    """The table, with the cells of the answer marked."""
    columns = columns_of(text)
    chosen = {tuple(one) for one in answer.get("coordinates", [])}
    rows = list(zip(*columns.values(), strict=True))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(cell_html(cell, (y, x) in chosen) for x, cell in enumerate(row))}</tr>"
        for y, row in enumerate(rows)
    )
    answered = f"<p><b>{escape(str(answer['answer']))}</b></p>"
    rows_of = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return Markup(f'{answered}<div class="scroll" tabindex="0">{rows_of}</div>')


def cell_html(text: str, chosen: bool) -> str:
    """One cell of a table."""
    return f"<td><mark>{escape(text)}</mark></td>" if chosen else f"<td>{escape(text)}</td>"


def file(data: str, media: str) -> Markup:
    """A picture or sound, from its bytes in base64."""
    base64.b64decode(data, validate=True)
    if media.startswith("audio/"):
        return Markup(f'<audio controls src="data:{media};base64,{data}"></audio>')
    return Markup(f'<p class="picture"><img src="data:{media};base64,{data}" alt=""></p>')


def shape(value: Any) -> str:
    """The dimensions of nested lists, and the first numbers."""
    sizes, inner = [], value
    while isinstance(inner, list):
        sizes.append(len(inner))
        inner = inner[0] if inner else None
    numbers = value
    while isinstance(numbers, list) and numbers and isinstance(numbers[0], list):
        numbers = numbers[0]
    first = ", ".join(f"{one:.4f}" for one in numbers[:6]) if isinstance(numbers, list) else ""
    return f"{' × '.join(map(str, sizes))}: {first}, …"
