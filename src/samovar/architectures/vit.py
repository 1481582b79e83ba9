"""ViT (Dosovitskiy et al. 2021, arXiv:2010.11929): config fields, structure, weight names."""

from __future__ import annotations

from samovar.config import Config, doc
from samovar.nn.block import stack
from samovar.nn.norm import layer_norm
from samovar.nn.patches import ImageEmbeddings
from samovar.nn.transformer import Pooler
from samovar.nn.vision_transformer import VisionTransformer
from samovar.tasks import heads, image


class ViTConfig(Config):
    """Sizes of a ViT; the defaults are `google/vit-base-patch16-224`."""

    model_type = "vit"

    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    intermediate_size: int = doc(3072, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.0, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.0, "Dropout on attention probabilities.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    image_size: int | list[int] = doc(224, "Pixels of an image's sides, or [height, width].")
    patch_size: int | list[int] = doc(16, "Pixels of a patch's sides, or [height, width].")
    num_channels: int = doc(3, "Colours of a pixel.")
    qkv_bias: bool = doc(True, "Biases in the query, key and value projections.")
    encoder_stride: int = doc(16, "Upsampling in a head that paints masked patches.")
    pooler_output_size: int | None = doc(None, "Width of `pooler_output`; None: as `hidden_size`.")
    pooler_act: str = doc("tanh", "Activation of the pooler.")


class ViTModel(VisionTransformer):
    """ViT without a head: `last_hidden_state`, and `pooler_output` from the class token.

    `use_mask_token` adds the token that `bool_masked_pos` puts in the place of patches.
    """

    config_class = ViTConfig
    prefix = "vit"
    has_pooler = True
    distillation = False
    weights = {
        "encoder.layer.{i}.attention.attention.query": "layers.{i}.self_attn.q_proj",
        "encoder.layer.{i}.attention.attention.key": "layers.{i}.self_attn.k_proj",
        "encoder.layer.{i}.attention.attention.value": "layers.{i}.self_attn.v_proj",
        "encoder.layer.{i}.attention.output.dense": "layers.{i}.self_attn.o_proj",
        "encoder.layer.{i}.layernorm_before": "layers.{i}.self_attn_norm",
        "encoder.layer.{i}.layernorm_after": "layers.{i}.mlp_norm",
        "encoder.layer.{i}.intermediate.dense": "layers.{i}.mlp.up_proj",
        "encoder.layer.{i}.output.dense": "layers.{i}.mlp.down_proj",
        "layernorm": "norm",
    }

    def __init__(self, config: ViTConfig, add_pooling_layer: bool = True, use_mask_token: bool = False) -> None:
        super().__init__(config)
        hidden, norm, drop = config.hidden_size, layer_norm(config.layer_norm_eps), config.hidden_dropout_prob
        self.embeddings = ImageEmbeddings(
            config.image_size,
            config.patch_size,
            config.num_channels,
            hidden,
            distillation=self.distillation,
            mask=use_mask_token,
            dropout=drop,
        )
        self.layers = stack(
            config.num_hidden_layers,
            hidden,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_act,
            norm,
            order="pre",
            dropout=drop,
            attention_dropout=config.attention_probs_dropout_prob,
            qkv_bias=config.qkv_bias,
        )
        self.norm = norm(hidden)
        self.pooler = Pooler(hidden, config.pooler_output_size, config.pooler_act) if add_pooling_layer else None


class ViTForImageClassification(image.ImageClassification, backbone=ViTModel, head=heads.ImageClassifier):
    """ViT with a linear layer over the class token."""
