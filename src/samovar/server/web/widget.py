"""The widget of a model: its form, filled in, or the reason why the model cannot be tried here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from samovar.server.db.tables import Repository, RepositoryContent
from samovar.server.inference.contract import CONTRACTS
from samovar.server.inference.files import of_model
from samovar.server.inference.library import Library
from samovar.server.inference.pool import Pool, needed, too_large
from samovar.server.web.asking import (
    FIELDS,
    Example,
    Field,
    Values,
    conversation,
    example_of,
    grid_of,
    kind_of,
    usual,
)

MOST_EXAMPLES = 8
WEIGHTS = (".safetensors", ".bin")


@dataclass(frozen=True)
class Widget:
    """The form of one model, or why there is none."""

    name: str
    """Of the model."""
    task: str
    kind: str = ""
    values: Values = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    reason: tuple[str, dict[str, str]] | None = None
    """Why it cannot be tried: an English text and its values; None if it can."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the form asks for."""
        return FIELDS[self.kind]

    @property
    def uploads(self) -> bool:
        """Whether the form sends a file."""
        return any(one.type in ("image", "audio") for one in self.fields)

    @property
    def grid(self) -> list[list[str]]:
        """The table."""
        return grid_of(self.values.get("table", ""))

    @property
    def said(self) -> list[dict[str, str]]:
        """The conversation so far."""
        return conversation(self.values)

    @property
    def stream(self) -> str:
        """Where scripts let the answer be streamed from; empty where it comes at once."""
        if self.kind == "chat":
            return f"/models/{self.name}/v1/chat/completions"
        return f"/models/{self.name}" if self.kind == "writing" else ""


def why_not(
    pool: Pool, library: Library, task: str | None, files: list[list[Any]]
) -> tuple[str, dict[str, str]] | None:
    """Why a model cannot be tried on this Hub, or None if it can. `files` are rows that begin with path and size."""
    sizes = {row[0]: int(row[1]) for row in files}
    wanted = [name for name in of_model(list(sizes)) if name.endswith(WEIGHTS)]
    if not pool.able:
        return "This Hub runs no models.", {}
    if task is None:
        return "The card names no task. A line of its head would: pipeline_tag: text-classification", {}
    if task not in CONTRACTS or not library.runs(task):
        return "No pipeline of this Hub runs models for {task} yet.", {"task": task}
    if not wanted:
        return "There are no weights here that could be run (.safetensors).", {}
    size, budget = needed(sum(sizes[name] for name in wanted)), pool.settings.inference_memory
    if size > budget:
        return too_large(size, budget).message, {}
    return None


def widget_of(
    pool: Pool, library: Library, repository: Repository, content: RepositoryContent, values: Values | None = None,
    number: str = "",
) -> Widget:  # fmt: skip
    """The widget of a model, filled in with `values`, else with the example of that number, else with the first."""
    task, config = repository.pipeline_tag, content.config
    reason = why_not(pool, library, task, content.files)
    if task not in CONTRACTS:
        return Widget(repository.name, task or "", reason=reason or ("This Hub runs no models.", {}))
    kind = kind_of(task, chats(config))
    given = content.card.get("widget")
    files = {row[0] for row in content.files}
    found = [
        example_of(one if isinstance(one, dict) else {"text": one}, kind, repository.name, files)
        for one in (given if isinstance(given, list) else [])
        if isinstance(one, dict | str)
    ]
    examples = tuple(one for one in found if one is not None)[:MOST_EXAMPLES]
    mask = (config.get("tokenizer_config") or {}).get("mask_token")
    chosen = int(number) if number.isdecimal() and len(number) < 4 and int(number) < len(examples) else 0
    first = examples[chosen].values if examples else usual(task, kind, mask if isinstance(mask, str) else "")
    return Widget(repository.name, task, kind, first if values is None else values, examples, reason)


def chats(config: dict[str, Any]) -> bool:
    """Whether the model's tokenizer knows how a conversation is written out."""
    return bool(config.get("chat_template_jinja") or (config.get("tokenizer_config") or {}).get("chat_template"))
