"""Keys and values in pages, so that texts of any length come and go (Kwon et al. 2023, PagedAttention).

All tokens of a step — one of each text that is being written, and pieces of prompts — stand in one row (1, tokens,
hidden). What has been read lies in a pool of blocks, in any order::

    pool   | text 2 | text 0 | —— | text 0 | shared by 0 and 2 | text 1 | …
    owner      2        0      ·      0              ·               1

A text's newest token reads the pool where it lies: one product of every block with its owner's query, whose softmax is
put together from the blocks (Milakov and Gimelshein 2018), and no block is ever copied. Blocks that several texts share
are read once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import ConfigError
from samovar.nn.cache import Cache, LayerCache
from samovar.nn.positions import Alibi

BLOCK = 32


class Shared(NamedTuple):
    """Blocks that the same texts read."""

    blocks: Tensor  # (blocks)
    starts: Tensor  # (blocks): the place of their first token
    slots: Tensor  # (texts)


class Piece(NamedTuple):
    """A part of a prompt, whose beginning may have been read before."""

    first: int  # its columns in the row
    last: int
    before: int  # tokens read earlier
    blocks: Tensor  # where these lie


class Step(NamedTuple):
    """Where the tokens of one call stand, and what they read; the same for all layers."""

    blocks: Tensor  # (tokens): the block to which each token is written
    places: Tensor  # (tokens): and its place there
    slots: Tensor  # (texts being written): their slots; their tokens are the first columns
    at: Tensor  # (slots + 1): the place of each slot's newest token; -1 where there is none
    owner: Tensor  # (used blocks): the slot that reads each; the last one is nobody's
    starts: Tensor  # (used blocks): the place of its first token
    shared: Sequence[Shared]
    pieces: Sequence[Piece]


class PagedLayer(LayerCache):
    """The pool of one layer, (blocks, heads, block, dim)."""

    paged = True

    def __init__(self, cache: PagedCache, window: int | None) -> None:
        super().__init__(None, window)
        self.cache = cache

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, softcap: float | None) -> Tensor:
        """Write keys and values, and let each token of the row read its own text; (1, heads, tokens, dim)."""
        step, heads = self.cache.step, key.shape[1]
        assert step is not None
        self.write(key, value, step)
        group = query.shape[1] // heads
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        count = len(step.slots)
        if count:
            asked = (query[0, :, :count] * scale).transpose(0, 1).unflatten(1, (heads, group))
            out[0, :, :count] = self.newest(asked, step, softcap).flatten(1, 2).transpose(0, 1)
        for piece in step.pieces:
            columns = slice(piece.first, piece.last)
            parts = (query[:, :, columns], key[:, :, columns], value[:, :, columns])
            out[:, :, columns] = self.prompt(*parts, piece, scale, softcap)
        return out

    def write(self, key: Tensor, value: Tensor, step: Step) -> None:
        """Put the row's keys and values into their blocks; the pool grows as more of them are used."""
        used, held = len(step.owner), 0 if self.keys is None else len(self.keys)
        if used > held:
            # Zeros where nothing is written, as 0 times an arbitrary number need not be 0.
            size = (min(self.cache.count, max(used, 2 * held)), key.shape[1], self.cache.block, key.shape[3])
            keys, values = key.new_zeros(size), value.new_zeros(size)
            if self.keys is not None and self.values is not None:
                keys[:held], values[:held] = self.keys, self.values
            self.keys, self.values = keys, values
        assert self.keys is not None
        assert self.values is not None
        self.keys[step.blocks, :, step.places] = key[0].transpose(0, 1)
        self.values[step.blocks, :, step.places] = value[0].transpose(0, 1)

    def newest(self, asked: Tensor, step: Step, softcap: float | None) -> Tensor:
        """One query of each text (texts, heads, group, dim) on all that it has read."""
        assert self.keys is not None
        assert self.values is not None
        every = asked.new_zeros(len(step.at), *asked.shape[1:])
        every[step.slots] = asked
        used = len(step.owner)
        scores = capped(every[step.owner] @ self.keys[:used].transpose(-1, -2), softcap)
        scores = scores + self.cache.bias(step, self.window)
        best = scores.new_full((len(step.at), *asked.shape[1:3]), torch.finfo(scores.dtype).min)
        raise_to(best, step.owner, scores.amax(-1))
        further = [self.of_shared(every, group, softcap) for group in step.shared]
        for group, (numbers, _) in zip(step.shared, further, strict=True):
            raise_to(best, group.slots, numbers.amax(-1))
        weights = (scores - best[step.owner][..., None]).exp_()
        total = torch.zeros_like(best).index_add_(0, step.owner, weights.sum(-1))
        mixed = torch.zeros_like(every).index_add_(0, step.owner, weights @ self.values[:used])
        for group, (numbers, values) in zip(step.shared, further, strict=True):
            shares = (numbers - best[group.slots][..., None]).exp_()
            total.index_add_(0, group.slots, shares.sum(-1))
            part = torch.einsum("thgk,hkd->thgd", shares, values)
            mixed.index_add_(0, group.slots, part)
        return mixed[step.slots] / total[step.slots][..., None]

    def of_shared(self, every: Tensor, group: Shared, softcap: float | None) -> tuple[Tensor, Tensor]:
        """Scores (texts, heads, group, tokens) of several texts on blocks that they share, and the values there."""
        assert self.keys is not None
        assert self.values is not None
        keys, values = (one[group.blocks].transpose(0, 1).flatten(1, 2) for one in (self.keys, self.values))
        scores = capped(torch.einsum("thgd,hkd->thgk", every[group.slots], keys), softcap)
        places = (group.starts[:, None] + torch.arange(self.cache.block, device=keys.device)).flatten()
        if self.window is not None and self.cache.step is not None:
            early = places <= (self.cache.step.at[group.slots] - self.window)[:, None]
            scores = scores.masked_fill(early[:, None, None], torch.finfo(scores.dtype).min)
        penalty = self.cache.penalty(places, keys.shape[0])
        return scores if penalty is None else scores + penalty, values

    def prompt(
        self, query: Tensor, key: Tensor, value: Tensor, piece: Piece, scale: float, softcap: float | None
    ) -> Tensor:
        """A piece of a prompt on itself and on what was read of it before."""
        assert self.keys is not None
        assert self.values is not None
        group = query.shape[1] // key.shape[1]
        if piece.before:
            earlier = (one[piece.blocks].transpose(0, 1).flatten(1, 2) for one in (self.keys, self.values))
            key, value = (
                torch.cat([old[None, :, : piece.before], new], dim=2)
                for old, new in zip(earlier, (key, value), strict=True)
            )
        if group > 1:
            key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
        new, keys = query.shape[2], key.shape[2]
        penalty = self.cache.penalty(torch.arange(keys, device=key.device), query.shape[1])
        if piece.before == 0 and softcap is None and penalty is None and (self.window is None or keys <= self.window):
            return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        seen = torch.ones(new, keys, dtype=torch.bool, device=key.device).tril(keys - new)
        if self.window is not None:
            seen = seen.triu(keys - new - self.window + 1)
        bias = torch.zeros((), dtype=query.dtype, device=key.device).masked_fill(~seen, torch.finfo(query.dtype).min)
        if penalty is not None:
            bias = bias + penalty[:, 0].unsqueeze(1)
        if softcap is None:
            return F.scaled_dot_product_attention(query, key, value, bias, scale=scale)
        scores = capped(query @ key.transpose(-1, -2) * scale, softcap) + bias
        return scores.softmax(-1) @ value


def raise_to(best: Tensor, rows: Tensor, values: Tensor) -> None:
    """Raise row `rows[i]` of `best` to `values[i]` where that is larger."""
    best.scatter_reduce_(0, rows.view(-1, *[1] * (values.ndim - 1)).expand_as(values), values, "amax")


def capped(scores: Tensor, softcap: float | None) -> Tensor:
    """Scores within ± `softcap`."""
    return scores if softcap is None else (scores / softcap).tanh() * softcap


class PagedCache(Cache):
    """The layers' pools of `count` blocks of `block` tokens; `step` is set before each call of the model.

    `alibi` gives numbers that are added to the scores of each head on each place, for models that have them; no text
    may have more than `longest` tokens.
    """

    paged = True

    def __init__(self, count: int, block: int = BLOCK, alibi: Alibi | None = None, longest: int | None = None) -> None:
        super().__init__()
        self.count, self.block, self.alibi, self.longest = count, block, alibi, longest
        self.penalties: Tensor | None = None  # (heads, places), as many as were needed so far
        self.step: Step | None = None
        self.known: dict[int | None, Tensor] = {}  # numbers for the scores of this step, for each window

    def begin(self, step: Step) -> None:
        """What the next call of the model reads and writes."""
        self.step, self.known = step, {}

    def layer(self, index: int, window: int | None = None) -> LayerCache:
        while len(self.layers) <= index:
            self.layers.append(PagedLayer(self, window))
        return self.layers[index]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """0: the row holds tokens of many texts, each with a place of its own."""
        return 0

    def extend_mask(self, mask: Tensor | None, new: int) -> Tensor | None:
        """None: there is no padding. Raises `ConfigError` for a mask."""
        if mask is not None:
            raise ConfigError("Texts in pages have no padding.", "Leave attention_mask out.")
        return None

    def bias(self, step: Step, window: int | None) -> Tensor:
        """What is added to scores of the pool, (used blocks, heads or 1, group or 1, block): made once a step."""
        if window not in self.known:
            places = step.starts[:, None] + torch.arange(self.block, device=step.starts.device)
            now = step.at[step.owner][:, None]
            seen = places <= now
            if window is not None:
                seen &= places > now - window
            lowest = torch.finfo(self.dtype()).min
            bias = torch.zeros((), dtype=self.dtype(), device=seen.device).masked_fill(~seen, lowest)[:, None, None]
            keys = next(one.keys for one in self.layers if one.keys is not None)
            penalty = self.penalty(places.flatten(), keys.shape[1])
            if penalty is not None:
                # (heads, group, blocks × block) → (blocks, heads, group, block)
                bias = bias + penalty.unflatten(-1, places.shape).permute(2, 0, 1, 3)
            self.known[window] = bias
        return self.known[window]

    def dtype(self) -> torch.dtype:
        """The type of what is stored."""
        return next(one.keys.dtype for one in self.layers if one.keys is not None)

    def penalty(self, places: Tensor, heads: int) -> Tensor | None:
        """The numbers for these places (heads, group, places), where the model has any."""
        if self.alibi is None:
            return None
        needed = self.count * self.block
        if self.penalties is None or self.penalties.shape[1] < needed:
            self.penalties = self.alibi(None, needed, places.device)[0, :, 0]
        return self.penalties[:, places].unflatten(0, (heads, -1)).to(self.dtype())

    def reorder(self, rows: Tensor, same_source: bool = False) -> None:
        """Raises `ConfigError`: texts in pages have no order."""
        raise ConfigError("Texts in pages cannot be reordered.", "Write them with `generate`.")

    def crop(self, max_length: int) -> None:
        """Raises `ConfigError`: forgetting is up to whoever hands out the blocks."""
        raise ConfigError("Texts in pages cannot be cropped.", "Write them with `generate`.")


def paged_cache(backbone: Any, count: int, block: int) -> PagedCache:
    """A cache in pages for a backbone. Raises `ConfigError` for one whose texts cannot share a row."""
    from samovar.nn.attention import Attention, Float32Attention
    from samovar.nn.rope_kinds import BY_LENGTH
    from samovar.nn.transformer import TextTransformer

    kinds = {type(module) for module in backbone.modules() if isinstance(module, Attention)}
    plain = isinstance(backbone, TextTransformer) and backbone.causal and backbone.relative_bias is None
    if not plain or not kinds or kinds - {Attention, Float32Attention}:
        raise ConfigError(f"{type(backbone).__name__} does not write in pages.", "Use generate.")
    # Angles that depend on the length of a text are other ones for each text of a row.
    short = [one.short for one in (backbone.rotary or {}).values() if one.kind in BY_LENGTH]
    return PagedCache(count, block, backbone.alibi, min(short, default=None))
