"""Metrics: `load("f1")`, add rows, compute; `combine` several; `evaluator` runs a pipeline over a data set.

No name here needs the network; each metric is computed by the library that the field trusts for it.
"""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
