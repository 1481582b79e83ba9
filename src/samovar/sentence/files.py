"""`modules.json` and what stands around it: reading, writing and sharing a `SentenceTransformer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from samovar.errors import ConfigError, CorruptFileError, ModelNotFoundError
from samovar.hub.atomic import write_beside
from samovar.hub.publish import Destination, push, states, upload
from samovar.hub.refusals import refusals
from samovar.hub.source import Source
from samovar.sentence.modules import Pooling, StaticEmbedding, Transformer, kind_named

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

    from samovar.sentence.model import SentenceTransformer

LIST, SETTINGS = "modules.json", "config_sentence_transformers.json"
# The owner of the checkpoints that are named without one.
OWNER = "sentence-transformers"


def located(name: str, options: dict[str, Any]) -> Source:
    """A folder, a repository, or for a bare name first that owner's repository."""
    source = Source(name, **options)
    if not source.is_local and "/" not in name:
        owned = Source(f"{OWNER}/{name}", **options)
        try:
            if owned.first(LIST, "config.json") is not None:
                return owned
        except ModelNotFoundError:
            pass  # The name may be that of a repository without an owner: its error says more.
    return source


def load_modules(
    name: str, options: dict[str, Any], model_args: dict[str, Any], tokenizer_args: dict[str, Any], backend: str
) -> tuple[list[nn.Module], dict[str, Any]]:
    """The modules of a checkpoint, and its settings."""
    source = located(name, options)
    path = source.file(LIST)
    if source.commit is not None:
        options = options | {"revision": source.commit}  # All files of one state of the repository.
    arguments = {key: value for key, value in options.items() if value is not None and value is not False}
    encoder: dict[str, Any] = {"model_args": model_args, "tokenizer_args": tokenizer_args, **arguments}
    encoder["backend"] = backend
    if path is None:
        transformer = Transformer(source.name, **encoder)
        return [transformer, Pooling(transformer.get_word_embedding_dimension(), "mean")], {}
    modules: list[nn.Module] = []
    for entry in entries(path):
        kind = kind_named(entry["type"], str(path))
        own = Source(source.name, **options, subfolder=entry["path"])
        modules.append(kind.load(own, **(encoder if kind is Transformer else {})))
    return modules, settings_of(source)


def entries(path: Path) -> list[dict[str, Any]]:
    """The list in `modules.json`, in order. Raises `CorruptFileError`."""
    try:
        listed = json.loads(path.read_text("utf-8"))
        ordered = sorted(listed, key=lambda entry: entry["idx"])
        if not ordered or not all(isinstance(entry["path"], str) and entry["type"] for entry in ordered):
            raise ValueError("no path or type")
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptFileError(
            f"{path} is no list of modules: {error}.", 'Each has "idx", "name", "path" and "type".'
        ) from error
    return ordered


def settings_of(source: Source) -> dict[str, Any]:
    """Prompts and the similarity function; empty where the file is not there."""
    path = source.file(SETTINGS)
    if path is None:
        return {}
    try:
        settings = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CorruptFileError(f"{path} is no JSON: {error}.", "Download it again.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("prompts") or {}, dict):
        raise ConfigError(f"{path} holds no settings.", 'Such as {"prompts": {"query": "query: "}}.')
    return settings


def save_modules(model: SentenceTransformer, folder: Path, name: str | None, card: bool) -> None:
    """Each module in its folder, the encoder at the root, as the field's library writes them."""
    with write_beside(folder) as beside:
        listed = []
        for index, module in enumerate(model):
            kind = type(module).__name__
            path = "" if index == 0 and isinstance(module, Transformer | StaticEmbedding) else f"{index}_{kind}"
            module.save(beside / path)  # type: ignore[operator]
            listed.append({"idx": index, "name": str(index), "path": path, "type": module.type_name})
        settings = {
            "__version__": {"sentence_transformers": "3.0.0"},  # the first version whose files look like these
            "prompts": model.prompts,
            "default_prompt_name": model.default_prompt_name,
            "similarity_fn_name": model.similarity_fn_name.value,
        }
        (beside / LIST).write_text(json.dumps(listed, indent=2) + "\n", "utf-8")
        (beside / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if card and not (folder / "README.md").exists():
            (beside / "README.md").write_text(model_card(model, name or folder.name), "utf-8")


def model_card(model: SentenceTransformer, name: str) -> str:
    """A page with what the model is and how to run it."""
    from samovar.hub.card import marked

    steps = " → ".join(type(module).__name__ for module in model)
    return marked(f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- feature-extraction
- samovar
- sentence-similarity
- sentence-transformers
---

# {name}

Maps texts to vectors of {model.get_sentence_embedding_dimension()} numbers, for search, clustering and as features.

| | |
|---|---|
| Modules | {steps} |
| Longest text | {model.max_seq_length} tokens |
| Similarity | {model.similarity_fn_name.value} |

```python
from samovar import SentenceTransformer

model = SentenceTransformer("{name}")
embeddings = model.encode(["A samovar boils.", "The kettle is hot."])
print(model.similarity(embeddings, embeddings))
```
""")


def push_modules(
    model: SentenceTransformer, destination: Destination, exist_ok: bool, local: Path | None, replace_card: bool
) -> CommitInfo:
    """Save into a temporary folder, or take the folder that was saved, and upload it."""
    from huggingface_hub import HfApi

    if not exist_ok and not destination.create_pr:
        with refusals("Pushing to", destination.repo_id, destination.token):
            HfApi(token=destination.token).create_repo(destination.repo_id, private=destination.private)
    if local is not None:
        return upload(model, local, sorted(states(local)), destination, replace_card)
    return push(model, destination, {"model_name": destination.repo_id}, replace_card)
