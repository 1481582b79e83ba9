"""What is said about a repository: under each key that clients know, the columns it needs and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import InstrumentedAttribute

from samovar.server.db.tables import Repository, RepositoryContent
from samovar.server.errors import BadRequestError
from samovar.server.http.dates import iso
from samovar.server.repos.names import printable
from samovar.server.services.metadata.card import strings
from samovar.server.taxonomy.tasks import auto_class

Facts = Mapping[str, Any]
"""Column → value, of `Repository` and `RepositoryContent`."""
ALWAYS = ("id", "type", "name")


@dataclass(frozen=True)
class Key:
    """One key of a description; a value of None leaves the key out."""

    columns: tuple[str, ...]
    make: Callable[[Facts], Any]


def plain(column: str) -> Key:
    """A column's value."""
    return Key((column,), lambda facts: facts[column])


def of_card(name: str, default: object = None) -> Key:
    """A value of the card."""
    return Key(("card",), lambda facts: facts["card"].get(name, default))


def siblings(facts: Facts) -> list[dict[str, Any]]:
    """The names of all files."""
    return [{"rfilename": file[0]} for file in facts["files"]]


def siblings_with_blobs(facts: Facts) -> list[dict[str, Any]]:
    """All files with size, git's hash, and what a large one's pointer says."""
    return [
        {"rfilename": path, "size": size, "blobId": blob}
        | ({"lfs": {"size": size, "sha256": sha256, "pointerSize": pointer}} if sha256 else {})
        for path, size, blob, sha256, pointer in facts["files"]
    ]


def transformers_info(facts: Facts) -> dict[str, str] | None:
    """Which class of the library opens the model."""
    found = auto_class(facts["architecture"])
    if found is None or facts["library_name"] not in ("transformers", "sentence-transformers"):
        return None
    info = {"auto_model": found}
    if facts["pipeline_tag"]:
        info["pipeline_tag"] = facts["pipeline_tag"]
    if facts["config"].get("tokenizer_config"):
        info["processor"] = "AutoTokenizer"
    return info


def description(facts: Facts) -> str:
    """The beginning of the card's text, without headings and marks of Markdown."""
    text = re.sub(r"<[^>]*>|!\[[^\]]*\]\([^)]*\)", " ", facts["card_text"][:5000])
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "|", "---"))]
    return " ".join(" ".join(lines).split())[:500]


def citation(facts: Facts) -> str | None:
    """The first BibTeX entry of the card's text."""
    found = re.search(r"```[a-z]*\s*(@\w+\{.*?)```", facts["card_text"], re.DOTALL | re.IGNORECASE)
    return found[1].strip()[:5000] if found else None


def subdomain(facts: Facts) -> str:
    """`owner/name` as part of a host's name."""
    return re.sub(r"[^a-z0-9]+", "-", facts["name"].lower()).strip("-")


COMMON: dict[str, Key] = {
    "author": Key((), lambda facts: facts["name"].partition("/")[0]),
    "sha": plain("sha"),
    "lastModified": Key(("last_modified",), lambda facts: iso(facts["last_modified"])),
    "createdAt": Key(("created_at",), lambda facts: iso(facts["created_at"])),
    "private": plain("private"),
    "gated": Key(("gated",), lambda facts: facts["gated"] or False),
    "disabled": plain("disabled"),
    "likes": plain("likes"),
    "trendingScore": Key(("trending_score",), lambda facts: round(facts["trending_score"])),
    "tags": plain("tags"),
    "cardData": plain("card"),
    "siblings": Key(("files",), siblings),
    "usedStorage": plain("used_storage"),
    "resourceGroup": Key((), lambda facts: None),
}
DOWNLOADS: dict[str, Key] = {"downloads": plain("downloads"), "downloadsAllTime": plain("downloads_all_time")}
KEYS: dict[str, dict[str, Key]] = {
    "model": COMMON | DOWNLOADS | {
        "pipeline_tag": plain("pipeline_tag"),
        "library_name": plain("library_name"),
        "mask_token": Key(
            ("config",), lambda facts: (facts["config"].get("tokenizer_config") or {}).get("mask_token")
        ),
        "config": plain("config"),
        "transformersInfo": Key(("architecture", "library_name", "pipeline_tag", "config"), transformers_info),
        "safetensors": Key(("safetensors",), lambda facts: facts["safetensors"] or None),
        "model-index": of_card("model-index"),
        "widgetData": of_card("widget"),
        "baseModels": Key(("card",), lambda facts: strings(facts["card"].get("base_model"))),
        # Of all models and spaces: `counted` adds them.
        "childrenModelCount": Key((), lambda facts: facts.get("children", 0)),
        "spaces": Key((), lambda facts: facts.get("spaces", [])),
        "evalResults": Key((), lambda facts: []),
        # No inference provider serves models of this Hub.
        "inference": Key((), lambda facts: None),
        "inferenceProviderMapping": Key((), lambda facts: {}),
        "gguf": Key((), lambda facts: None),
        "xetEnabled": Key((), lambda facts: False),
    },
    "dataset": COMMON | DOWNLOADS | {
        "description": Key(("card_text",), description),
        "citation": Key(("card_text",), citation),
        "paperswithcode_id": of_card("paperswithcode_id"),
        "mainSize": Key(("files",), lambda facts: sum(file[1] for file in facts["files"])),
        "xetEnabled": Key((), lambda facts: False),
    },
    "space": COMMON | {
        "sdk": plain("sdk"),
        "subdomain": Key((), subdomain),
        "models": Key(("card",), lambda facts: strings(facts["card"].get("models"))),
        "datasets": Key(("card",), lambda facts: strings(facts["card"].get("datasets"))),
        # Spaces are kept, and not run.
        "runtime": Key((), lambda facts: {"stage": "STOPPED", "hardware": {"current": None, "requested": None}}),
        "region": Key((), lambda facts: "us"),
        "xetEnabled": Key((), lambda facts: False),
    },
}  # fmt: skip
"""Kind → key → what it says."""

SPECIAL = frozenset({
    "baseModels", "childrenModelCount", "evalResults", "inference", "inferenceProviderMapping", "gguf", "xetEnabled",
    "resourceGroup", "downloadsAllTime",
})  # fmt: skip
# What a repository's own page says unless asked otherwise.
INFO: dict[str, tuple[str, ...]] = {
    kind: tuple(key for key in keys if key not in SPECIAL) for kind, keys in KEYS.items()
}
BRIEF: dict[str, tuple[str, ...]] = {
    "model": ("likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt"),
    "dataset": ("author", "sha", "lastModified", "createdAt", "private", "gated", "disabled", "likes", "downloads",
                "trendingScore", "tags"),
    "space": ("likes", "trendingScore", "private", "sdk", "tags", "createdAt"),
}  # fmt: skip
"""What lists say."""
FULL: dict[str, tuple[str, ...]] = {
    "model": (*BRIEF["model"], "author", "sha", "lastModified", "gated", "disabled", "siblings"),
    "dataset": (*BRIEF["dataset"], "cardData", "siblings", "description", "citation", "paperswithcode_id"),
    "space": (*BRIEF["space"], "author", "sha", "lastModified", "disabled", "cardData", "siblings", "subdomain",
              "models", "datasets"),
}  # fmt: skip
"""What lists say with `full=true`."""
COUNTED = frozenset({"childrenModelCount", "spaces"})


def expanded(type_: str, names: Iterable[str]) -> tuple[str, ...]:
    """The keys that `expand` asks for. Raises `BadRequestError` for one that there is not."""
    known = KEYS[type_]
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise BadRequestError(f"{printable(name)} cannot be expanded.", f"Choose of: {', '.join(sorted(known))}.")
    return wanted


def describe(type_: str, facts: Facts, keys: Iterable[str], blobs: bool = False) -> dict[str, Any]:
    """The description under those keys. `blobs` adds sizes and hashes to the files."""
    said: dict[str, Any] = {"_id": f"{facts['id']:024x}", "id": facts["name"]}
    if type_ == "model":
        said["modelId"] = facts["name"]
    known = KEYS[type_]
    for key in keys:
        value = siblings_with_blobs(facts) if blobs and key == "siblings" else known[key].make(facts)
        if value is not None:
            said[key] = value
    return said


def columns_for(type_: str, keys: Iterable[str]) -> list[InstrumentedAttribute[Any]]:
    """The columns that those keys need."""
    names = dict.fromkeys((*ALWAYS, *(column for key in keys for column in KEYS[type_][key].columns)))
    return [getattr(Repository, name, None) or getattr(RepositoryContent, name) for name in names]


def selecting(type_: str, keys: Iterable[str], condition: ColumnElement[bool]) -> Select[Any]:
    """The question for those columns; the table of contents is touched only where it must be."""
    columns = columns_for(type_, keys)
    query = select(*columns).where(condition)
    if any(column.class_ is RepositoryContent for column in columns):
        query = query.outerjoin(RepositoryContent, RepositoryContent.repository_id == Repository.id)
    return query


EMPTY: dict[str, Any] = {"card": {}, "card_text": "", "config": {}, "safetensors": {}, "files": [], "warnings": []}


def facts_of(row: Any) -> dict[str, Any]:
    """A row of `selecting` as facts; a repository whose contents were never read has empty ones."""
    facts = dict(row._mapping)
    for name, empty in EMPTY.items():
        if name in facts and facts[name] is None:
            facts[name] = empty
    return facts
