"""Key–value caches: what a decoder has read, so that a further token costs one token.

A cache owns its memory, its mask and its length. Memory is taken ahead: a layer's keys and values lie in buffers with
room for more tokens, so that a step writes one column and copies nothing (Pope et al. 2022, section 3.3, describe the
reads that remain).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError

# Tokens for which room is made at once; a buffer that is full doubles.
ROOM = 64


class LayerCache:
    """Keys and values of one layer, (batch, heads, tokens, dim) each."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit  # never more room than this, where the longest length is known
        self.length = 0
        self.owned = False  # whether the tensors are this cache's alone, to be written over
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (batch, heads, new, dim); returns those of all tokens.

        Raises `InputError` for a batch of another size.
        """
        start, self.length = self.length, self.length + key.shape[2]
        if self.keys is None or self.values is None or start == 0:
            # A prompt is kept as it is; room is made when a token follows.
            self.keys, self.values, self.owned = key, value, False
            return key, value
        if key.shape[0] != self.keys.shape[0]:
            self.length = start
            raise InputError(
                f"The cache holds {self.keys.shape[0]} texts, {key.shape[0]} were given.", "Use one cache per batch."
            )
        if torch.is_grad_enabled() and (key.requires_grad or self.keys.requires_grad):
            # Gradients need what they were computed from: nothing is written over.
            self.keys = torch.cat([self.keys[:, :, :start], key], dim=2)
            self.values = torch.cat([self.values[:, :, :start], value], dim=2)
            self.owned = False
            return self.keys, self.values
        self.make_room(start)
        self.keys[:, :, start : self.length] = key
        self.values[:, :, start : self.length] = value
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def make_room(self, held: int) -> None:
        """Buffers for `length` tokens, of which `held` are there."""
        assert self.keys is not None
        assert self.values is not None
        if self.owned and self.length <= self.keys.shape[2]:
            return
        room = max(2 * held, self.length + ROOM)
        if self.limit is not None:
            room = max(self.length, min(room, self.limit))
        self.keys, self.values = (roomier(one[:, :, :held], room) for one in (self.keys, self.values))
        self.owned = True

    def change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Put `change(tensor)` in place of the keys and of the values."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values, self.owned = change(self.keys), change(self.values), True

    def crop(self, length: int) -> None:
        """Forget the tokens from `length` on."""
        self.length = min(self.length, length)


def roomier(tensor: Tensor, room: int) -> Tensor:
    """(batch, heads, held, dim) at the beginning of a buffer (batch, heads, room, dim)."""
    buffer = tensor.new_empty(*tensor.shape[:2], room, tensor.shape[3])
    buffer[:, :, : tensor.shape[2]] = tensor
    return buffer


class Cache:
    """The layers' caches, the mask of what they hold, and its length.

    Filled by a model's `forward(past_key_values=cache, use_cache=True)`, which changes it in place and gives it back.
    `limit` is the longest length that will be held, where it is known.
    """

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
                yield layer.keys[:, :, : layer.length], layer.values[:, :, : layer.length]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return list(self)[index]

    def layer(self, index: int) -> LayerCache:
        """The cache of one layer, made when it is first asked for."""
        while len(self.layers) <= index:
            self.layers.append(LayerCache(self.limit))
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
            length = layer.length
            layer.change(lambda tensor, length=length: picked(tensor, rows, length))  # type: ignore[misc]

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
        self.copy_into(other)
        return other

    def copy_into(self, other: Cache) -> None:
        """Give `other` what this one holds; what is held is shared until a token is written."""
        other.mask = self.mask
        for index, layer in enumerate(self.layers):
            new = other.layer(index)
            if layer.keys is not None and layer.values is not None:
                new.length, layer.owned = layer.length, False
                new.keys, new.values = layer.keys[:, :, : layer.length], layer.values[:, :, : layer.length]


def picked(tensor: Tensor, rows: Tensor, length: int) -> Tensor:
    """These rows of a buffer, with the same room; only the tokens that are held are moved."""
    rows = rows.to(tensor.device)
    buffer = tensor.new_empty(len(rows), *tensor.shape[1:])
    buffer[:, :, :length] = tensor[:, :, :length].index_select(0, rows)
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


DynamicCache = Cache
