"""Transformer backbones: the walk from inputs through blocks to the last hidden state, written once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import ConfigError, InputError, InputTypeError
from samovar.model import Model
from samovar.nn.activations import Activation, activation
from samovar.nn.cache import Cache, EncoderDecoderCache
from samovar.nn.cross import DecoderBlock
from samovar.nn.disentangled import Distances
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.masks import attention_bias
from samovar.nn.positions import Alibi, RelativeBias
from samovar.nn.rotary import Rotation
from samovar.nn.windowed import Sight
from samovar.tasks.outputs import BaseModelOutput

FULL, SLIDING = "full_attention", "sliding_attention"


class Reading(NamedTuple):
    """What a block reads: numbers added to its scores, turns of queries and keys (or what else
    attention of its own kind needs), how many tokens a query sees."""

    bias: Tensor | None = None
    rotation: Rotation | Distances | Sight | None = None
    window: int | None = None


class Memory(NamedTuple):
    """What a decoder's blocks read beside their text: an encoder's states, and numbers added to scores of these."""

    states: Tensor
    bias: Tensor | None


class Pooler(nn.Module):
    """The first token's state through a dense layer and an activation (Devlin et al. 2019); `size=None` keeps it."""

    def __init__(self, hidden: int, size: int | None = None, act: str | Activation = "tanh") -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, size or hidden)
        self.act = activation(act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(batch, sequence, hidden) → (batch, size)."""
        return self.act(self.dense(hidden_states[:, 0]))


class Backbone(Model):
    """Base of all backbones; knows what every one of them does alike."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.tasks = {}

    has_pooler: ClassVar[bool] = False
    # The part that reads, where it is a model of its own.
    encoder_class: ClassVar[type[Backbone] | None] = None
    # Task → the named class for it; filled as the classes are declared.
    tasks: ClassVar[dict[str, type[Model]]] = {}

    @classmethod
    def for_head(cls, config: Config, pooled: bool) -> Backbone:
        """This backbone inside a model with a head; without its pooler when the head does not read it."""
        return cls(config, add_pooling_layer=pooled) if cls.has_pooler else cls(config)  # type: ignore[call-arg]

    def switches(
        self, output_attentions: bool | None, output_hidden_states: bool | None, return_dict: bool | None
    ) -> tuple[bool, bool, bool]:
        """The caller's choice, or the configuration's where the caller made none."""
        config = self.config
        return (
            config.output_attentions if output_attentions is None else output_attentions,
            config.output_hidden_states if output_hidden_states is None else output_hidden_states,
            config.return_dict if return_dict is None else return_dict,
        )

    def caches(self, past_key_values: Cache | None, use_cache: bool | None) -> Cache | None:
        """The cache to fill: the given one, a new one, or none; by default one where texts may go on from it.

        Raises `InputTypeError` for what is no cache.
        """
        if past_key_values is None:
            if use_cache is None:
                tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()
                use_cache = bool(getattr(self.config, "use_cache", True)) and not self.training and not tracing
            return self.new_cache() if use_cache else None
        if not isinstance(past_key_values, Cache):
            raise InputTypeError(
                f"past_key_values must be a cache, got {type(past_key_values).__name__}.",
                "Pass the past_key_values of an earlier output, or DynamicCache().",
            )
        return past_key_values

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache for this backbone, with room for at most `limit` tokens."""
        return EncoderDecoderCache(limit) if getattr(self.config, "add_cross_attention", False) else Cache(limit)

    def run_blocks(
        self,
        blocks: Iterable[nn.Module],
        x: Tensor,
        bias: Tensor | None,
        attentions: bool,
        cache: Cache | None = None,
        readings: Sequence[Reading] | None = None,
        memory: Memory | None = None,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The states before the first block and after each one, and both kinds of attention probabilities if asked for.

        `readings` say what each block reads, or a single one what all do; `memory` is what they read of an encoder.
        """
        states: list[Tensor] = [x]
        weights: list[Tensor] = []
        cross: list[Tensor] = []
        for index, block in enumerate(blocks):
            reading = Reading(bias) if readings is None else readings[index if len(readings) > 1 else 0]
            given: list[Any] = [reading.bias, attentions]
            walk: Callable[..., Any] = block
            if memory is not None and isinstance(block, DecoderBlock):
                walk, given = block.decode, [reading.bias, *memory, attentions]
                if isinstance(cache, EncoderDecoderCache):
                    given += [cache.layer(index), cache.source(index)]
            elif cache is not None or reading.rotation is not None:
                given += [None if cache is None else cache.layer(index, reading.window), reading.rotation]
            if self.gradient_checkpointing and self.training:
                x, *seen = torch.utils.checkpoint.checkpoint(walk, x, *given, use_reentrant=False)
            else:
                x, *seen = walk(x, *given)
            states.append(x)
            for found, kept in zip(seen, (weights, cross), strict=False):
                if found is not None:
                    kept.append(found)
        return states, weights, cross


class TextTransformer(Backbone):
    """Text in, one vector per token out.

    A subclass sets `embeddings` and `layers` (modules that map `(x, bias, probabilities)` to `(x, probabilities)`),
    and where it has them `norm` (after the last block), `pooler`, `relative_bias` and `alibi`; `causal` says that
    tokens read only earlier ones.

    Where blocks differ in what they read, `layer_kinds` names the kind of each one, `windows` says how many tokens a
    query of a kind sees, and `rotary` holds the rotations of each kind.
    """

    embeddings: TextEmbeddings
    layers: Iterable[nn.Module]
    causal = False

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm: nn.Module | None = None
        self.pooler: nn.Module | None = None
        self.relative_bias: RelativeBias | None = None
        self.alibi: Alibi | None = None
        self.layer_kinds: list[str] = []  # none: all blocks read the same
        self.windows: dict[str, int] = {}
        self.rotary: nn.ModuleDict | None = None  # a `Rotary` for each kind of block

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embedding (vocabulary, hidden)."""
        return self.embeddings.word

    def set_input_embeddings(self, embedding: nn.Embedding) -> None:
        """Replace the word embedding."""
        self.embeddings.word = embedding

    def resize_token_embeddings(self, new_num_tokens: int | None = None) -> nn.Embedding:
        """Grow or cut the vocabulary; new rows start at the mean of the old ones (Hewitt 2021)."""
        old = self.embeddings.word
        if new_num_tokens is None or new_num_tokens == old.num_embeddings:
            return old
        if new_num_tokens < 1:
            raise InputError(f"A vocabulary of {new_num_tokens} tokens was asked for.", "Give len(tokenizer).")
        self.embeddings.word = nn.Embedding(new_num_tokens, old.embedding_dim, old.padding_idx).to(old.weight)
        self.embeddings.word.weight = resized(old.weight, new_num_tokens)
        self.config.vocab_size = new_num_tokens
        return self.embeddings.word

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Ids (batch, sequence) → `last_hidden_state` (batch, sequence, hidden).

        `attention_mask` is 1 where a token is real; without it all are. A causal model goes on from
        `past_key_values`: the inputs are then the tokens after those that it holds, the mask may cover all or the new
        ones, and it comes back with them in it. `use_cache=True` begins one. Blocks with attention to a source read
        `encoder_hidden_states` (batch, source, hidden), whose mask is `encoder_attention_mask` (batch, source). Raises
        `InputError` unless exactly one of `input_ids` and `inputs_embeds` is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("Exactly one of input_ids and inputs_embeds is needed.", "Give the tokenizer's output.")
        attentions, all_states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        cache = self.caches(past_key_values, use_cache) if self.causal else None
        past = 0 if cache is None else cache.get_seq_length()
        # A trace serves a past of any length, so whether there is one is not asked there.
        whole = cache is not None and cache.whole
        if position_ids is None and attention_mask is not None:
            position_ids = self.masked_positions(attention_mask, past)
        x = (
            self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds, past)
            if whole or past
            else self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        )
        if cache is not None:
            attention_mask = cache.extend_mask(attention_mask, x.shape[1])
        if cache is not None and cache.paged:
            kinds = self.layer_kinds or [FULL]
            readings = [Reading(None, self.turns(kind, x, 0, position_ids), self.windows.get(kind)) for kind in kinds]
        else:
            readings = self.readings(attention_mask, x, past, position_ids, whole)
        memory = self.memory(encoder_hidden_states, encoder_attention_mask, cache)
        states, weights, cross = self.run_blocks(self.layers, x, None, attentions, cache, readings, memory)
        if self.norm is not None:
            states[-1] = self.norm(states[-1])
        output = BaseModelOutput(
            last_hidden_state=states[-1],
            past_key_values=cache,
            pooler_output=None if self.pooler is None else self.pooler(states[-1]),
            hidden_states=tuple(states) if all_states else None,
            attentions=tuple(weights) if attentions else None,
            cross_attentions=tuple(cross) if cross else None,
        )
        return output if as_dict else output.to_tuple()

    def memory(self, states: Tensor | None, mask: Tensor | None, cache: Cache | None) -> Memory | None:
        """What is read of an encoder. Raises `ConfigError` where no block can, `InputTypeError` for another cache."""
        if states is None:
            return None
        if not any(isinstance(block, DecoderBlock) for block in self.layers):
            raise ConfigError(
                f"{type(self).__name__} has no attention to an encoder, but encoder_hidden_states are given.",
                "Build it with is_decoder=True and add_cross_attention=True.",
            )
        if cache is not None and not isinstance(cache, EncoderDecoderCache):
            raise InputTypeError(
                f"past_key_values is a {type(cache).__name__}, which holds no source.", "Pass an EncoderDecoderCache()."
            )
        return Memory(states, attention_bias(mask, states.dtype))

    def masked_positions(self, attention_mask: Tensor, past: int) -> Tensor | None:
        """Positions of the new tokens where they depend on the mask; None: they count from the first column."""
        return None

    def readings(
        self, mask: Tensor | None, x: Tensor, past: int, position_ids: Tensor | None, whole: bool = False
    ) -> list[Reading]:
        """What each block reads, or what all of them read: made once for each kind of block.

        `whole`: the cache gives all tokens back also where a block has a window.
        """
        kinds = self.layer_kinds or [FULL]
        made = {kind: self.reading(kind, mask, x, past, position_ids, whole) for kind in dict.fromkeys(kinds)}
        return [made[kind] for kind in kinds]

    def reading(
        self, kind: str, mask: Tensor | None, x: Tensor, past: int, position_ids: Tensor | None, whole: bool = False
    ) -> Reading:
        """What a block of this kind reads: `mask` (batch, past + new), `x` (batch, new, hidden)."""
        new, window = x.shape[1], self.windows.get(kind)
        # A causal block with a window is given no more of the past than its first query sees.
        keys = past + new if window is None or not self.causal or whole else min(past, window - 1) + new
        if mask is not None and mask.ndim == 2:
            seen: Tensor | None = mask[:, mask.shape[1] - keys :]
        else:
            seen = mask
        # A trace serves texts of all lengths, so it does not ask whether this one fits into a window.
        tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if seen is None and (whole or (past and new > 1) or (window is not None and (tracing or keys > window))):
            seen = x.new_ones(1, keys)
        bias = attention_bias(seen, x.dtype, self.causal, new if whole or past else None, window)
        if self.relative_bias is not None:
            distances = self.relative_bias(keys, x.device, past).to(x.dtype)
            bias = distances if bias is None else bias + distances
        if self.alibi is not None:
            if bias is None:
                bias = attention_bias(x.new_ones(1, keys), x.dtype, self.causal, new if whole or past else None, window)
            bias = self.alibi(mask, keys, x.device).to(x.dtype) + bias
        return Reading(bias, self.turns(kind, x, past, position_ids), window if self.causal else None)

    def turns(self, kind: str, x: Tensor, past: int, position_ids: Tensor | None) -> Rotation | None:
        """The turns of queries and keys in blocks of this kind, where the model has any."""
        if self.rotary is None:
            return None
        new = x.shape[1]
        places = torch.arange(past, past + new, device=x.device)[None] if position_ids is None else position_ids
        return self.rotary[kind](places, x.dtype, past + new if position_ids is None else None)


def resized(rows: Tensor, count: int) -> nn.Parameter:
    """The first `count` rows, or all of them followed by rows equal to their mean."""
    with torch.no_grad():
        if count <= rows.shape[0]:
            return nn.Parameter(rows[:count].clone())
        mean = rows.float().mean(0, keepdim=True).to(rows.dtype)
        return nn.Parameter(torch.cat([rows, mean.expand(count - rows.shape[0], *rows.shape[1:])]))
