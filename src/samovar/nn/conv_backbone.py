"""Convolutional backbones: the walk from pixels through stages to a feature map, written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from samovar.errors import ConfigError
from samovar.nn.vision_backbone import VisionBackbone
from samovar.tasks.outputs import BaseModelOutput


class ConvBackbone(VisionBackbone):
    """Pixels in, a feature map and its mean out; images may have any size.

    A subclass sets `stem` and `stages`, and `norm` where the mean is normalised.
    """

    stem: nn.Module
    stages: Iterable[nn.Module]

    def pool(self, x: Tensor) -> Tensor:
        """The mean over height and width, as the family returns it."""
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        output_attentions: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """(batch, channels, height, width) → `last_hidden_state` (batch, width of the last stage, rows, columns).

        `hidden_states` are the stem's output and each stage's. There are neither attentions nor positions; the two
        last options are taken because all image models are called alike. Raises `InputError` for a wrong shape.
        """
        if self.gradient_checkpointing and self.training:
            raise ConfigError(
                "Gradient checkpointing is not available for convolutional networks: batch norms would see each "
                "batch twice.",
                "Call gradient_checkpointing_disable(), and lower the batch size if memory is short.",
            )
        _, all_states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        # Channels last is the layout in which convolutions and norms over channels are fastest, on CPU as on GPU.
        x = self.stem(self.pixels(pixel_values).contiguous(memory_format=torch.channels_last))
        states = [x]
        for stage in self.stages:
            x = stage(x)
            states.append(x)
        output = BaseModelOutput(
            last_hidden_state=x, pooler_output=self.pool(x), hidden_states=tuple(states) if all_states else None
        )
        return output if as_dict else output.to_tuple()
