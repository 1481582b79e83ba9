"""`samovar search WORDS`: models or data sets of a Hub, as a table or as JSON lines."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from samovar.cli.endpoint import add_endpoint, client
from samovar.errors import InputError

SORTS = {"downloads": "downloads", "likes": "likes", "modified": "last_modified", "created": "created_at",
         "trending": "trending_score"}  # fmt: skip
FIELDS = {
    "models": ["pipeline_tag", "library_name", "downloads", "likes", "lastModified", "private", "tags"],
    "datasets": ["downloads", "likes", "lastModified", "private", "tags"],
}
# What a name is cut down to at most, and below which it is not cut further.
NARROWEST = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Search a Hub."
    parser.epilog = """\
examples:
  samovar search tiny bert --task text-classification
  samovar search --language ru --license mit --sort likes
  samovar search reviews --type datasets --json | jq -r .id
"""
    parser.add_argument("words", nargs="*", help="what to look for; nothing: everything")
    parser.add_argument("--type", choices=tuple(FIELDS), default="models", help="(models)")
    parser.add_argument("--task", help="such as text-classification")
    parser.add_argument("--library", help="such as transformers or sentence-transformers")
    parser.add_argument("--language", action="append", default=[], help="such as ru; may be repeated")
    parser.add_argument("--license", help="such as apache-2.0")
    parser.add_argument("--dataset", action="append", default=[], help="models trained on this data set")
    parser.add_argument("--author", help="a user or an organisation")
    parser.add_argument("--tag", action="append", default=[], help="any other tag; may be repeated")
    parser.add_argument("--sort", choices=tuple(SORTS), default="downloads", help="(downloads)")
    parser.add_argument("--limit", type=int, default=20, help="rows at most (20)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    add_endpoint(parser)


def run(options: argparse.Namespace) -> int:
    """Search, and print."""
    if options.limit < 1:
        raise InputError(f"--limit {options.limit} shows nothing.", "Give a number above 0.")
    api = client(options)
    from huggingface_hub import get_session

    from samovar.hub.refusals import refusals

    with refusals("Searching", api.endpoint, options.token):
        # Lists are asked for again and again before the client gives up; whether anybody is there is known at once.
        get_session().head(api.endpoint, timeout=10)
        found = list(islice(listing(api, options), options.limit))
    if options.json:
        for one in found:
            print(json.dumps(row_of(one, options.type), ensure_ascii=False))
    elif found:
        print(table([row_of(one, options.type) for one in found], room()))
    else:
        print("Nothing fits.", file=sys.stderr)
    return 0


def listing(api: Any, options: argparse.Namespace) -> Iterable[Any]:
    """What the Hub lists."""
    common = {
        "search": " ".join(options.words) or None, "author": options.author, "sort": SORTS[options.sort],
        "limit": options.limit, "filter": tags(options) or None, "expand": FIELDS[options.type],
    }  # fmt: skip
    if options.type == "datasets":
        return api.list_datasets(**common)
    return api.list_models(**common, pipeline_tag=options.task)


def tags(options: argparse.Namespace) -> list[str]:
    """The filters as tags: of data sets, languages and tasks have a prefix."""
    models = options.type == "models"
    found = [language if models else f"language:{language}" for language in options.language]
    found += [options.library if models else f"library:{options.library}"] if options.library else []
    found += [f"license:{options.license}"] if options.license else []
    found += [f"dataset:{name}" for name in options.dataset]
    found += [f"task_categories:{options.task}"] if options.task and not models else []
    return [*found, *options.tag]


def row_of(found: Any, kind: str) -> dict[str, Any]:
    """One repository, its values plain."""
    changed = getattr(found, "last_modified", None)
    row: dict[str, Any] = {"id": found.id}
    if kind == "models":
        row |= {"task": getattr(found, "pipeline_tag", None), "library": getattr(found, "library_name", None)}
    return row | {
        "downloads": getattr(found, "downloads", None), "likes": getattr(found, "likes", None),
        "modified": None if changed is None else changed.strftime("%Y-%m-%d"),
        "private": bool(getattr(found, "private", False)), "tags": list(getattr(found, "tags", None) or []),
    }  # fmt: skip


def room() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere, and nothing needs to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Sequence[dict[str, Any]], width: int | None) -> str:
    """The rows in columns that fit the width: columns are left out from the right, and names cut, until they do."""
    names = [name for name in rows[0] if name not in ("private", "tags")]
    cells = [names, *([shown(row, name) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        while len(widths) > 1 and NARROWEST + sum(widths[1:]) + 2 * (len(widths) - 1) > width:
            widths.pop()
        widths[0] = max(min(widths[0], width - sum(widths[1:]) - 2 * (len(widths) - 1)), 1)
    lines = []
    for line in cells:
        parts = [cut(cell, size) for cell, size in zip(line, widths, strict=False)]
        fitted = [
            part.rjust(size) if name in ("downloads", "likes") else part.ljust(size)
            for part, size, name in zip(parts, widths, names, strict=False)
        ]
        lines.append("  ".join(fitted).rstrip())
    return "\n".join(lines)


def shown(row: dict[str, Any], name: str) -> str:
    """A cell's text."""
    value = row[name]
    if name == "id" and row["private"]:
        return f"{value} (private)"
    return short(value) if isinstance(value, int) else str(value or "")


def short(count: int) -> str:
    """`1234567` → `1.2M`."""
    value = float(count)
    for unit in ("", "k", "M"):
        if value < 1000:
            return f"{value:.0f}" if not unit else f"{value:.1f}{unit}"
        value /= 1000
    return f"{value:.1f}G"


def cut(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"
