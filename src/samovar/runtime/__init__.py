"""Exported models where PyTorch models are expected: `OnnxModel.from_pretrained(folder)`."""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
