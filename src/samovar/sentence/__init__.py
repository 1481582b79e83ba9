"""Embeddings of texts: `SentenceTransformer`, `CrossEncoder`, their modules, search, losses and evaluators."""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
