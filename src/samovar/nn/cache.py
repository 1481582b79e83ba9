"""Key–value caches: what a decoder has read, so that a further token costs one token.

A cache owns its memory, its mask and its length. Memory is taken ahead: a layer's keys and values lie in buffers with
room for more tokens, so that a step writes one column and copies nothing (Pope et al. 2022, section 3.3, describe the
reads that remain).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError

# Tokens for which room is made at once; a buffer that is full doubles.
ROOM = 64


class LayerCache:
    """Keys and values of one layer, (batch, heads, tokens, dim) each.

    With a `window` only as many tokens are given back, and kept, as a query sees; a few more are kept so that the
    last ones can be forgotten again.
    """

    paged: ClassVar[bool] = False  # whether `attend` is called in place of `update`

    def __init__(self, limit: int | None = None, window: int | None = None) -> None:
        self.limit = limit  # never more room than this, where the longest length is known
        self.window = window
        self.first = 0  # which token lies in the first column of the buffers
        self.length = 0
        self.owned = False  # whether the tensors are this cache's alone, to be written over
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def held(self) -> int:
        """How many columns of the buffers are filled."""
        return self.length - self.first

    def seen_from(self, token: int) -> int:
        """The first token that `token` sees."""
        return 0 if self.window is None else max(0, token - self.window + 1)

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (batch, heads, new, dim); returns those of all tokens that the new ones see.

        Raises `InputError` for a batch of another size.
        """
        start, new = self.length, key.shape[2]
        if self.keys is None or self.values is None or start == 0:
            # A prompt is kept as it is; room is made when a token follows.
            self.keys, self.values, self.owned = key, value, False
            self.first, self.length = 0, new
            return key, value
        if key.shape[0] != self.keys.shape[0]:
            raise InputError(
                f"The cache holds {self.keys.shape[0]} texts, {key.shape[0]} were given.", "Use one cache per batch."
            )
        seen = self.seen_from(start)
        if torch.is_grad_enabled() and (key.requires_grad or self.keys.requires_grad):
            # Gradients need what they were computed from: nothing is written over.
            self.keys = torch.cat([self.keys[:, :, seen - self.first : self.held], key], dim=2)
            self.values = torch.cat([self.values[:, :, seen - self.first : self.held], value], dim=2)
            self.first, self.length, self.owned = seen, start + new, False
            return self.keys, self.values
        self.make_room(new)
        begin, self.length = start - self.first, start + new
        self.keys.narrow(2, begin, new).copy_(key)
        self.values.narrow(2, begin, new).copy_(value)
        first, count = seen - self.first, self.length - seen
        return self.keys.narrow(2, first, count), self.values.narrow(2, first, count)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, softcap: float | None) -> Tensor:
        """What queries (1, heads, tokens, dim) read, of a cache that knows which tokens belong together."""
        raise NotImplementedError(f"{type(self).__name__} only stores.")

    def make_room(self, new: int) -> None:
        """Buffers for what is held and `new` more tokens; what no further token can see is dropped."""
        assert self.keys is not None
        assert self.values is not None
        needed = self.held + new
        if self.owned and needed <= self.keys.shape[2]:
            return
        kept = max(self.first, self.seen_from(self.length) - ROOM)
        columns = slice(kept - self.first, self.held)
        needed = self.length - kept + new
        room = max(needed + ROOM, 2 * (self.length - kept)) if self.window is None else needed + ROOM
        if self.limit is not None:
            room = max(needed, min(room, self.limit - kept))
        self.keys, self.values = (roomier(one[:, :, columns], room) for one in (self.keys, self.values))
        self.first, self.owned = kept, True

    def read(self, rows: Tensor) -> Tensor:
        """Stored keys or values as attention reads them."""
        return rows

    def describe(self, other: LayerCache) -> None:
        """Tell a copy how its rows are stored."""

    def change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Put `change(tensor)` in place of the keys and of the values."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values, self.owned = change(self.keys), change(self.values), True

    def crop(self, length: int) -> None:
        """Forget the tokens from `length` on. Raises `InputError` when those before them are no longer held."""
        length = min(self.length, length)
        if self.first > self.seen_from(length):
            raise InputError(
                f"A cache with a window of {self.window} tokens cannot go back from {self.length} tokens to {length}.",
                "Start from a new cache.",
            )
        self.length = length


def roomier(tensor: Tensor, room: int) -> Tensor:
    """(batch, heads, held, dim) at the beginning of a buffer (batch, heads, room, dim)."""
    buffer = tensor.new_empty(*tensor.shape[:2], room, tensor.shape[3])
    buffer[:, :, : tensor.shape[2]] = tensor
    return buffer


class Cache:
    """The layers' caches, the mask of what they hold, and its length.

    Filled by a model's `forward(past_key_values=cache, use_cache=True)`, which changes it in place and gives it back.
    `limit` is the longest length that will be held, where it is known; `layer_class` how a layer's part is stored.
    """

    layer_class: type[LayerCache] = LayerCache
    paged: ClassVar[bool] = False
    whole: ClassVar[bool] = False  # whether layers with a window give back all tokens

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.layers: list[LayerCache] = []
        self.mask: Tensor | None = None  # (batch, tokens), 0 on padding; None: no padding

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(keys, values) of each layer."""
        for layer in self.layers:
            if layer.keys is not None and layer.values is not None:
                yield layer.read(layer.keys[:, :, : layer.held]), layer.read(layer.values[:, :, : layer.held])

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return list(self)[index]

    def layer(self, index: int, window: int | None = None) -> LayerCache:
        """The cache of one layer, made when it is first asked for; `window`: how many tokens a query there sees."""
        while len(self.layers) <= index:
            self.layers.append(self.layer_class(self.limit, window))
        return self.layers[index]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens are held."""
        return self.layers[layer_idx].length if layer_idx < len(self.layers) else 0

    def nbytes(self) -> int:
        """Bytes of all buffers, room included."""
        tensors = [one for layer in self.layers for one in (layer.keys, layer.values) if one is not None]
        return sum(one.numel() * one.element_size() for one in tensors)

    def extend_mask(self, mask: Tensor | None, new: int) -> Tensor | None:
        """The mask of all tokens, (batch, held + new), from that of all or of the new ones; it is kept.

        Without one the new tokens are real. Raises `InputError` for a mask of another length.
        """
        held = self.get_seq_length()
        if mask is None:
            if self.mask is not None:
                self.mask = F.pad(self.mask[:, :held], (0, new), value=1)
            return self.mask
        if mask.ndim != 2:
            return mask
        if mask.shape[1] == new and held:
            before = mask.new_ones(mask.shape[0], held) if self.mask is None else self.mask[:, :held]
            mask = torch.cat([before.to(mask), mask], dim=1)
        if mask.shape[1] != held + new:
            raise InputError(
                f"attention_mask covers {mask.shape[1]} tokens; the cache holds {held} and {new} are given.",
                "Give a mask of all tokens, or of the new ones.",
            )
        self.mask = mask
        return mask

    def reorder(self, rows: Tensor, same_source: bool = False) -> None:
        """Let text i go on from what text `rows[i]` has read; a shorter `rows` drops texts, a longer one copies.

        `same_source`: texts i and `rows[i]` read the same source, so what was read of sources may stay where it is.
        """
        if self.mask is not None:
            self.mask = self.mask.index_select(0, rows.to(self.mask.device))
        for layer in self.layers:
            held = layer.held
            layer.change(lambda tensor, held=held: picked(tensor, rows, held))  # type: ignore[misc]

    reorder_cache = reorder

    def crop(self, max_length: int) -> None:
        """Forget the tokens from `max_length` on; a negative number forgets that many."""
        length = max_length if max_length >= 0 else self.get_seq_length() + max_length
        for layer in self.layers:
            layer.crop(length)
        if self.mask is not None:
            self.mask = self.mask[:, :length]

    def copy(self) -> Cache:
        """A cache of its own that holds the same, so that several texts can follow one beginning."""
        other = type(self)(self.limit)
        other.layer_class = self.layer_class
        self.copy_into(other)
        return other

    def copy_into(self, other: Cache) -> None:
        """Give `other` what this one holds; what is held is shared until a token is written."""
        other.mask = self.mask
        for index, layer in enumerate(self.layers):
            new = other.layer(index, layer.window)
            if layer.keys is not None and layer.values is not None:
                new.first, new.length, layer.owned = layer.first, layer.length, False
                new.keys, new.values = layer.keys[:, :, : layer.held], layer.values[:, :, : layer.held]
                layer.describe(new)


def picked(tensor: Tensor, rows: Tensor, held: int) -> Tensor:
    """These rows of a buffer, with the same room; only the tokens that are held are moved."""
    rows = rows.to(tensor.device)
    buffer = tensor.new_empty(len(rows), *tensor.shape[1:])
    buffer[:, :, :held] = tensor[:, :, :held].index_select(0, rows)
    return buffer


class EncoderDecoderCache(Cache):
    """What the decoder has written, and the keys and values of the source, which are computed once."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit)
        self.sources: list[LayerCache] = []

    def source(self, index: int) -> LayerCache:
        """The source's keys and values for one layer; empty until they are computed."""
        while len(self.sources) <= index:
            self.sources.append(LayerCache())
        return self.sources[index]

    def reorder(self, rows: Tensor, same_source: bool = False) -> None:
        super().reorder(rows)
        for layer in self.sources:
            if not same_source:
                layer.change(lambda tensor: tensor.index_select(0, rows.to(tensor.device)))

    def nbytes(self) -> int:
        """Bytes of all buffers, those of the source included."""
        tensors = [one for layer in self.sources for one in (layer.keys, layer.values) if one is not None]
        return super().nbytes() + sum(one.numel() * one.element_size() for one in tensors)

    reorder_cache = reorder

    def copy_into(self, other: Cache) -> None:
        super().copy_into(other)
        assert isinstance(other, EncoderDecoderCache)
        for index, layer in enumerate(self.sources):
            new = other.source(index)
            new.keys, new.values, new.length = layer.keys, layer.values, layer.length


class DynamicCache(Cache):
    """The field's name for a cache that grows with the text."""
