"""The steps that `modules.json` may name; a name is looked up here and never imported."""

from __future__ import annotations

from samovar.errors import ConfigError, UnsafeFileError
from samovar.sentence.layers import Dense, Dropout, LayerNorm, Normalize
from samovar.sentence.module import Module
from samovar.sentence.pooling import Pooling
from samovar.sentence.static import StaticEmbedding
from samovar.sentence.transformer import Transformer

__all__ = ["Dense", "Dropout", "LayerNorm", "Module", "Normalize", "Pooling", "StaticEmbedding", "Transformer"]

KINDS: dict[str, type[Module]] = {
    kind.__name__: kind for kind in (Transformer, Pooling, Dense, Normalize, LayerNorm, Dropout, StaticEmbedding)
}


def kind_named(name: str, where: str) -> type[Module]:
    """`"sentence_transformers.models.Pooling"` → `Pooling`.

    Raises `ConfigError` for a module of the field's library that is not built here, `UnsafeFileError` for a class of
    anything else: it would be the repository's own code.
    """
    if not isinstance(name, str) or name.split(".")[0] not in ("sentence_transformers", "samovar"):
        raise UnsafeFileError(
            f"{where} names {name!r}, a class from outside: no code of a repository is run.",
            "Ask for a checkpoint of standard modules, or write the module and pass modules=[…].",
        )
    last = name.rpartition(".")[2]
    if last not in KINDS:
        raise ConfigError(f"{where} names {name!r}, which is not built here.", f"Known: {', '.join(KINDS)}.")
    return KINDS[last]
