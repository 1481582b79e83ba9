"""Adapters: small trained additions to a pretrained model, in the files and under the names that the field knows."""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
