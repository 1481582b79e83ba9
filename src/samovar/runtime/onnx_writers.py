"""ONNX graphs that write texts: decoding is `GenerationMixin`'s, the graph is one step of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError
from samovar.generation.mixin import GenerationMixin
from samovar.hub.source import Source
from samovar.nn.cache import Cache, EncoderDecoderCache, LayerCache
from samovar.runtime.onnx_files import SEQUENCE, WHOLE
from samovar.runtime.onnx_model import OnnxModel, OnnxOutput, generation_values
from samovar.runtime.onnx_session import OnnxSession
from samovar.tasks.outputs import BaseModelOutput

# A past, and what comes of it, of one layer and kind.
PAST, PRESENT = "past_key_values", "present"
KINDS = ("key", "value")


class OnnxWriter(GenerationMixin, OnnxModel):
    """Base of those that write."""

    def note(self, source: Source) -> None:
        """Also the decoding options of `generation_config.json`."""
        super().note(source)
        self.generation_config = None
        self.__dict__["_generation_values"] = generation_values(source)

    def save_pretrained(self, save_directory: Any, **options: Any) -> None:
        """As every `OnnxModel`: the files are copied."""
        OnnxModel.save_pretrained(self, save_directory, **options)

    def get_input_embeddings(self) -> NoReturn:
        """Raises `InputError`: vectors are inside the graph."""
        raise InputError("A graph reads ids, not vectors.", "Give input_ids.")

    def desk(self, *given: Any, **options: Any) -> NoReturn:
        """Raises `InputError`: a graph has no pages to keep many texts in."""
        raise InputError("Continuous batching needs the PyTorch model.", "Use generate, with several rows.")


class OnnxWholeDecoder(OnnxWriter):
    """A decoder that was exported without a past: each step reads the whole text, without padding."""

    reads_padding: ClassVar[bool] = True

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, return_dict: bool | None = None
    ) -> Any:
        """Ids (batch, sequence) → `logits` (batch, sequence, vocabulary)."""
        return super().forward(input_ids, attention_mask, return_dict=return_dict)


class OnnxDecoder(OnnxWriter):
    """A decoder that reads past keys and values and gives those of all tokens."""

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache."""
        return Cache(limit)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Ids (batch, new), a mask of all tokens or of the new ones → `logits` (batch, new, vocabulary).

        `past_key_values` is filled and given back. Positions are counted along the mask.
        """
        cache = self.new_cache() if past_key_values is None else past_key_values
        held, new = cache.get_seq_length(), input_ids.shape[1]
        mask = cache.extend_mask(attention_mask, new)
        if mask is None:
            mask = input_ids.new_ones(len(input_ids), held + new)
        session = self.sessions[WHOLE]
        layers = layers_of(session)
        past = past_of(session, cache, layers, len(input_ids))
        found = self.run(WHOLE, {"input_ids": input_ids, "attention_mask": mask, **past})
        fill([cache.layer(index) for index in range(layers)], pairs_of(found, layers))
        output = OnnxOutput(logits=found["logits"], past_key_values=cache if use_cache is not False else None)
        return output.to_tuple() if return_dict is False else output


class OnnxEncoder:
    """The graph that reads the source."""

    def __init__(self, model: OnnxSequenceModel) -> None:
        self.model = model
        self.config = model.config

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, return_dict: bool | None = None
    ) -> BaseModelOutput:
        """Ids (batch, source) → `last_hidden_state` (batch, source, hidden)."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        known = {name: value for name, value in given.items() if value is not None}
        return BaseModelOutput(last_hidden_state=self.model.run(SEQUENCE[0], known)["last_hidden_state"])

    __call__ = forward


class OnnxSequenceModel(OnnxWriter):
    """An encoder–decoder of three graphs: the encoder, the decoder's first step, and its later steps."""

    def get_encoder(self) -> OnnxEncoder:
        """The part that reads the source."""
        return OnnxEncoder(self)

    def new_cache(self, limit: int | None = None) -> EncoderDecoderCache:
        """An empty cache."""
        return EncoderDecoderCache(limit)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: EncoderDecoderCache | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Source and target ids → `logits` (batch, new, vocabulary); `past_key_values` is filled and given back.

        Raises `InputError` for a target with padding before its text, which these graphs do not read.
        """
        if decoder_attention_mask is not None and not bool(decoder_attention_mask.all()):
            raise InputError("The graphs read no padding before a target.", "Write texts of one length, or one by one.")
        if decoder_input_ids is None or (encoder_outputs is None and input_ids is None):
            raise InputError("A source and decoder_input_ids are needed.", "Give both.")
        if encoder_outputs is None:
            encoder_outputs = self.get_encoder()(input_ids, attention_mask)  # type: ignore[arg-type]
        states = encoder_outputs[0]
        if attention_mask is None:
            attention_mask = torch.ones(states.shape[:2], dtype=torch.long)
        cache = self.new_cache() if past_key_values is None else past_key_values
        given = {"input_ids": decoder_input_ids, "encoder_attention_mask": attention_mask}
        if cache.get_seq_length() == 0:
            found = self.first_step(given, states, cache)
        else:
            found = self.later_step(given, states, cache)
        output = OnnxOutput(logits=found["logits"], past_key_values=cache if use_cache is not False else None)
        return output.to_tuple() if return_dict is False else output

    def first_step(self, given: dict[str, Tensor], states: Tensor, cache: EncoderDecoderCache) -> dict[str, Tensor]:
        """The prompt of the target; the source's keys and values are kept."""
        found = self.run(SEQUENCE[1], {**given, "encoder_hidden_states": states})
        layers = sum(name.startswith(PRESENT) and name.endswith("decoder.key") for name in found)
        for who, kept in (("decoder", cache.layer), ("encoder", cache.source)):
            fill([kept(index) for index in range(layers)], pairs_of(found, layers, f"{who}."))
        return found

    def later_step(self, given: dict[str, Tensor], states: Tensor, cache: EncoderDecoderCache) -> dict[str, Tensor]:
        """The next tokens; graphs of other exporters may ask for the encoder's states again."""
        session = self.sessions[SEQUENCE[2]]
        if "encoder_hidden_states" in session.inputs:
            given["encoder_hidden_states"] = states
        for index, (own, source) in enumerate(zip(cache.layers, cache.sources, strict=True)):
            for who, layer in (("decoder", own), ("encoder", source)):
                given |= {f"{PAST}.{index}.{who}.{kind}": held_of(layer, kind) for kind in KINDS}
        found = self.run(SEQUENCE[2], given)
        fill(cache.layers, pairs_of(found, len(cache.layers), "decoder."))
        return found


def layers_of(session: OnnxSession) -> int:
    """How many layers a graph has keys of."""
    return sum(name.startswith(PAST) and name.endswith(".key") for name in session.inputs)


def pairs_of(found: Mapping[str, Tensor], layers: int, who: str = "") -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer out of a graph's outputs."""
    return [(found[f"{PRESENT}.{index}.{who}key"], found[f"{PRESENT}.{index}.{who}value"]) for index in range(layers)]


def past_of(session: OnnxSession, cache: Cache, layers: int, rows: int) -> dict[str, Tensor]:
    """What a cache holds as a graph's inputs; tensors without tokens where it holds nothing."""
    if cache.get_seq_length():
        return {f"{PAST}.{i}.{kind}": held_of(cache.layers[i], kind) for i in range(layers) for kind in KINDS}
    empty = {}
    for index in range(layers):
        for kind in KINDS:
            name = f"{PAST}.{index}.{kind}"
            shape = session.inputs[name].shape
            empty[name] = torch.from_numpy(np.zeros((rows, shape[1], 0, shape[3]), dtype=np.float32))
    return empty


def held_of(layer: LayerCache, kind: str) -> Tensor:
    """The keys or the values that a layer holds, (batch, heads, tokens, dim)."""
    tensor = layer.keys if kind == "key" else layer.values
    assert tensor is not None
    return tensor[:, :, : layer.held]


def fill(layers: list[LayerCache], kept: list[tuple[Tensor, Tensor]]) -> None:
    """Put keys and values of all tokens in place of what layers held."""
    for layer, (keys, values) in zip(layers, kept, strict=True):
        layer.keys, layer.values, layer.first, layer.length, layer.owned = keys, values, 0, keys.shape[2], False
