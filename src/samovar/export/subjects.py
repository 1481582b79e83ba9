"""The inputs of each kind of model, read off its class and configuration."""

from __future__ import annotations

import contextlib
import inspect
from pathlib import Path
from typing import Any

import torch

import samovar
from samovar.errors import ExportError, InputTypeError, SamovarError, TaskError
from samovar.export.inputs import Dim, Input
from samovar.export.sentences import SentenceFiles
from samovar.nn.conv_backbone import ConvBackbone
from samovar.nn.int8 import Int8Linear
from samovar.pipelines.factory import load_model
from samovar.pipelines.registry import PIPELINE_REGISTRY
from samovar.registry import backbone_class
from samovar.tasks.sequences import EndTokenClassifier


def inputs_of(model: Any, past: bool = False) -> list[Input]:
    """What `model.forward` reads, in its order."""
    if model.main_input_name == "pixel_values":
        return [Input("pixel_values", image_dims(model), "pixels")]
    config, names = model.config, inspect.signature(model.forward).parameters
    rows: tuple[Dim, ...] = ("batch_size",)
    if getattr(model, "task", "") == "multiple-choice":
        rows = ("batch_size", "num_choices")
    length: Dim = "sequence_length"
    found = [
        Input("input_ids", (*rows, length), "ids", vocabulary(config), closing(model)),
        Input("attention_mask", (*rows, f"past_{length} + {length}" if past else length), "mask"),
    ]
    kinds = getattr(config, "type_vocab_sizes", None)
    if kinds is not None:
        found.append(Input("token_type_ids", (*rows, length, len(kinds)), "types", tuple(kinds)))
    elif getattr(config, "type_vocab_size", 0) > 1 and "token_type_ids" in names:
        found.append(Input("token_type_ids", (*rows, length), "types", config.type_vocab_size))
    return found


def vocabulary(config: Any) -> int:
    """Ids are below this; where encoder and decoder have configurations of their own, in both."""
    size = getattr(config, "vocab_size", None)
    return size if size is not None else min(config.encoder.vocab_size, config.decoder.vocab_size)


def closing(model: Any) -> int | None:
    """The token that a text ends with, which some heads look for."""
    ends = isinstance(getattr(model, "head", None), EndTokenClassifier)
    return getattr(model.config, "eos_token_id" if ends else "sep_token_id", None)


def image_dims(model: Any) -> tuple[Dim, ...]:
    """Sizes of images: free for convolutions, those of the configuration where positions are counted."""
    config = model.config
    if isinstance(model.base_model, ConvBackbone):
        return ("batch_size", config.num_channels, "height", "width")
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return ("batch_size", config.num_channels, height, width)


def loaded(model: Any, task: str | None, tokenizer: Any, image_processor: Any) -> tuple[Any, list[Any]]:
    """The model, and what prepares its inputs: the objects given, or what lies beside the model.

    Raises what loading raises, `TaskError` for a task that the checkpoint has no head for, `ExportError` for weights
    that are not float32 on the CPU.
    """
    from samovar.model import Model

    origin = model if isinstance(model, str | Path) else getattr(model, "name_or_path", "")
    if isinstance(model, str | Path):
        model = load(model, task)
    elif not isinstance(model, Model):
        raise InputTypeError(
            f"A model or its name is exported, not {type(model).__name__}.",
            "Give an object of this library, a folder or an id.",
        )
    check_weights(model)
    reads_images = model.main_input_name == "pixel_values"
    auto = samovar.AutoImageProcessor if reads_images else samovar.AutoTokenizer
    given = image_processor if reads_images else tokenizer
    if given is None and origin:
        with contextlib.suppress(SamovarError):  # A checkpoint without one is exported without one.
            given = auto.from_pretrained(origin)
    around = SentenceFiles.of(origin) if origin and not getattr(model, "task", "") and not reads_images else None
    return model, [one for one in (given, around) if one is not None]


def check_weights(model: Any) -> None:
    """Raise `ExportError` for int8 weights, other types than float32 and other devices than the CPU."""
    for name, layer in model.named_modules():
        if isinstance(layer, Int8Linear):
            raise ExportError(
                f"The weights of {name} are int8, which only this library multiplies with.",
                "Load the checkpoint with float weights; the format onnx makes int8 of its own: quantization='int8'.",
            )
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            kind = str(weight.dtype).removeprefix("torch.")
            raise ExportError(
                f"{name} is {kind}; what is exported computes in float32.",
                "Call model.float() first, or give the checkpoint's name: it is then loaded as float32.",
            )
        if weight.device.type != "cpu":
            raise ExportError(f"{name} is on {weight.device}; models are traced on the CPU.", "Call model.cpu() first.")


def load(origin: str | Path, task: str | None) -> Any:
    """The model of a folder or id with the head for `task`, or with the one that it was saved with, in float32.

    Raises `TaskError` rather than start a head anew.
    """
    config = samovar.AutoConfig.from_pretrained(origin)
    if task is not None:
        spec = PIPELINE_REGISTRY.find(task)
        return load_model(spec, origin, None, config, "cpu", {"dtype": torch.float32})
    backbone = backbone_class(config.model_type)
    known = {one.__name__: one for one in (*backbone.tasks.values(), backbone)}
    saved = (config.architectures or [backbone.__name__])[0]
    if saved not in known:
        raise TaskError(
            f"{origin} was saved from {saved}, which there is none of here.",
            f"Give a task; there are: {', '.join(backbone.tasks)}.",
        )
    model, report = known[saved].from_pretrained(origin, dtype=torch.float32, output_loading_info=True)
    if report["missing_keys"] and getattr(model, "pooler", None) is not None:
        # A pooler that the file does not have would hand out random features.
        model.pooler = None
    return model
