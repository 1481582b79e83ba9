"""Decoding: from a model's logits to token ids — greedy, sampled, by beams, with a draft — and their streaming."""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
