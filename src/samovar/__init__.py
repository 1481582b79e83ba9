"""Samovar: pretrained models on your own machines — find, run, fine-tune, measure and share them.

Importing this package loads nothing heavy: each public name is declared in `__init__.pyi` and its module is imported
when the name is first used.
"""

from samovar.surface import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(__name__, __file__)
