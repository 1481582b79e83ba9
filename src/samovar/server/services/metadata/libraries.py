"""Which library a model is for, and in which frameworks' formats its weights are: from the names of its files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def library_of(files: Iterable[str], config: dict[str, Any]) -> str | None:
    """The library whose files these are, or None."""
    paths = set(files)
    if "model_index.json" in paths:
        return "diffusers"
    if "adapter_config.json" in paths:
        return "peft"
    if "config_setfit.json" in paths:
        return "setfit"
    if "modules.json" in paths:
        return "sentence-transformers"
    if config.get("samovar_version") is not None:
        return "samovar"
    if isinstance(config.get("pretrained_cfg"), dict) or "timm" in str(config.get("architecture", ""))[:100]:
        return "timm"
    if config.get("model_type") or config.get("architectures"):
        return "transformers"
    if any(path.endswith(".gguf") for path in paths):
        return "gguf"
    if any(path.endswith(".keras") for path in paths):
        return "keras"
    if any(path.endswith((".pkl", ".joblib", ".skops")) for path in paths):
        return "sklearn" if any(path.endswith(".skops") for path in paths) else None
    return None


def frameworks_of(files: Iterable[str], library: str | None) -> list[str]:
    """Tags of the formats that weights are there in."""
    found: list[str] = []
    for path in files:
        name = path.rpartition("/")[2].lower()
        if name.endswith(".safetensors"):
            found.append("safetensors")
            if library in ("transformers", "sentence-transformers"):
                found.append("pytorch")
        elif name.endswith((".pt", ".pth")) or (name.endswith(".bin") and "model" in name):
            found.append("pytorch")
        elif name.endswith((".h5", ".pb")):
            found.append("tf")
        elif name.endswith(".msgpack"):
            found.append("jax")
        elif name.endswith(".onnx"):
            found.append("onnx")
        elif name.endswith(".gguf"):
            found.append("gguf")
        elif name == "rust_model.ot":
            found.append("rust")
        elif name.endswith((".mlmodel", ".mlpackage")):
            found.append("coreml")
        elif name.endswith(".tflite"):
            found.append("tflite")
        elif name.startswith("openvino_") and name.endswith(".xml"):
            found.append("openvino")
        elif name.endswith(".keras"):
            found.append("keras")
    order = ("pytorch", "tf", "jax", "onnx", "safetensors", "gguf")
    return sorted(set(found), key=lambda one: (order.index(one) if one in order else len(order), one))
