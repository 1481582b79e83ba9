"""What all vision backbones do alike: check the pixels that they are given."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.errors import InputError, InputTypeError
from samovar.nn.transformer import Backbone
from samovar.tasks.outputs import BaseModelOutput


class VisionBackbone(Backbone):
    """Images in. All of them are called alike, so that one task serves every family."""

    main_input_name = "pixel_values"

    def pixels(self, pixel_values: Tensor | None) -> Tensor:
        """The pixels in the weights' type. Raises `InputError` unless (batch, `config.num_channels`, height, width)."""
        if not isinstance(pixel_values, Tensor):
            raise InputTypeError(
                f"pixel_values must be a tensor, got {type(pixel_values).__name__}.",
                "Give what the image processor returns with return_tensors='pt'.",
            )
        channels = self.config.num_channels
        if pixel_values.ndim != 4 or pixel_values.shape[1] != channels:
            raise InputError(
                f"pixel_values have the shape {tuple(pixel_values.shape)}; (batch, {channels}, height, width) is "
                "expected.",
                "Use the checkpoint's image processor; add a batch dimension to a single image.",
            )
        return pixel_values.to(self.dtype)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        *,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """The call that tasks make; subclasses may take more."""
        raise NotImplementedError
