"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545): config fields, structure, weight names."""

from __future__ import annotations

from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.nn.conv import DepthwiseBlock, Stage, stages
from samovar.nn.conv_backbone import ConvBackbone
from samovar.nn.norm import ChannelNorm, layer_norm
from samovar.tasks import heads, image

# Norms inside the network have this epsilon whatever `layer_norm_eps` says, which is the last norm's.
INNER_EPS = 1e-6


class ConvNextConfig(Config):
    """Sizes of a ConvNeXt; the defaults are `facebook/convnext-tiny-224`."""

    model_type = "convnext"
    aliases = {"num_hidden_layers": "num_stages"}

    num_channels: int = doc(3, "Colours of a pixel.")
    patch_size: int | list[int] = doc(4, "Pixels of a patch's sides in the stem, or [height, width].")
    num_stages: int = doc(4, "Number of stages.")
    hidden_sizes: list[int] = doc([96, 192, 384, 768], "Channels of each stage.")
    depths: list[int] = doc([3, 3, 9, 3], "Blocks of each stage.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in the last norm.")
    layer_scale_init_value: float = doc(1e-6, "Initial factor of each residual branch; 0: no such layer.")
    drop_path_rate: float = doc(0.0, "Stochastic depth of the last block; earlier ones have less.")
    image_size: int | list[int] = doc(224, "Pixels of the images that it was trained on; any size works.")


class ConvNextModel(ConvBackbone):
    """ConvNeXt without a head: a feature map, and its normalised mean (batch, channels) as `pooler_output`."""

    config_class = ConvNextConfig
    prefix = "convnext"
    weights = {
        "embeddings.patch_embeddings": "stem.0",
        "embeddings.layernorm": "stem.1",
        "encoder.stages.{i}.downsampling_layer": "stages.{i}.downsample",
        "encoder.stages.{i}.layers.{j}.dwconv": "stages.{i}.layers.{j}.depthwise",
        "encoder.stages.{i}.layers.{j}.layernorm": "stages.{i}.layers.{j}.norm",
        "encoder.stages.{i}.layers.{j}.pwconv1": "stages.{i}.layers.{j}.mlp.up_proj",
        "encoder.stages.{i}.layers.{j}.pwconv2": "stages.{i}.layers.{j}.mlp.down_proj",
        "encoder.stages.{i}.layers.{j}.layer_scale_parameter": "stages.{i}.layers.{j}.scale.weight",
        "layernorm": "norm",
    }

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        widths, depths = config.hidden_sizes[: config.num_stages], config.depths[: config.num_stages]
        patch = config.patch_size if isinstance(config.patch_size, int) else tuple(config.patch_size)
        stem = nn.Conv2d(config.num_channels, widths[0], patch, patch)  # type: ignore[arg-type]
        self.stem = nn.Sequential(stem, ChannelNorm(widths[0], eps=INNER_EPS))

        def build(index: int, inputs: int, outputs: int, depth: int, before: int) -> Stage:
            rate = config.drop_path_rate / max(sum(depths) - 1, 1)
            blocks = [
                DepthwiseBlock(
                    outputs,
                    config.hidden_act,
                    layer_norm(INNER_EPS),
                    layer_scale=config.layer_scale_init_value or None,
                    drop_path=rate * (before + number),
                )
                for number in range(depth)
            ]
            down = [ChannelNorm(inputs, eps=INNER_EPS), nn.Conv2d(inputs, outputs, 2, 2)] if index else []
            return Stage(blocks, down)

        self.stages = stages(widths, depths, widths[0], build)
        self.norm = nn.LayerNorm(widths[-1], eps=config.layer_norm_eps)

    def pool(self, x: Tensor) -> Tensor:
        return self.norm(x.mean((-2, -1)))


def head(config: ConvNextConfig) -> heads.ImageClassifier:
    """A classifier of the mean feature."""
    return heads.ImageClassifier(config, config.hidden_sizes[-1], heads.pooled_features)


class ConvNextForImageClassification(image.ImageClassification, backbone=ConvNextModel, head=head):
    """ConvNeXt with a linear layer over the mean feature."""
