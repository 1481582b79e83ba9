"""Export: one definition, every runtime. `export_model` writes a model as ONNX, TorchScript, torch.export and more."""

from samovar.surface import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
