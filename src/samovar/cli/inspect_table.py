"""A report of `samovar inspect` as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def printed(found: dict[str, Any]) -> str:
    """The report, a part after the other."""
    config = dict(found["config"])
    labels = config.pop("labels", None)
    lines = [f"{found['class']}  {found['model']}", ""]
    lines += ["config", *columns([(name, str(value)) for name, value in config.items()], "  ")]
    if labels is not None:
        shown = ", ".join(map(str, labels[:8])) + (", …" if len(labels) > 8 else "")
        lines.append(f"  {len(labels)} labels: {shown}")
    lines += ["", *parameter_lines(found["parameters"])]
    lines += ["", "memory of the weights", *memory_lines(found["memory"])]
    lines += ["", *part_lines(found)]
    lines += ["", "files", *columns([(name, size(count)) for name, count in found["files"].items()], "  ", 1)]
    if found["notes"]:
        lines += ["", *(f"note: {note}" for note in found["notes"])]
    return "\n".join(lines)


def parameter_lines(parameters: dict[str, Any]) -> list[str]:
    """The blocks, then their sum."""
    total = parameters["total"]
    rows = [("block", "parameters", "share", "stored")]
    for block in parameters["blocks"]:
        each = f"  ({block['count']} × {block['parameters'] // block['count']:,})" if block["count"] > 1 else ""
        share = f"{100 * block['parameters'] / max(total, 1):.1f} %"
        held = f"{size(block['bytes'])} {'+'.join(block['dtypes'])}"
        rows.append((block["name"], f"{block['parameters']:,}", share, held + each))
    rows.append(("total", f"{total:,}", "", ""))
    if parameters["trainable"] is not None:
        rows.append(("trainable", f"{parameters['trainable']:,}", "", ""))
    lines = ["parameters", *columns(rows, "  ", 1, 2)]
    lines += [f"  tied: {name} is {other}, counted once" for name, other in parameters["tied"].items()]
    return lines


def memory_lines(memory: dict[str, Any]) -> list[str]:
    """As stored, then in other types."""
    rows = [(f"as stored, {name}", size(count)) for name, count in memory["stored"].items()]
    rows += [(name, size(memory[name])) for name in ("float32", "bfloat16")]
    rows.append(("int8", f"{size(memory['int8'])}   (matrices, with a scale a row; the rest float32)"))
    return columns(rows, "  ")


def part_lines(found: dict[str, Any]) -> list[str]:
    """Tokenizer and image processor."""
    lines = []
    tokenizer, images = found["tokenizer"], found["image_processor"]
    if tokenizer is not None and "class" in tokenizer:
        lines.append("tokenizer")
        rows = [(name, str(tokenizer[name])) for name in ("class", "vocabulary", "max_length") if tokenizer[name]]
        rows.append(("chat template", "yes" if tokenizer["chat_template"] else "no"))
        rows.append(("special tokens", "  ".join(f"{n} {t}" for n, t in tokenizer["special_tokens"].items())))
        lines += columns(rows, "  ")
    elif tokenizer is not None:
        lines.append("tokenizer: broken")
    if images is not None:
        lines += ["image processor", *columns([(name, str(value)) for name, value in images.items()], "  ")]
    return lines or ["no tokenizer"]


def columns(rows: Sequence[Sequence[str]], margin: str, *right: int) -> list[str]:
    """Rows in columns; the columns in `right` end at the same place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        [cell.rjust(width) if place in right else cell.ljust(width)
         for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]  # fmt: skip
    return [(margin + "  ".join(row)).rstrip() for row in cells]


def size(count: int) -> str:
    """Bytes for a reader: `90.9 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
