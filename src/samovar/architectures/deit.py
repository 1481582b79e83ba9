"""DeiT (Touvron et al. 2021, arXiv:2012.12877): a ViT with a second leading token that learns from a teacher."""

from __future__ import annotations

from samovar.architectures.vit import ViTConfig, ViTModel
from samovar.tasks import heads, image


class DeiTConfig(ViTConfig):
    """Sizes of a DeiT; the defaults are `facebook/deit-base-distilled-patch16-224`."""

    model_type = "deit"


class DeiTModel(ViTModel):
    """DeiT without a head: `last_hidden_state`, and `pooler_output` from the class token."""

    config_class = DeiTConfig
    prefix = "deit"
    distillation = True


class DeiTForImageClassification(image.ImageClassification, backbone=DeiTModel, head=heads.ImageClassifier):
    """DeiT with a linear layer over the class token."""


class DeiTForImageClassificationWithTeacher(
    image.DistilledImageClassification, backbone=DeiTModel, head=image.DistilledClassifier, auto=False
):
    """DeiT with a linear layer over the class token and one over the distillation token, which are averaged."""
