"""Attention in windows, with some tokens that read and are read by all (Beltagy et al. 2020, Longformer)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.nn.attention import Attention
from samovar.nn.cache import LayerCache

HIDDEN, LOCAL, GLOBAL = 0, 1, 2
"""What a token is in the mask: padding, a token that reads its window, a token that reads all."""


@dataclass
class Sight:
    """Who reads whom: made once per call for all blocks with windows of one width, `reach` tokens to each side."""

    kinds: Tensor  # (batch, sequence), of the three above
    reach: int
    globals: Tensor | None  # (batch, globals): where they are; rows of fewer repeat the text's first token
    present: Tensor | None  # (batch, globals): whether that one is a global token

    @classmethod
    def of(cls, kinds: Tensor, reach: int, traced: bool) -> Sight:
        """The sight that a mask gives; a trace asks nothing about its numbers."""
        if traced:
            return cls(kinds, reach, None, None)
        chosen = kinds == GLOBAL
        count = int(chosen.sum(-1).max())
        if not count:
            return cls(kinds, reach, kinds.new_zeros(kinds.shape[0], 0), chosen[:, :0])
        # A stable sort brings the global tokens of each text to its front, in order.
        places = (~chosen).long().sort(dim=-1, stable=True).indices[:, :count]
        return cls(kinds, reach, places, chosen.gather(1, places))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """(batch, 1, sequence, sequence): what is added to the scores of all pairs."""
        places = torch.arange(self.kinds.shape[1], device=self.kinds.device)
        near = (places[:, None] - places[None, :]).abs() <= self.reach
        seen = (near & (self.kinds != HIDDEN)[:, None, :]) | (self.kinds == GLOBAL)[:, None, :]
        return added(seen, dtype)[:, None]


def added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where something is seen, the most negative finite number elsewhere."""
    return torch.zeros((), dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)


class WindowedAttention(Attention):
    """Attention of each token to its window and to global tokens; of global tokens to all, by weights of their own.

    Long texts are cut into chunks as wide as half a window, each of which reads itself, its two neighbours and the
    global tokens: time and memory grow linearly. Texts that are not much longer than that are computed whole.
    """

    def __init__(self, hidden: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__(hidden, heads, dropout=dropout)
        self.global_q_proj = nn.Linear(hidden, hidden)
        self.global_k_proj = nn.Linear(hidden, hidden)
        self.global_v_proj = nn.Linear(hidden, hidden)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        sight: Sight | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden) → the same shape, and (batch, heads, sequence, sequence) when asked for."""
        assert sight is not None
        query, key, value = self.project(x)
        weights: Tensor | None = None
        if probabilities or sight.globals is None or x.shape[1] <= 3 * sight.reach:
            mixed, weights = self.mix(query, key, value, sight.dense(x.dtype), probabilities)
        else:
            mixed = self.chunks(query, key, value, sight, sight.globals)
        mixed = mixed.transpose(1, 2).flatten(2) * (sight.kinds != HIDDEN)[..., None].to(x.dtype)
        if sight.globals is None or sight.globals.shape[1]:
            mixed, weights = self.read_all(x, mixed, weights, sight)
        return self.o_proj(mixed), weights if probabilities else None

    def chunks(self, query: Tensor, key: Tensor, value: Tensor, sight: Sight, places: Tensor) -> Tensor:
        """The same as all pairs under `Sight.dense`, at linear cost; (batch, heads, sequence, head_dim)."""
        batch, heads, length, width = query.shape
        reach = sight.reach
        count = -(-length // reach)
        tail = count * reach - length
        queries = F.pad(query, (0, 0, 0, tail)).view(batch, heads, count, reach, width).transpose(1, 2)
        # Global tokens are read as such, so their windows' columns are hidden.
        local = F.pad(sight.kinds == LOCAL, (reach, reach + tail)).unfold(1, 3 * reach, reach)
        steps = torch.arange(reach, device=query.device)[:, None]
        columns = torch.arange(3 * reach, device=query.device)[None, :]
        band = (columns - reach - steps).abs() <= reach
        assert sight.present is not None
        always = sight.present[:, None, None, :].expand(-1, count, reach, -1)
        seen = torch.cat([always, local[:, :, None, :] & band], dim=-1)
        rows = places[:, None, :, None].expand(-1, heads, -1, width)

        def around(x: Tensor) -> Tensor:
            """(batch × chunks, heads, globals + 3 · reach, head_dim)."""
            near = F.pad(x, (0, 0, reach, reach + tail)).unfold(2, 3 * reach, reach).permute(0, 2, 1, 4, 3)
            far = x.gather(2, rows)[:, None].expand(-1, count, -1, -1, -1)
            return torch.cat([far, near], dim=3).flatten(0, 1)

        bias = added(seen, query.dtype).flatten(0, 1)[:, None]
        mixed, _ = self.mix(queries.flatten(0, 1), around(key), around(value), bias, False)
        return mixed.unflatten(0, (batch, count)).transpose(1, 2).flatten(2, 3)[:, :, :length]

    def read_all(self, x: Tensor, mixed: Tensor, weights: Tensor | None, sight: Sight) -> tuple[Tensor, Tensor | None]:
        """`mixed` (batch, sequence, hidden) and the probabilities with the rows of global tokens in their place."""
        batch, hidden = x.shape[0], mixed.shape[2]
        if sight.globals is None:  # of any number: all tokens are computed
            places = torch.arange(x.shape[1], device=x.device)[None].expand(batch, -1)
            present = sight.kinds == GLOBAL
        else:
            assert sight.present is not None
            places, present = sight.globals, sight.present
        rows = places[..., None].expand(-1, -1, hidden)
        query = self.split(self.global_q_proj(x.gather(1, rows)))
        key, value = self.split(self.global_k_proj(x)), self.split(self.global_v_proj(x))
        bias = added(sight.kinds != HIDDEN, x.dtype)[:, None, None, :]
        read, seen = self.mix(query, key, value, bias, weights is not None)
        kept = torch.where(present[..., None], read.transpose(1, 2).flatten(2), mixed.gather(1, rows))
        mixed = mixed.scatter(1, rows, kept)
        if weights is not None and seen is not None:
            rows = places[:, None, :, None].expand(-1, weights.shape[1], -1, weights.shape[-1])
            seen = torch.where(present[:, None, :, None], seen, weights.gather(2, rows))
            weights = weights.scatter(2, rows, seen)
        return mixed, weights


def by_window(weights: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
    """Probabilities of all pairs as the field gives them for these models.

    (batch, heads, sequence, globals + 2 · reach + 1): to the global tokens, then to the window from its first token to
    its last, with 0 where a global token stands in it and in rows of global tokens and padding; and
    (batch, heads, sequence, globals), from each global token to all.
    """
    assert sight.globals is not None
    assert sight.present is not None
    heads, length = weights.shape[1:3]
    present = sight.present[:, None, None, :]
    to_all = sight.globals[:, None, None, :].expand(-1, heads, length, -1)
    far = weights.gather(3, to_all) * present
    near = F.pad(weights * (sight.kinds == LOCAL)[:, None, None, :], (sight.reach, sight.reach))
    places = torch.arange(length, device=weights.device)[:, None]
    window = places + torch.arange(2 * sight.reach + 1, device=weights.device)[None, :]
    near = near.gather(3, window.expand(*weights.shape[:2], -1, -1))
    local = torch.cat([far, near], dim=-1) * (sight.kinds == LOCAL)[:, None, :, None]
    from_all = sight.globals[:, None, :, None].expand(-1, heads, -1, length)
    return local, (weights.gather(2, from_all) * sight.present[:, None, :, None]).transpose(2, 3)
