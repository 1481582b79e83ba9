"""The files that a pipeline needs of a repository."""

from __future__ import annotations

from pathlib import Path

# What a model is made of; data, pictures of the card and weights of other frameworks stay where they are.
WANTED = (".json", ".txt", ".safetensors", ".model", ".tiktoken", ".jinja", ".bin")


def of_model(names: list[str]) -> list[str]:
    """Configuration, tokenizer and weights: safetensors where there are any."""
    wanted = [name for name in names if name.endswith(WANTED)]
    if any(name.endswith(".safetensors") for name in wanted):
        wanted = [name for name in wanted if not name.endswith(".bin")]
    return wanted


def weight(folder: Path) -> int:
    """Bytes of the weights in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".safetensors", ".bin"))
