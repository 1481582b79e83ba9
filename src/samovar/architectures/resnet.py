"""ResNet (He et al. 2016, arXiv:1512.03385): config fields, structure, weight names."""

from __future__ import annotations

from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.errors import ConfigError
from samovar.nn.conv import ConvNorm, Residual, Stage, stages
from samovar.nn.conv_backbone import ConvBackbone
from samovar.tasks import heads, image

BOTTLENECK = 4


class ResNetConfig(Config):
    """Sizes of a ResNet; the defaults are `microsoft/resnet-50`."""

    model_type = "resnet"

    num_channels: int = doc(3, "Colours of a pixel.")
    embedding_size: int = doc(64, "Channels of the stem.")
    hidden_sizes: list[int] = doc([256, 512, 1024, 2048], "Channels of each stage.")
    depths: list[int] = doc([3, 4, 6, 3], "Layers of each stage.")
    layer_type: str = doc("bottleneck", "`basic`: two 3×3 convolutions; `bottleneck`: one, between two 1×1.")
    hidden_act: str = doc("relu", "Activation after each layer.")
    downsample_in_first_stage: bool = doc(False, "Halve height and width in the first stage too.")
    downsample_in_bottleneck: bool = doc(False, "Halve them in a bottleneck's first convolution, not in its second.")


class ResNetModel(ConvBackbone):
    """ResNet without a head: a feature map, and its mean (batch, channels, 1, 1) as `pooler_output`."""

    config_class = ResNetConfig
    prefix = "resnet"
    weights = {"embedder.embedder": "stem.0", "encoder.stages": "stages"}

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        stem = ConvNorm(config.num_channels, config.embedding_size, 7, stride=2, act=config.hidden_act)
        self.stem = nn.Sequential(stem, nn.MaxPool2d(kernel_size=3, stride=2, padding=1))

        def build(index: int, inputs: int, outputs: int, depth: int, before: int) -> Stage:
            stride = 2 if index or config.downsample_in_first_stage else 1
            rest = [layer(config, outputs, outputs, 1) for _ in range(depth - 1)]
            return Stage([layer(config, inputs, outputs, stride), *rest])

        self.stages = stages(config.hidden_sizes, config.depths, config.embedding_size, build)

    def pool(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1), keepdim=True)


def layer(config: ResNetConfig, inputs: int, outputs: int, stride: int) -> Residual:
    """One residual layer. Raises `ConfigError` for an unknown `layer_type`."""
    if config.layer_type == "basic":
        convolutions = [ConvNorm(inputs, outputs, 3, stride=stride), ConvNorm(outputs, outputs, 3, act=None)]
    elif config.layer_type == "bottleneck":
        narrow, early = outputs // BOTTLENECK, config.downsample_in_bottleneck
        convolutions = [
            ConvNorm(inputs, narrow, 1, stride=stride if early else 1),
            ConvNorm(narrow, narrow, 3, stride=1 if early else stride),
            ConvNorm(narrow, outputs, 1, act=None),
        ]
    else:
        raise ConfigError(f"Unknown layer_type {config.layer_type!r}.", "Use 'basic' or 'bottleneck'.")
    return Residual(convolutions, inputs, outputs, stride, config.hidden_act)


def head(config: ResNetConfig) -> heads.ImageClassifier:
    """A classifier of the mean feature."""
    return heads.ImageClassifier(config, config.hidden_sizes[-1], heads.pooled_features)


class ResNetForImageClassification(
    image.ImageClassification, backbone=ResNetModel, head=head, weights={"classifier.1": "classifier"}
):
    """ResNet with a linear layer over the mean feature."""
