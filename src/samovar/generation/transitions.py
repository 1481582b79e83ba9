"""The scores of the tokens that were written, read back from what a decoding loop recorded."""

from __future__ import annotations

import torch
from torch import Tensor


def transition_scores(
    sequences: Tensor, scores: tuple[Tensor, ...], beam_indices: Tensor | None, normalize: bool
) -> Tensor:
    """The score of each written token, (rows, new tokens); 0 after the end of a beam.

    `scores`: per step (rows of the search, vocabulary); `beam_indices` (rows, new tokens) says from which of them a
    token was taken, -1 after the end. `normalize` makes log-probabilities of the scores first.
    """
    stacked = torch.stack(scores, dim=1)  # (rows of the search, steps, vocabulary)
    if normalize:
        stacked = stacked.log_softmax(-1)
    if beam_indices is None:
        written = sequences[:, sequences.shape[1] - len(scores) :]
        return stacked.gather(-1, written[..., None])[..., 0]
    steps = int((beam_indices >= 0).sum(1).max())
    origins = beam_indices[:, :steps]
    written = sequences[:, sequences.shape[1] - steps :]
    values = stacked[origins.clamp(min=0), torch.arange(steps, device=origins.device), written]
    return values.masked_fill(origins < 0, 0.0)
