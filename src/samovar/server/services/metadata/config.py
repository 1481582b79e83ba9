"""The essentials of `config.json` and `tokenizer_config.json`: what pages, lists and tags need, and no more."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from samovar.server.services.metadata.files import Snapshot
from samovar.server.services.metadata.yaml import jsonable

LARGEST = 8 * 2**20
MOST_LABELS = 1000
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
KEPT = ("architectures", "model_type", "auto_map", "quantization_config", "additional_chat_templates")


@dataclass(frozen=True)
class Config:
    """What the configuration says."""

    kept: dict[str, Any] = field(default_factory=dict)
    """As it is shown: the keys of `KEPT`, `tokenizer_config` with the special tokens and the chat template."""
    whole: dict[str, Any] = field(default_factory=dict)
    labels: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def architecture(self) -> str | None:
        """The first architecture it names."""
        named = self.kept.get("architectures")
        return named[0][:100] if isinstance(named, list) and named and isinstance(named[0], str) else None

    @property
    def model_type(self) -> str | None:
        """The family."""
        named = self.kept.get("model_type")
        return named if isinstance(named, str) and 0 < len(named) <= 100 else None


def read_config(snapshot: Snapshot) -> Config:
    """Both files of a commit. A broken one becomes a warning."""
    warnings: list[str] = []
    config = read_json(snapshot, "config.json", warnings)
    tokenizer = read_json(snapshot, "tokenizer_config.json", warnings)
    kept = {key: bounded(config[key]) for key in KEPT if key in config}
    shown = {key: token for key in SPECIAL if (token := token_text(tokenizer.get(key)))}
    template = tokenizer.get("chat_template")
    if (chat := snapshot.read("chat_template.jinja", LARGEST)) is not None:
        kept["chat_template_jinja"] = jsonable(chat.decode(errors="replace"))[:50_000]
    elif isinstance(template, str | list):
        shown["chat_template"] = bounded(template)
    if shown:
        kept["tokenizer_config"] = shown
    names = config.get("id2label")
    labels: int | None = None
    if isinstance(names, dict) and names:
        labels = len(names)
        kept["id2label"] = {str(key)[:20]: str(name)[:200] for key, name in list(names.items())[:MOST_LABELS]}
    elif isinstance(config.get("num_labels"), int) and 0 < config["num_labels"] < 2**31:
        labels = config["num_labels"]
    return Config(jsonable(kept), config, labels, tuple(warnings))


def read_json(snapshot: Snapshot, path: str, warnings: list[str]) -> dict[str, Any]:
    """A JSON object, or an empty one and a warning; an empty one if there is no such file."""
    if path not in snapshot.files:
        return {}
    content = snapshot.read(path, LARGEST)
    if content is None:
        warnings.append(f"{path} is too large to be read, or its bytes are not here.")
        return {}
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        warnings.append(f"{path} cannot be read: {str(error)[:200]}.")
        return {}
    if not isinstance(value, dict):
        warnings.append(f"{path} is no JSON object.")
        return {}
    return value


def token_text(value: object) -> str | None:
    """A special token, written as text or as an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value[:100] if isinstance(value, str) else None


def bounded(value: Any, largest: int = 50_000) -> Any:
    """The value, or none if it would be long as JSON."""
    try:
        return value if len(json.dumps(value)) <= largest else None
    except (ValueError, RecursionError):
        return None
