"""What is exported of a model: modules of tensors alone, with names and dimensions of what they read and give.

An encoder or a classifier is one part. A decoder is one part as well, which reads past keys and values and gives those
of all tokens; with a past of no tokens it reads a prompt. An encoder–decoder is three: the encoder, the decoder's first
step, which gives the source's keys and values too, and its later steps. Names are those that the field's exporters use.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from samovar.errors import ExportError
from samovar.export.inputs import EXAMPLE, Input, Sizes
from samovar.export.subjects import inputs_of
from samovar.export.trace import traced
from samovar.nn.encoder_decoder import EncoderDecoder
from samovar.nn.given_cache import GivenCache, GivenSequenceCache, pairs
from samovar.nn.transformer import TextTransformer
from samovar.tasks.outputs import Output


@dataclass
class Part:
    """One graph: `module` maps tensors, in the order of `inputs`, to a tuple of tensors named `outputs`."""

    name: str
    module: nn.Module
    inputs: Sequence[Input]
    outputs: list[str] = field(default_factory=list)
    graphs: dict[int, Any] = field(default_factory=dict, repr=False)  # in ONNX, by opset; made once

    def example(self, sizes: Sizes = EXAMPLE, seed: int = 0) -> dict[str, Tensor]:
        """Tensors that the part reads, at these sizes."""
        generator = torch.Generator().manual_seed(seed)
        return {one.name: one.make(sizes, generator) for one in self.inputs}

    def run(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What the PyTorch model answers."""
        with torch.no_grad():
            return self.module(*(given[one.name] for one in self.inputs))

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The part as a graph of core operators, with its free dimensions. Raises `ExportError`."""
        return traced(self)


def parts_of(model: Any, mask: bool = True, with_past: bool | None = None) -> list[Part]:
    """The parts of a model.

    `mask=False` leaves the attention mask out: all tokens are then real. `with_past=False` exports a model that writes
    as one that reads whole texts. Raises `ExportError` for a model that has no such part.
    """
    backbone = model.base_model
    writes = hasattr(model, "generate")
    if reads_and_writes(model):
        if not mask:
            raise ExportError("An encoder–decoder is exported with masks.", "Leave mask=False out.")
        return sequence_parts(model)
    cached = isinstance(backbone, TextTransformer) and backbone.causal and writes
    if with_past and not cached:
        raise ExportError(f"{type(model).__name__} has no past keys and values.", "Leave with_past out.")
    if with_past and not mask:
        raise ExportError("Past keys and values are read under a mask of all tokens.", "Leave mask=False out.")
    parts = [decoder_part(model)] if cached and with_past is not False and mask else [whole_part(model, mask)]
    return [named(part) for part in parts]


def reads_and_writes(model: Any) -> bool:
    """Whether it writes a text for a text: one model of both parts, or any encoder with any decoder."""
    joined = isinstance(model.base_model, EncoderDecoder) or model.config.model_type == "encoder-decoder"
    return joined and hasattr(model, "generate")


def named(part: Part) -> Part:
    """The part with the names of its outputs, which only a run tells."""
    if not part.outputs:
        part.run(part.example())
        part.outputs = part.module.names  # type: ignore[assignment]
    return part


# One graph ----------------------------------------------------------------------------------------------------------


class Whole(nn.Module):
    """A model from tensors to all tensors of its output."""

    def __init__(self, model: nn.Module, names: Sequence[str], fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.read, self.fixed = model, list(names), dict(fixed or {})
        self.names: list[str] = []
        self.training = model.training

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = self.model(**dict(zip(self.read, tensors, strict=True)), **self.fixed, return_dict=True)
        return self.tensors(output)

    def tensors(self, output: Output) -> tuple[Tensor, ...]:
        """The tensors among an output's values, whose names are kept."""
        found = {name: value for name, value in output.items() if isinstance(value, Tensor)}
        self.names = list(found)
        return tuple(found.values())


def whole_part(model: Any, mask: bool) -> Part:
    """A model that is one graph."""
    parameters = inspect.signature(model.forward).parameters
    inputs = [one for one in inputs_of(model) if one.name in parameters and (mask or one.name != "attention_mask")]
    fixed = {"use_cache": False} if "use_cache" in parameters else {}
    return Part("model", Whole(model, [one.name for one in inputs], fixed), inputs)


class DecoderStep(Whole):
    """Ids and a mask of all tokens, past keys and values → logits, and the keys and values of all tokens."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        input_ids, attention_mask, *past = tensors
        cache = GivenCache(past)
        options: dict[str, Any] = {"past_key_values": cache, "use_cache": True, **self.fixed}
        if "position_ids" in self.read:
            options["position_ids"] = positions(attention_mask, input_ids.shape[1])
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **options)
        self.names = ["logits", *cache_names("present", len(cache.layers))]
        return (output["logits"], *cache.tensors())


def positions(mask: Tensor, new: int) -> Tensor:
    """Positions (batch, new) of the last tokens, counted from the first real one."""
    return (mask.cumsum(-1) - 1).clamp(min=0)[:, mask.shape[1] - new :]


def cache_names(word: str, layers: int, who: str = "") -> list[str]:
    """`past_key_values.0.key`, `past_key_values.0.value`, …"""
    return [f"{word}.{index}.{who}{kind}" for index in range(layers) for kind in ("key", "value")]


def decoder_part(model: Any) -> Part:
    """A model that writes, one step of it."""
    backbone = model.base_model
    placed = (
        "position_ids" in inspect.signature(model.forward).parameters
        and type(backbone).masked_positions is TextTransformer.masked_positions
    )
    tokens = inputs_of(model, past=True)
    ids = next(one for one in tokens if one.name == "input_ids")
    seen = next(one for one in tokens if one.name == "attention_mask")
    step = DecoderStep(model, ["position_ids"] if placed else [])
    with torch.no_grad():
        cache = model(torch.zeros(1, 1, dtype=torch.long), use_cache=True).past_key_values
    past = past_inputs("past_key_values", [(keys, values) for keys, values in cache], "past_sequence_length")
    return Part("model", step, [ids, seen, *past])


def past_inputs(word: str, layers: Sequence[tuple[Tensor, Tensor]], length: str, who: str = "") -> list[Input]:
    """Inputs for keys and values of the shapes of `layers`, (batch, heads, tokens, dim) each."""
    names = cache_names(word, len(layers), who)
    tensors = [one for pair in layers for one in pair]
    return [
        Input(name, ("batch_size", tensor.shape[1], length, tensor.shape[3]), "state")
        for name, tensor in zip(names, tensors, strict=True)
    ]


# Encoder and decoder --------------------------------------------------------------------------------------------------


class EncoderPart(Whole):
    """Source ids and mask → the encoder's last states."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        input_ids, attention_mask = tensors
        self.names = ["last_hidden_state"]
        return (self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)[0],)


class FirstStep(Whole):
    """Target ids with the encoder's states → logits, keys and values of the target and of the source."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        encoder_attention_mask, input_ids, states = tensors
        return self.step(encoder_attention_mask, input_ids, states, GivenSequenceCache())

    def step(self, mask: Tensor, ids: Tensor, states: Tensor, cache: GivenSequenceCache) -> tuple[Tensor, ...]:
        """One step; the source's keys and values are given back where they were computed in it."""
        known = len(cache.sources) > 0
        output = self.model(
            attention_mask=mask, decoder_input_ids=ids, encoder_outputs=(states,), past_key_values=cache,
            use_cache=True, return_dict=True,
        )  # fmt: skip
        count = len(cache.layers)
        self.names = ["logits", *cache_names("present", count, "decoder.")]
        if known:
            return (output["logits"], *cache.tensors())
        self.names += cache_names("present", count, "encoder.")
        return (output["logits"], *cache.tensors(), *cache.source_tensors())


class LaterStep(FirstStep):
    """The next target ids with keys and values of the target so far and of the source."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        encoder_attention_mask, input_ids, *past = tensors
        half = len(past) // 2
        cache = GivenSequenceCache(past[:half], past[half:])
        # The blocks read the source's keys and values, so what stands for its states is not looked at.
        nothing = past[0].new_zeros(1, 1, 1)
        return self.step(encoder_attention_mask, input_ids, nothing, cache)


def sequence_parts(model: Any) -> list[Part]:
    """Encoder, first step and later steps of a model that writes a text for a text."""
    ids, mask = (one for one in inputs_of(model) if one.name in ("input_ids", "attention_mask"))
    source_ids, source_mask = ids.over("encoder_sequence_length"), mask.over("encoder_sequence_length")
    seen = source_mask.called("encoder_attention_mask")
    encoder = Part("encoder_model", EncoderPart(model.get_encoder(), []), [source_ids, source_mask])
    states = encoder.run(encoder.example())[0]
    first = Part(
        "decoder_model", FirstStep(model, []),
        [seen, ids, Input("encoder_hidden_states", (*source_ids.dims, states.shape[2]), "state")],
    )  # fmt: skip
    given = first.run(first.example())
    quarter = (len(given) - 1) // 2
    own, source = list(given[1 : 1 + quarter]), list(given[1 + quarter :])
    past = past_inputs("past_key_values", pairs(own), "past_sequence_length", "decoder.")
    past += past_inputs("past_key_values", pairs(source), "encoder_sequence_length", "encoder.")
    later = Part("decoder_with_past_model", LaterStep(model, []), [seen, ids, *past])
    return [named(part) for part in (encoder, first, later)]
