"""T5 (Raffel et al. 2020) and its version 1.1 (Shazeer 2020): order told by learned distances."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.encoder_decoder import CrossAttention, Decoder, DecoderBlock, EncoderDecoder
from samovar.nn.mlp import MLP, GatedMLP
from samovar.nn.norm import rms_norm
from samovar.nn.positions import RelativeBias
from samovar.nn.transformer import Backbone, TextTransformer
from samovar.tasks import heads, text
from samovar.tasks.outputs import BaseModelOutput
from samovar.tasks.sequences import EndTokenClassifier, Seq2SeqClassification, Seq2SeqLM, Seq2SeqQuestionAnswering
from samovar.weights.names import When


class T5Config(Config):
    """Sizes of a T5; the defaults are `t5-small`."""

    model_type = "t5"
    aliases = {
        "hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers",
        "head_dim": "d_kv", "intermediate_size": "d_ff",
    }  # fmt: skip

    vocab_size: int = doc(32128, "Number of tokens.")
    d_model: int = doc(512, "Width of the residual stream.")
    d_kv: int = doc(64, "Width of a head.")
    d_ff: int = doc(2048, "Width inside the MLPs.")
    num_layers: int = doc(6, "Blocks of the encoder.")
    num_decoder_layers: int | None = doc(None, "Blocks of the decoder; None: as many.")
    num_heads: int = doc(8, "Heads per block.")
    relative_attention_num_buckets: int = doc(32, "Kinds of distances.")
    relative_attention_max_distance: int = doc(128, "Distances beyond it are one kind.")
    dropout_rate: float = doc(0.1, "Dropout in all places.")
    classifier_dropout: float = doc(0.0, "Dropout in a classifier.")
    layer_norm_epsilon: float = doc(1e-6, "Added to the mean square in norms.")
    initializer_factor: float = doc(1.0, "What the spread of new weights is multiplied by.")
    feed_forward_proj: str = doc("relu", "Activation of the MLPs, `gated-` before it where they have a gate.")
    scale_decoder_outputs: bool | None = doc(None, "Scale the logits down; None: where words are shared with them.")
    is_encoder_decoder: bool = doc(True, "It has both parts.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    eos_token_id: int | None = doc(1, "Token after a text.")
    decoder_start_token_id: int | None = doc(0, "Token that the decoder begins with.")


def gated(config: Any) -> bool:
    """Have the MLPs a gate?"""
    return config.feed_forward_proj.startswith("gated-")


def plain(config: Any) -> bool:
    """Have they none?"""
    return not gated(config)


def names(part: str, ours: str, mlp: int) -> dict[str, str | When]:
    """The names of a part's weights, ours behind `ours`; `mlp` is the place of the MLP in a block."""
    theirs, block = f"{part}.block.{{i}}.layer", f"{ours}layers.{{i}}"
    inside = f"{theirs}.{mlp}.DenseReluDense"
    return {
        f"{part}.final_layer_norm": f"{ours}norm.norm",
        f"{part}.block.0.layer.0.SelfAttention.relative_attention_bias": f"{ours}relative_bias",
        **{f"{theirs}.0.SelfAttention.{x}": f"{block}.self_attn.{x}_proj" for x in "qkvo"},
        f"{theirs}.0.layer_norm": f"{block}.self_attn_norm",
        f"{inside}.wi": When(f"{block}.mlp.up_proj", plain),
        f"{inside}.wi_0": f"{block}.mlp.gate_proj",
        f"{inside}.wi_1": When(f"{block}.mlp.up_proj", gated),
        f"{inside}.wo": f"{block}.mlp.down_proj",
        f"{theirs}.{mlp}.layer_norm": f"{block}.mlp_norm",
    }


CROSS = "decoder.block.{i}.layer.1"


class T5Weights(Backbone):
    """How new weights of a T5 spread."""

    def initial_std(self, name: str) -> float:
        """By the width of what a matrix reads, as scores are not divided by the width of a head."""
        c = self.config
        owner = name.rsplit(".", 2)[-2] if "." in name else name
        wide, inner = c.d_model**-0.5, (c.num_heads * c.d_kv) ** -0.5
        scale = {"q_proj": wide * c.d_kv**-0.5, "o_proj": inner, "down_proj": c.d_ff**-0.5, "relative_bias": wide}
        return c.initializer_factor * scale.get(owner, 1.0 if owner in ("shared", "word", "decoder") else wide)


class T5EncoderModel(T5Weights, TextTransformer):
    """The part that reads the source; also by itself, as an encoder of texts."""

    config_class: ClassVar[type[Config]] = T5Config
    weights = {
        **names("encoder", "", 1),
        "shared": "embeddings.word",
        "encoder.embed_tokens": None,
        "decoder": None,
        "lm_head": None,
    }

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = words(config)
        self.layers = nn.ModuleList(
            Block(
                config.d_model, attention(config, Attention), mlp(config), rms_norm(config.layer_norm_epsilon),
                order="pre", dropout=config.dropout_rate,
            )
            for _ in range(config.num_layers)
        )  # fmt: skip
        self.norm = last_norm(config)
        self.relative_bias = distances(config, backwards=False)


class T5Model(T5Weights, EncoderDecoder):
    """T5 without a head."""

    config_class: ClassVar[type[Config]] = T5Config
    encoder_class: ClassVar[type[Backbone] | None] = T5EncoderModel
    weights = {
        "shared": "shared",
        "encoder.embed_tokens": "encoder.embeddings.word",
        "decoder.embed_tokens": "decoder.embeddings.word",
        **names("encoder", "encoder.", 1),
        **names("decoder", "decoder.", 2),
        **{f"{CROSS}.EncDecAttention.{x}": f"decoder.layers.{{i}}.cross_attn.{x}_proj" for x in "qkvo"},
        "decoder.block.{i}.layer.1.layer_norm": "decoder.layers.{i}.cross_attn_norm",
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias": None,
    }  # fmt: skip

    def __init__(self, config: Any) -> None:
        blocks = nn.ModuleList(
            DecoderBlock(
                config.d_model, attention(config, Attention, causal=True), attention(config, CrossAttention),
                mlp(config), rms_norm(config.layer_norm_epsilon), order="pre", dropout=config.dropout_rate,
            )
            for _ in range(config.num_decoder_layers or config.num_layers)
        )  # fmt: skip
        decoder = Decoder(words(config), blocks, last_norm(config), distances(config, backwards=True))
        super().__init__(config, T5EncoderModel(config), decoder)


def words(config: Any) -> TextEmbeddings:
    """Words alone."""
    return TextEmbeddings(config.vocab_size, config.d_model, positions=None, dropout=config.dropout_rate)


def attention(config: Any, kind: type[Attention], **options: Any) -> Any:
    """Attention whose scores are not scaled."""
    return kind(
        config.d_model, config.num_heads, head_dim=config.d_kv, bias=False, out_bias=False, scale=1.0,
        dropout=config.dropout_rate, **options,
    )  # fmt: skip


def mlp(config: Any) -> nn.Module:
    """The MLP of a block, with a gate or without."""
    act = config.feed_forward_proj.removeprefix("gated-")
    act = "gelu_new" if config.feed_forward_proj == "gated-gelu" else act
    kind = GatedMLP if gated(config) else MLP
    return kind(config.d_model, config.d_ff, act, bias=False, dropout=config.dropout_rate)


def last_norm(config: Any) -> nn.Module:
    """The norm after the last block, and a dropout."""
    norm = rms_norm(config.layer_norm_epsilon)(config.d_model)
    return nn.Sequential(OrderedDict(norm=norm, dropout=nn.Dropout(config.dropout_rate)))


def distances(config: Any, backwards: bool) -> RelativeBias:
    """The bias by distance, learned once for all blocks."""
    return RelativeBias(
        config.num_heads, config.relative_attention_num_buckets, config.relative_attention_max_distance, backwards
    )


class T5LMHead(heads.LMHead):
    """A projection to the vocabulary, of states that are scaled down where it is shared with the words."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        scaled = config.scale_decoder_outputs
        scaled = config.tie_word_embeddings if scaled is None else scaled
        self.scale = config.d_model**-0.5 if scaled else 1.0

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.decoder(output.last_hidden_state * self.scale)


SUM = {"classification_head.dense": "dense", "classification_head.out_proj": "classifier"}


class T5ForConditionalGeneration(Seq2SeqLM, backbone=T5Model, head=T5LMHead, weights={"lm_head": "decoder"}):
    """T5 that writes a text for a text."""


class T5ForSequenceClassification(
    Seq2SeqClassification, backbone=T5Model, head=EndTokenClassifier, weights=SUM, prefix="transformer"
):
    """T5 that classifies texts by the decoder's state of their last end token."""


class T5ForTokenClassification(
    text.TokenClassification, backbone=T5EncoderModel, head=heads.TokenClassifier, prefix="transformer",
    weights={"classifier": "classifier"},
):  # fmt: skip
    """T5's encoder that classifies every token."""


class T5ForQuestionAnswering(
    Seq2SeqQuestionAnswering, backbone=T5Model, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """T5 that marks the start and the end of an answer."""


T5Model.tasks["token-classification"] = T5ForTokenClassification
