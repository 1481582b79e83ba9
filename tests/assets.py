"""Real weights and real text for tests; `scripts/fetch_assets.py` brings them before the tests run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_script() -> ModuleType:
    """`scripts/fetch_assets.py` as a module."""
    path = Path(__file__).resolve().parent.parent / "scripts" / "fetch_assets.py"
    spec = importlib.util.spec_from_file_location("samovar_fetch_assets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look their module up while they are made.
    spec.loader.exec_module(module)
    return module


script = load_script()


def minilm_folder() -> Path:
    """The all-MiniLM-L6-v2 checkpoint: a BERT encoder with its tokenizer."""
    folder, _ = script.fetch(script.ENCODER, script.assets_folder())
    return Path(folder)


def wordnet_folder() -> Path:
    """A folder for `NLTK_DATA` that holds WordNet."""
    folder, _ = script.fetch(script.WORDNET, script.assets_folder())
    return Path(folder)


def snippets(kind: str) -> list[tuple[float, str]]:
    """(mean rating −4…4, text) of `"movies"`, `"products"`, `"tweets"` or `"editorials"`."""
    return list(script.snippets(kind))
