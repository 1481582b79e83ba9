"""Optional packages: import one when it is first needed, or say which line installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from samovar.errors import MissingExtraError

# Package → the extra of pyproject.toml that brings it.
EXTRA_OF = {
    "torch": "torch",
    "accelerate": "train",
    "datasets": "train",
    "jiwer": "evaluate",
    "nltk": "evaluate",
    "pycocotools": "evaluate",
    "rouge_score": "evaluate",
    "sacrebleu": "evaluate",
    "scipy": "evaluate",
    "seqeval": "evaluate",
    "sklearn": "evaluate",
    "optuna": "search",
    "ray": "search",
    "wandb": "search",
    "cloudpickle": "search",
    "matplotlib": "train",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "fastapi": "hub",
    "sqlalchemy": "hub",
    "llvmlite": "fast",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "openvino": "openvino",
    "h5py": "h5",
    "jax": "jax",
    "flatbuffers": "jax",
    "tensorflow": "tensorflow",
}


def require(package: str, feature: str) -> ModuleType:
    """Import `package`, or raise `MissingExtraError` that names the `feature` and the install line."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.split(".")[0]:
            raise
        raise MissingExtraError(feature, package, EXTRA_OF.get(package.split(".")[0], "all")) from error
