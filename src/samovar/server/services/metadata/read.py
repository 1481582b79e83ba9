"""All that the files of one commit say about a model, data set or space."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pygit2

from samovar.server.hub import Hub
from samovar.server.services.metadata import tags
from samovar.server.services.metadata.card import LARGEST, Card, read_card, strings
from samovar.server.services.metadata.config import Config, read_config
from samovar.server.services.metadata.files import Snapshot
from samovar.server.services.metadata.libraries import library_of
from samovar.server.services.metadata.weights import read_parameters
from samovar.server.taxonomy.tasks import task_of

SDKS = ("gradio", "streamlit", "docker", "static")


@dataclass(frozen=True)
class Metadata:
    """What the columns of `Repository` and `RepositoryContent` of the same names will hold."""

    sha: str | None = None
    last_modified: datetime | None = None
    sdk: str | None = None
    pipeline_tag: str | None = None
    library_name: str | None = None
    tags: list[str] = field(default_factory=list)
    parameters: int | None = None
    architecture: str | None = None
    labels: int | None = None
    card: dict[str, Any] = field(default_factory=dict)
    card_text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    safetensors: dict[str, Any] = field(default_factory=dict)
    files: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


ROW = ("sha", "sdk", "pipeline_tag", "library_name", "tags", "parameters", "architecture", "labels")
CONTENT = ("card", "card_text", "config", "safetensors", "files", "warnings")


def read_metadata(hub: Hub, repository_id: int, type_: str, git: pygit2.Repository, commit: pygit2.Commit) -> Metadata:
    """Read one commit. Files that are broken become warnings, never errors."""
    snapshot = Snapshot(hub, repository_id, git, commit)
    readme = snapshot.read("README.md", LARGEST)
    card = read_card(readme) if readme is not None else Card()
    warnings = list(card.warnings)
    config, weights, library, task, sdk = Config(), dict[str, Any](), None, None, None
    paths = list(snapshot.files)
    if type_ == "model":
        config = read_config(snapshot)
        weights, more = read_parameters(snapshot)
        warnings += [*config.warnings, *more]
        library = first(card.data.get("library_name")) or library_of(paths, config.whole)
        task = first(card.data.get("pipeline_tag")) or (
            "sentence-similarity" if library == "sentence-transformers"
            else task_of(config.architecture, config.model_type)
        )  # fmt: skip
        found = tags.model_tags(card.data, card.text, config, paths, library, task)
    elif type_ == "dataset":
        found = tags.dataset_tags(card.data, card.text, snapshot.files.values())
    else:
        named = first(card.data.get("sdk"))
        sdk = named if named in SDKS else None
        found = tags.space_tags(card.data, sdk)
    return Metadata(
        sha=snapshot.commit,
        last_modified=moment(snapshot.time),
        sdk=sdk,
        pipeline_tag=task,
        library_name=library,
        tags=found,
        parameters=weights.get("total"),
        architecture=config.architecture,
        labels=config.labels,
        card=card.data,
        card_text=card.text,
        config=config.kept,
        safetensors=weights,
        files=[file.row() for file in snapshot.files.values()],
        warnings=warnings,
    )


def first(value: object) -> str | None:
    """The one text that a field of the card holds, as short as a column needs it; or None."""
    found = strings(value)
    return found[0] if found and len(found[0]) <= 60 else None


def moment(seconds: int) -> datetime | None:
    """A commit's time; None where it cannot be one (git stores what it is told)."""
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if 1970 <= found.year < 9000 else None
