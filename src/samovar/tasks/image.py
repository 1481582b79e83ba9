"""Image tasks: inputs, logits and loss of each, for any vision backbone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.config import Config
from samovar.tasks import outputs
from samovar.tasks.base import TaskModel
from samovar.tasks.heads import Head, first_token, image_classifier
from samovar.tasks.losses import classification_loss
from samovar.tasks.outputs import BaseModelOutput


class ImageClassification(TaskModel):
    """One label, several or a number per image; `pixel_values` (batch, channels, height, width)."""

    task = "image-classification"
    label_parameter = "head.classifier.weight"

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`logits` (batch, labels), and the loss when `labels` are given.

        `interpolate_pos_encoding` lets a vision transformer read images of another size than its own.
        """
        out = self.backbone(
            pixel_values,
            interpolate_pos_encoding=interpolate_pos_encoding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = self.head(out)
        loss = None if labels is None else classification_loss(self.config, logits, labels)
        as_dict = self.backbone.switches(None, None, return_dict)[-1]
        return self.finish(outputs.ImageClassifierOutput, loss, out, as_dict, logits=logits)


class DistilledClassifier(Head):
    """Two linear layers: one over the class token, one over the distillation token (Touvron et al. 2021)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.cls_classifier = image_classifier(config)
        self.distillation_classifier = image_classifier(config)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        second = output.last_hidden_state[:, 1]
        return self.cls_classifier(first_token(output)), self.distillation_classifier(second)


class DistilledImageClassification(TaskModel):
    """The mean of two classifiers, one of which learned from a teacher; for inference: it takes no labels."""

    task = "image-classification"
    label_parameter = "head.cls_classifier.weight"

    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`logits` (batch, labels), and both classifiers' own."""
        out = self.backbone(
            pixel_values,
            interpolate_pos_encoding=interpolate_pos_encoding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        first, second = self.head(out)
        as_dict = self.backbone.switches(None, None, return_dict)[-1]
        logits = {"logits": (first + second) / 2, "cls_logits": first, "distillation_logits": second}
        return self.finish(outputs.DistilledImageClassifierOutput, None, out, as_dict, **logits)
