"""A model called step by step: it is given only what it has not read yet, and its cache follows the texts."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError
from samovar.generation.config import GenerationConfig
from samovar.generation.prompt import Prompt, each_tensor
from samovar.nn.cache import Cache
from samovar.nn.int8_cache import Int8LayerCache
from samovar.nn.positions import PaddingAwarePositions
from samovar.nn.rotary import turning_point

CACHE = "past_key_values"
# `cache_implementation`s that store whole numbers.
WHOLE = ("int8", "quantized")


class Steps:
    """Calls of one model for texts that grow.

    With a cache, a call is given the tokens after those already read; a model without one is given all of them.
    Positions are passed where a prompt is padded on the left: real tokens count from 0.
    """

    def __init__(self, model: Any, prompt: Prompt, config: GenerationConfig, copies: int = 1) -> None:
        self.model = model
        self.prompt = prompt
        self.copies = copies
        self.accepted = inspect.signature(model.forward).parameters
        self.encoder_decoder = prompt.encoder_outputs is not None
        self.before = prompt.length - prompt.ids.shape[1]  # positions that have no id
        self.live: Tensor | None = None  # the rows that are still read, once some are not
        self.cached = bool(config.use_cache) and "past_key_values" in self.accepted
        self.cache: Any = prompt.further.get("past_key_values")
        self.room = config.max_length + self.before if config.max_length else None
        self.whole = config.cache_implementation in WHOLE
        if self.cached and self.cache is None:
            self.cache = self.empty_cache()
        self.read = cache_length(self.cache) if self.cached else 0
        if self.read >= prompt.length:
            raise InputError(
                f"past_key_values hold {self.read} tokens, the prompt has {prompt.length}: none is left to read.",
                "Give the whole text, of which the cache holds the beginning.",
            )
        outputs = {"output_attentions": config.output_attentions, "output_hidden_states": config.output_hidden_states}
        self.outputs = {name: True for name, wanted in outputs.items() if wanted}
        counts_itself = any(isinstance(module, PaddingAwarePositions) for module in model.modules())
        self.positions = prompt.mask is not None and "position_ids" in self.accepted and not counts_itself
        self.turn = turning_point(model)

    def empty_cache(self) -> Any:
        """A cache of the model's kind; None where the model makes it itself."""
        if not hasattr(self.model, "new_cache"):
            return None
        cache = self.model.new_cache(self.room)
        if self.whole:
            cache.layer_class = Int8LayerCache
        return cache

    def __call__(self, ids: Tensor, keep: int = 1) -> Any:
        """The model's output for texts (rows, length); logits of at least the last `keep` positions.

        With `copies` of each prompt, the first call reads every prompt once and multiplies what came of it.
        """
        copies, self.copies = self.copies, 1
        if copies == 1:
            return self.call(ids, keep) if self.live is None else self.call_live(ids, keep)
        if not self.cached:
            self.prompt = self.prompt.expanded(copies)
            return self.call(ids, keep)
        output = self.call(ids[::copies], keep)
        self.prompt = self.prompt.expanded(copies)
        self.reorder(torch.arange(len(ids), device=ids.device) // copies)
        fields = {name: one for name, one in output.items() if name != CACHE}
        return type(output)(**each_tensor(fields, lambda tensor: tensor.repeat_interleave(copies, dim=0)))

    def call_live(self, ids: Tensor, keep: int) -> Any:
        """A call for the unfinished texts alone; the logits of the others are 0."""
        output = self.call(ids[self.live], keep)
        every = output.logits.new_zeros(len(ids), *output.logits.shape[1:])
        return type(output)(logits=every.index_copy_(0, self.live, output.logits))

    def drop(self, finished: Tensor) -> None:
        """Read no further tokens of finished texts (rows), whose memory is given back."""
        live = (~finished).nonzero()[:, 0]
        kept = live if self.live is None else torch.isin(self.live, live).nonzero()[:, 0]
        self.live = live
        self.prompt = self.prompt.selected(kept)
        self.reorder(kept)

    def call(self, ids: Tensor, keep: int) -> Any:
        """One call of the model."""
        if self.turn is not None and self.read and self.passes(ids, self.turn):
            self.cache, self.read = self.empty_cache(), 0
        arguments = self.arguments(ids)
        if "logits_to_keep" in self.accepted:
            arguments["logits_to_keep"] = keep
        output = self.model(**arguments, **self.outputs, return_dict=True)
        if self.cached:
            self.cache = output.past_key_values
            self.read = ids.shape[1] + self.before
        return output

    def passes(self, ids: Tensor, length: int) -> bool:
        """Whether a text becomes longer than `length` by what it has not read yet."""
        after = ids.shape[1] + self.before
        if after <= length:
            return False
        padding = 0 if self.prompt.mask is None or not self.positions else (self.prompt.mask == 0).sum(-1)
        was, will = (torch.as_tensor(one - padding) for one in (self.read, after))
        return bool(((was <= length) & (will > length)).any())

    def drafted(self, length: int, longest: int) -> int:
        """How many tokens a draft may add to a text of this length: all are to be read alike."""
        left = longest if self.turn is None else self.turn - length - self.before
        return longest if left < 0 else min(longest, left)

    def arguments(self, ids: Tensor) -> dict[str, Any]:
        """The keyword arguments of one call."""
        length, first = ids.shape[1] + self.before, self.read
        further = self.prompt.further.items()
        arguments = {name: along(one, self.prompt.length, length, first) for name, one in further if name != CACHE}
        mask = (
            None
            if self.prompt.mask is None
            else F.pad(self.prompt.mask, (0, length - self.prompt.mask.shape[1]), value=1)
        )
        if self.encoder_decoder:
            arguments |= {
                "encoder_outputs": self.prompt.encoder_outputs,
                "attention_mask": self.prompt.encoder_mask,
                "decoder_input_ids": ids[:, first:],
            }
            if mask is not None:
                arguments["decoder_attention_mask"] = mask
        else:
            arguments |= {"attention_mask": mask, **self.given(ids, first)}
        if mask is not None and self.positions and "position_ids" not in arguments:
            arguments["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, first:]
        if self.cached:
            arguments |= {CACHE: self.cache, "use_cache": True}
        elif "use_cache" in self.accepted:
            arguments["use_cache"] = False
        return arguments

    def given(self, ids: Tensor, first: int) -> dict[str, Tensor]:
        """A decoder's text from position `first` on: ids, or vectors while the prompt's are among them."""
        if self.prompt.embeds is None or first >= self.prompt.length:
            return {"input_ids": ids[:, first - self.before :]}
        written = self.model.get_input_embeddings()(ids[:, self.prompt.ids.shape[1] :])
        return {"inputs_embeds": torch.cat([self.prompt.embeds, written], dim=1)[:, first:]}

    def reorder(self, rows: Tensor, same_source: bool = False) -> None:
        """Let row i go on from what row `rows[i]` has read; `same_source`: the two are continuations of one prompt."""
        if self.cache is not None:
            options = {"same_source": True} if same_source and isinstance(self.cache, Cache) else {}
            self.cache.reorder(rows, **options)

    def crop(self, length: int) -> None:
        """Forget what was read after `length` tokens."""
        length += self.before
        if self.cached and self.read > length:
            self.cache.crop(length)
            self.read = length


def cache_length(cache: Any) -> int:
    """How many tokens a cache holds."""
    return 0 if cache is None else int(cache.get_seq_length())


def along(value: Any, prompt: int, length: int, first: int) -> Any:
    """A further argument for the tokens from `first` on: what is given per token of the prompt goes on as it ended."""
    if not isinstance(value, Tensor) or value.ndim != 2 or value.shape[1] != prompt:
        return value
    return F.pad(value[:, None].float(), (0, length - value.shape[1]), mode="replicate")[:, 0].to(value.dtype)[
        :, first:
    ]
