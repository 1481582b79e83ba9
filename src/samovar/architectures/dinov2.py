"""DINOv2 (Oquab et al. 2024, arXiv:2304.07193): config fields, structure, weight names."""

from __future__ import annotations

from functools import partial

from samovar.config import Config, doc
from samovar.nn.block import stack
from samovar.nn.mlp import PackedGatedMLP
from samovar.nn.norm import layer_norm
from samovar.nn.patches import ImageEmbeddings
from samovar.nn.vision_transformer import FirstToken, VisionTransformer
from samovar.tasks import heads, image
from samovar.weights.names import Reshape


class Dinov2Config(Config):
    """Sizes of a DINOv2; the defaults are `facebook/dinov2-base` with images of 224 pixels."""

    model_type = "dinov2"

    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    mlp_ratio: float = doc(4, "Width inside the MLP, in multiples of `hidden_size`.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.0, "Dropout on embeddings.")
    attention_probs_dropout_prob: float = doc(0.0, "Dropout on attention probabilities.")
    layer_norm_eps: float = doc(1e-6, "Added to the variance in norms.")
    image_size: int | list[int] = doc(224, "Pixels of an image's sides, or [height, width].")
    patch_size: int | list[int] = doc(14, "Pixels of a patch's sides, or [height, width].")
    num_channels: int = doc(3, "Colours of a pixel.")
    qkv_bias: bool = doc(True, "Biases in the query, key and value projections.")
    layerscale_value: float = doc(1.0, "Initial factor of each residual branch.")
    drop_path_rate: float = doc(0.0, "Stochastic depth of the last block; earlier ones have less.")
    use_swiglu_ffn: bool = doc(False, "Gate the MLP with SiLU, as the giant size does.")
    use_mask_token: bool = doc(True, "Have a token that stands in for masked patches.")


class Dinov2Model(VisionTransformer):
    """DINOv2 without a head: `last_hidden_state`, and the class token as `pooler_output`. Images may have any size."""

    config_class = Dinov2Config
    prefix = "dinov2"
    weights = {
        "embeddings.mask_token": Reshape("embeddings.mask_token", checkpoint=(1, -1), ours=(1, 1, -1)),
        "encoder.layer.{i}.attention.attention.query": "layers.{i}.self_attn.q_proj",
        "encoder.layer.{i}.attention.attention.key": "layers.{i}.self_attn.k_proj",
        "encoder.layer.{i}.attention.attention.value": "layers.{i}.self_attn.v_proj",
        "encoder.layer.{i}.attention.output.dense": "layers.{i}.self_attn.o_proj",
        "encoder.layer.{i}.norm1": "layers.{i}.self_attn_norm",
        "encoder.layer.{i}.norm2": "layers.{i}.mlp_norm",
        "encoder.layer.{i}.layer_scale1.lambda1": "layers.{i}.self_attn_scale.weight",
        "encoder.layer.{i}.layer_scale2.lambda1": "layers.{i}.mlp_scale.weight",
        "encoder.layer.{i}.mlp.fc1": "layers.{i}.mlp.up_proj",
        "encoder.layer.{i}.mlp.fc2": "layers.{i}.mlp.down_proj",
        "encoder.layer.{i}.mlp.weights_in": "layers.{i}.mlp.in_proj",
        "encoder.layer.{i}.mlp.weights_out": "layers.{i}.mlp.out_proj",
        "layernorm": "norm",
    }

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        hidden, norm = config.hidden_size, layer_norm(config.layer_norm_eps)
        inner = int(hidden * config.mlp_ratio)
        # A gated MLP has three matrices: two thirds of the width, in eights, keep the number of weights.
        gated = partial(PackedGatedMLP, hidden, (int(inner * 2 / 3) + 7) // 8 * 8, "silu")
        self.embeddings = ImageEmbeddings(
            config.image_size,
            config.patch_size,
            config.num_channels,
            hidden,
            mask=config.use_mask_token,
            any_size=True,
            dropout=config.hidden_dropout_prob,
        )
        self.layers = stack(
            config.num_hidden_layers,
            hidden,
            config.num_attention_heads,
            inner,
            config.hidden_act,
            norm,
            order="pre",
            attention_dropout=config.attention_probs_dropout_prob,
            qkv_bias=config.qkv_bias,
            layer_scale=config.layerscale_value,
            drop_path=config.drop_path_rate,
            mlp=gated if config.use_swiglu_ffn else None,
        )
        self.norm = norm(hidden)
        self.pooler = FirstToken()


def head(config: Dinov2Config) -> heads.ImageClassifier:
    """A classifier of the class token beside the mean patch."""
    return heads.ImageClassifier(config, 2 * config.hidden_size, heads.first_token_and_mean)


class Dinov2ForImageClassification(image.ImageClassification, backbone=Dinov2Model, head=head):
    """DINOv2 with a linear layer over the class token and the mean of all patches."""
