"""Encoder and decoder: the decoder's blocks read the encoder's last states beside what is written so far."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import InputError, InputTypeError
from samovar.nn.cache import Cache, EncoderDecoderCache
from samovar.nn.cross import CrossAttention as CrossAttention
from samovar.nn.cross import DecoderBlock as DecoderBlock
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.masks import attention_bias
from samovar.nn.positions import RelativeBias
from samovar.nn.transformer import Backbone, TextTransformer
from samovar.tasks.outputs import Seq2SeqModelOutput


class Decoder(nn.Module):
    """Embeddings, blocks that read an encoder, and where there are a last norm and a bias by distance."""

    def __init__(
        self,
        embeddings: TextEmbeddings,
        layers: nn.ModuleList,
        norm: nn.Module | None = None,
        relative_bias: RelativeBias | None = None,
    ) -> None:
        super().__init__()
        self.embeddings, self.layers, self.norm, self.relative_bias = embeddings, layers, norm, relative_bias


class EncoderDecoder(Backbone):
    """An encoder (`TextTransformer`) and a `Decoder` that share one word embedding, unless `shared` is off."""

    encoder: TextTransformer
    decoder: Decoder

    def __init__(self, config: Config, encoder: TextTransformer, decoder: Decoder, *, shared: bool = True) -> None:
        super().__init__(config)
        if shared:
            self.shared = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.encoder, self.decoder = encoder, decoder

    @property
    def tied(self) -> dict[str, str]:
        """Both read the shared words, where there are any."""
        if "shared" not in self._modules:
            return {}
        return {f"{part}.embeddings.word.weight": "shared.weight" for part in ("encoder", "decoder")}

    @property
    def written_words(self) -> str:
        """The name of the words that the decoder reads."""
        return "shared.weight" if "shared" in self._modules else "decoder.embeddings.word.weight"

    def get_encoder(self) -> TextTransformer:
        """The part that reads the source."""
        return self.encoder

    def get_input_embeddings(self) -> nn.Embedding:
        """The shared words (vocabulary, hidden), or those of the source."""
        return self.shared if "shared" in self._modules else self.encoder.embeddings.word

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
    ) -> Seq2SeqModelOutput | tuple[Any, ...]:
        """Source ids (batch, source) and target ids (batch, target) → `last_hidden_state` (batch, target, hidden).

        `encoder_outputs` of an earlier call stand in place of the source. Without target ids the source, shifted by
        one to the right, is the target, as for restoring a text. With `past_key_values` the target ids are those after
        the tokens that it holds; `use_cache=True` begins one. Raises `InputError` without source and target.
        """
        attentions, all_states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        self.encoder.gradient_checkpointing = self.gradient_checkpointing
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids, attention_mask, inputs_embeds=inputs_embeds, output_attentions=attentions,
                output_hidden_states=all_states, return_dict=True,
            )  # fmt: skip
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if input_ids is None:
                raise InputError("The decoder has nothing to read.", "Give decoder_input_ids, or labels.")
            decoder_input_ids = self.shifted(input_ids)
        memory = encoder_outputs[0]
        cache = self.caches(past_key_values, use_cache)
        past = 0 if cache is None else cache.get_seq_length()
        x = self.decoder.embeddings(decoder_input_ids, None, None, decoder_inputs_embeds, past)
        bias = self.decoder_bias(decoder_attention_mask, x, cache, past)
        memory_bias = attention_bias(attention_mask, x.dtype)
        states, own, cross = [x], [], []
        for index, block in enumerate(self.decoder.layers):
            assert isinstance(block, DecoderBlock)
            if self.gradient_checkpointing and self.training:
                x, first, second = torch.utils.checkpoint.checkpoint(
                    block.decode, x, bias, memory, memory_bias, attentions, use_reentrant=False
                )
            else:
                kept = (None, None) if cache is None else (cache.layer(index), cache.source(index))
                x, first, second = block.decode(x, bias, memory, memory_bias, attentions, *kept)
            states.append(x)
            own.append(first)
            cross.append(second)
        if self.decoder.norm is not None:
            states[-1] = self.decoder.norm(states[-1])
        output = Seq2SeqModelOutput(
            last_hidden_state=states[-1],
            past_key_values=cache,
            decoder_hidden_states=tuple(states) if all_states else None,
            decoder_attentions=tuple(own) if attentions else None,
            cross_attentions=tuple(cross) if attentions else None,
            encoder_last_hidden_state=memory,
            encoder_hidden_states=getattr(encoder_outputs, "hidden_states", None),
            encoder_attentions=getattr(encoder_outputs, "attentions", None),
        )
        return output if as_dict else output.to_tuple()

    def shifted(self, ids: Tensor) -> Tensor:
        """What the decoder reads to write `ids` (batch, sequence)."""
        return shifted_right(self.config, ids)

    def new_cache(self, limit: int | None = None) -> EncoderDecoderCache:
        """An empty cache, with room for at most `limit` tokens of the target."""
        return EncoderDecoderCache(limit)

    def caches(self, past_key_values: Cache | None, use_cache: bool | None) -> EncoderDecoderCache | None:
        """The cache to fill, if any. Raises `InputTypeError` for one that holds no source."""
        cache = super().caches(past_key_values, use_cache)
        if cache is None or isinstance(cache, EncoderDecoderCache):
            return cache
        raise InputTypeError(
            f"past_key_values is a {type(cache).__name__}, which holds no source.", "Pass an EncoderDecoderCache()."
        )

    def decoder_bias(self, mask: Tensor | None, x: Tensor, cache: Cache | None, past: int) -> Tensor | None:
        """What is added to the scores of the decoder's own attention; None where order alone says what is read."""
        new = x.shape[1]
        if cache is not None:
            mask = cache.extend_mask(mask, new)
        relative = self.decoder.relative_bias
        # A trace serves a past of any length, so whether there is one is not asked there.
        whole = cache is not None and cache.whole and len(cache.layers) > 0
        if mask is None and (whole or (new > 1 and (past or relative is not None))):
            mask = x.new_ones(1, past + new)
        bias = attention_bias(mask, x.dtype, True, new if whole or past else None)
        if relative is None:
            return bias
        distances = relative(past + new, x.device, past).to(x.dtype)
        return distances if bias is None else bias + distances


def shifted_right(config: Config, ids: Tensor) -> Tensor:
    """What the decoder reads to write `ids` (batch, sequence): its start token, then all but the last one.

    Places without a label (-100) become padding.
    """
    shifted = torch.cat([torch.full_like(ids[:, :1], config.decoder_start_token_id), ids[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, config.pad_token_id)
