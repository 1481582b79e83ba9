"""The random numbers of sampling: one stream per text, which does not depend on the texts beside it.

A stream is derived from the seed, from the prompt's own tokens (padding left out) and from how many equal prompts
stand before it in the batch. So a prompt's sample is the same alone, in any batch and at any place in it, and
`num_return_sequences` copies of a prompt differ. The seed is `GenerationConfig.seed`, or else is drawn from
PyTorch's global generator, so that `torch.manual_seed` makes a whole program repeatable.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import torch
from torch import Tensor

from samovar.generation.prompt import Prompt

BLOCK = 64


class Draws:
    """Uniform numbers in [0, 1): one per text and step; step t of a text is always the t-th number of its stream."""

    def __init__(self, prompt: Prompt, seed: int | None, device: torch.device, earlier: int = 0) -> None:
        seed = int(torch.randint(2**62, ())) if seed is None else seed
        self.generators = [torch.Generator().manual_seed(one) for one in stream_seeds(prompt, seed, earlier)]
        # Single precision has too few numbers for large vocabularies, but is all that some devices have.
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self.device = device
        self.block = torch.empty(len(self.generators), 0, device=device, dtype=self.dtype)

    def uniform(self, step: int) -> Tensor:
        """The numbers of this step, (rows)."""
        while step >= self.block.shape[1]:
            more = [torch.rand(BLOCK, generator=one, dtype=torch.float64) for one in self.generators]
            self.block = torch.cat([self.block, torch.stack(more).to(self.device, self.dtype)], dim=1)
        return self.block[:, step]

    def gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Gumbel noise (rows, *shape), for sampling without replacement (Kool et al. 2019)."""
        noise = [torch.empty(shape).exponential_(generator=one) for one in self.generators]
        return -torch.stack(noise).log().to(self.device)


def stream_seeds(prompt: Prompt, seed: int, earlier: int = 0) -> list[int]:
    """One number per row; `earlier` equal prompts came before, in other batches."""
    rows = real_tokens(prompt.ids, prompt.mask)
    if prompt.encoder_ids is not None:
        sources = real_tokens(prompt.encoder_ids, prompt.encoder_mask)
        rows = [[*row, -1, *source] for row, source in zip(rows, sources, strict=True)]
    seen: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for row in map(tuple, rows):
        digest = hashlib.blake2b(repr((seed, seen[row] + earlier, row)).encode(), digest_size=8).digest()
        seeds.append(int.from_bytes(digest, "little") >> 1)
        seen[row] += 1
    return seeds


def real_tokens(ids: Tensor, mask: Tensor | None) -> list[list[int]]:
    """The ids of each row without padding."""
    if mask is None:
        return ids.tolist()
    return [row[real].tolist() for row, real in zip(ids.cpu(), mask.bool().cpu(), strict=True)]


def pick(scores: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative probability passes `uniform` (rows), for scores (rows, vocabulary)."""
    cumulative = scores.softmax(-1, dtype=uniform.dtype).cumsum(-1)
    # The factor keeps the target below the total, so that no token of probability 0 is ever taken.
    target = uniform[:, None] * (cumulative[:, -1:] * (1 - 2 ** (-40 if uniform.dtype == torch.float64 else -20)))
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=scores.shape[-1] - 1)[:, 0]
