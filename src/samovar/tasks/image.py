"""Image tasks: inputs, logits and loss of each, for any vision backbone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.tasks import outputs
from samovar.tasks.base import TaskModel
from samovar.tasks.losses import classification_loss


class ImageClassification(TaskModel):
    """One label, several or a number per image; `pixel_values` (batch, channels, height, width)."""

    task = "image-classification"
    label_parameter = "head.classifier.weight"

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
    ) -> Any:
        """`logits` (batch, labels), and the loss when `labels` are given."""
        *switches, as_dict = self.backbone.switches(output_attentions, output_hidden_states, return_dict)
        out = self.backbone(pixel_values, *switches, interpolate_pos_encoding, return_dict=True)
        logits = self.head(out)
        loss = None if labels is None else classification_loss(self.config, logits, labels)
        return self.finish(outputs.ImageClassifierOutput, loss, out, as_dict, logits=logits)
