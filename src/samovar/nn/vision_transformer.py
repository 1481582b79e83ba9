"""Vision transformers: the walk from pixels through blocks to one vector per patch, written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from samovar.config import Config
from samovar.nn.patches import ImageEmbeddings, PatchEmbeddings
from samovar.nn.vision_backbone import VisionBackbone
from samovar.tasks.outputs import BaseModelOutput


class FirstToken(nn.Module):
    """A pooler without weights: the first token's state."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(batch, sequence, hidden) → (batch, hidden)."""
        return hidden_states[:, 0]


class VisionTransformer(VisionBackbone):
    """Pixels in, one vector per leading token and patch out.

    A subclass sets `embeddings`, `layers` (modules that map `(x, bias, probabilities)` to `(x, probabilities)`),
    `norm` (after the last block), and `pooler` where it has one.
    """

    embeddings: ImageEmbeddings
    layers: Iterable[nn.Module]
    norm: nn.Module

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.pooler: nn.Module | None = None

    def get_input_embeddings(self) -> PatchEmbeddings:
        """The projection of patches."""
        return self.embeddings.patch_embeddings

    def forward(
        self,
        pixel_values: Tensor | None = None,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """(batch, channels, height, width) → `last_hidden_state` (batch, tokens, hidden), which is normalised.

        The entries of `hidden_states` are not: they are the residual stream before the first block and after each.
        `interpolate_pos_encoding` resizes the positions for images of another size. Raises `InputError` for a wrong
        shape or size.
        """
        attentions, all_states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        x = self.embeddings(self.pixels(pixel_values), bool_masked_pos, interpolate_pos_encoding)
        states, weights, _ = self.run_blocks(self.layers, x, None, attentions)
        last = self.norm(states[-1])
        output = BaseModelOutput(
            last_hidden_state=last,
            pooler_output=None if self.pooler is None else self.pooler(last),
            hidden_states=tuple(states) if all_states else None,
            attentions=tuple(weights) if attentions else None,
        )
        return output if as_dict else output.to_tuple()
