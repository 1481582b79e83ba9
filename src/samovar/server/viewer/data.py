"""A converted data set, as its API and its pages read it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any
from urllib.parse import quote

from samovar.server.errors import BusyError, EntryNotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.services.access import Caller, find, require_files
from samovar.server.viewer import query
from samovar.server.viewer.convert import place
from samovar.server.viewer.jobs import Converter, folder, wait

PATIENCE = 8.0
"""Seconds that a request waits for a conversion."""


class NotReadyError(BusyError):
    """The data set is being converted."""

    code = "ResponseNotReady"


class NoDataError(UnprocessableError):
    """The repository's files could not be read as a data set."""

    code = "NoData"


@dataclass(frozen=True)
class Data:
    """A converted data set."""

    name: str
    repository_id: int
    commit: str
    root: File
    info: dict[str, Any]
    original: int

    def config(self, name: str) -> dict[str, Any]:
        """One configuration. Raises `EntryNotFoundError`."""
        if name not in self.info:
            raise EntryNotFoundError("There is no such config.", f"There are {', '.join(list(self.info)[:20])}.")
        found: dict[str, Any] = self.info[name]
        return found

    def split(self, config: str, split: str) -> Split:
        """One split. Raises `EntryNotFoundError`."""
        found = self.config(config)
        if split not in found["splits"]:
            raise EntryNotFoundError("There is no such split.", f"There are {', '.join(found['splits'])}.")
        return Split(self, config, split, found["features"], place(self.root, config, split))


@dataclass(frozen=True)
class Split:
    """One split of it."""

    data: Data
    config: str
    name: str
    features: list[dict[str, Any]]
    folder: File

    @property
    def path(self) -> File:
        """The Parquet file."""
        return self.folder / "0000.parquet"

    @property
    def partial(self) -> bool:
        """Whether it was cut."""
        return bool(self.data.info[self.config]["splits"][self.name]["partial"])

    def statistics(self) -> dict[str, Any]:
        """Of its columns."""
        found: dict[str, Any] = json.loads((self.folder / "statistics.json").read_text())
        return found

    def asset(self, base: str) -> str:
        """Where its pictures and sounds are."""
        inside = f"{quote(self.config, safe='')}/{quote(self.name, safe='')}"
        return f"{base}/api/datasets/{self.data.name}/viewer-media/{self.data.commit}/{inside}"


def opened(hub: Hub, converter: Converter, caller: Caller, name: str, patience: float = PATIENCE) -> Data:
    """The data set, converted. Raises `NotReadyError`, `NoDataError`, and what `access.find` raises."""
    with hub.database.read() as session:
        repository = find(session, "dataset", name, caller)
        require_files(session, caller, repository)
    if repository.sha is None:
        raise NoDataError("The data set is empty.", "Upload files to it.")
    state, error = wait(hub, converter, repository.id, repository.sha, patience)
    if state == "failed":
        raise NoDataError(f"The files cannot be shown: {error}", "CSV, JSON, Parquet, text, images and sounds can.")
    if state != "done":
        raise NotReadyError("The data set is being prepared.", "Try again in a moment.", {"Retry-After": "5"})
    root = folder(hub, repository.id, repository.sha)
    try:
        os.utime(root)  # It is used: see `services.derived`.
        found = json.loads((root / "info.json").read_text())
    except FileNotFoundError as gone:
        raise NotReadyError("The data set has changed.", "Try again in a moment.", {"Retry-After": "5"}) from gone
    return Data(repository.name, repository.id, repository.sha, root, found["configs"], found["original"])


def found_by_words(part: Split, words: str, offset: int, length: int) -> query.Found:
    """Rows that hold words."""
    return query.searched(part.path, text_columns(part.features), words, offset, length)


def found_by_condition(part: Split, where: str, orderby: str, offset: int, length: int) -> query.Found:
    """Rows that fulfil a condition."""
    columns = [feature["name"] for feature in part.features]
    return query.filtered(part.path, columns, where, orderby, offset, length)


def text_columns(features: list[dict[str, Any]]) -> list[str]:
    """The columns that words are searched in."""
    return [
        one["name"] for one in features
        if isinstance(one["type"], dict) and one["type"].get("dtype") in ("string", "large_string")
    ]  # fmt: skip
