"""BART (Lewis et al. 2019, arXiv:1910.13461): config fields, structure, weight names."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Order, stack
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.encoder_decoder import CrossAttention, Decoder, DecoderBlock, EncoderDecoder
from samovar.nn.mlp import MLP
from samovar.nn.norm import NormFactory, layer_norm
from samovar.nn.positions import LearnedPositions, OffsetPositions, SinusoidalPositions
from samovar.nn.transformer import TextTransformer
from samovar.tasks import heads
from samovar.tasks.sequences import (
    DecoderLM,
    EndTokenClassifier,
    Seq2SeqClassification,
    Seq2SeqLM,
    Seq2SeqQuestionAnswering,
    SequenceLMHead,
)


class BartConfig(Config):
    """Sizes of a BART; the defaults are `facebook/bart-large`."""

    model_type = "bart"
    aliases = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
        "initializer_range": "init_std",
    }

    vocab_size: int = doc(50265, "Number of tokens.")
    max_position_embeddings: int = doc(1024, "Longest sequence.")
    d_model: int = doc(1024, "Width of the residual stream.")
    encoder_layers: int = doc(12, "Blocks of the encoder.")
    encoder_ffn_dim: int = doc(4096, "Width inside its MLPs.")
    encoder_attention_heads: int = doc(16, "Heads of its blocks.")
    decoder_layers: int = doc(12, "Blocks of the decoder.")
    decoder_ffn_dim: int = doc(4096, "Width inside its MLPs.")
    decoder_attention_heads: int = doc(16, "Heads of its blocks.")
    activation_function: str = doc("gelu", "Activation of the MLPs.")
    dropout: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    activation_dropout: float = doc(0.0, "Dropout inside the MLPs.")
    classifier_dropout: float = doc(0.0, "Dropout in a classifier.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    init_std: float = doc(0.02, "Standard deviation of new matrices.")
    scale_embedding: bool = doc(False, "Multiply words by the square root of the width.")
    add_cross_attention: bool = doc(False, "The decoder alone reads an encoder of another model.")
    is_encoder_decoder: bool = doc(True, "It has both parts.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch.")
    eos_token_id: int | None = doc(2, "Token after a text.")
    decoder_start_token_id: int | None = doc(2, "Token that the decoder begins with.")


def norm() -> NormFactory:
    """The norm of all places."""
    return layer_norm(1e-5)


class BartEncoder(TextTransformer):
    """The part that reads the source; `family` says how the architecture differs from BART."""

    config_class: ClassVar[type[Config]] = BartConfig

    def __init__(self, config: Any, family: type[BartModel]) -> None:
        super().__init__(config)
        self.embeddings = family.embeddings(config, config.vocab_size)
        self.layers = stack(
            config.encoder_layers, config.d_model, config.encoder_attention_heads, config.encoder_ffn_dim,
            config.activation_function, norm(), order=family.order, dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            mlp=lambda: mlp(config, config.encoder_ffn_dim),
        )  # fmt: skip
        self.norm = norm()(config.d_model) if family.last_norm else None


class BartModel(EncoderDecoder):
    """BART without a head. A family that differs says so in the four variables below."""

    config_class: ClassVar[type[Config]] = BartConfig
    prefix = "model"
    weights = {
        "shared": "shared",
        **{
            theirs.replace("PART", part): ours.replace("PART", part)
            for part in ("encoder", "decoder")
            for theirs, ours in {
                "PART.embed_tokens": "PART.embeddings.word",
                "PART.embed_positions": "PART.embeddings.position",
                "PART.layernorm_embedding": "PART.embeddings.norm",
                "PART.layers.{i}.self_attn.out_proj": "PART.layers.{i}.self_attn.o_proj",
                "PART.layers.{i}.self_attn_layer_norm": "PART.layers.{i}.self_attn_norm",
                "PART.layers.{i}.fc1": "PART.layers.{i}.mlp.up_proj",
                "PART.layers.{i}.fc2": "PART.layers.{i}.mlp.down_proj",
                "PART.layers.{i}.final_layer_norm": "PART.layers.{i}.mlp_norm",
                "PART.layer_norm": "PART.norm",
            }.items()
        },
        "decoder.layers.{i}.encoder_attn.out_proj": "decoder.layers.{i}.cross_attn.o_proj",
        "decoder.layers.{i}.encoder_attn": "decoder.layers.{i}.cross_attn",
        "decoder.layers.{i}.encoder_attn_layer_norm": "decoder.layers.{i}.cross_attn_norm",
    }
    order: ClassVar[Order] = "post"
    embedding_norm: ClassVar[bool] = True
    last_norm: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        family = type(self)
        words = getattr(config, "decoder_vocab_size", None) or config.vocab_size
        decoder = Decoder(
            family.embeddings(config, words), decoder_blocks(config, family),
            norm()(config.d_model) if family.last_norm else None,
        )  # fmt: skip
        shared = getattr(config, "share_encoder_decoder_embeddings", True)
        super().__init__(config, BartEncoder(config, family), decoder, shared=shared)

    @classmethod
    def positions(cls, config: Any) -> LearnedPositions | SinusoidalPositions:
        """How tokens are counted."""
        return OffsetPositions(config.max_position_embeddings, config.d_model, 2)

    @classmethod
    def embeddings(cls, config: Any, words: int) -> TextEmbeddings:
        """Words and positions."""
        return TextEmbeddings(
            words, config.d_model, positions=cls.positions(config), norm=norm() if cls.embedding_norm else None,
            dropout=config.dropout, padding_idx=config.pad_token_id,
            scale=config.d_model**0.5 if config.scale_embedding else 1.0,
        )  # fmt: skip


def mlp(config: Any, inside: int) -> MLP:
    """The MLP of a block, `inside` wide."""
    return MLP(config.d_model, inside, config.activation_function, dropout=config.activation_dropout)


def decoder_blocks(config: Any, family: type[BartModel]) -> nn.ModuleList:
    """Blocks that read the source too."""
    hidden, heads_, drop = config.d_model, config.decoder_attention_heads, config.attention_dropout
    return nn.ModuleList(
        DecoderBlock(
            hidden, Attention(hidden, heads_, dropout=drop, causal=True), CrossAttention(hidden, heads_, dropout=drop),
            mlp(config, config.decoder_ffn_dim), norm(), order=family.order, dropout=config.dropout,
        )
        for _ in range(config.decoder_layers)
    )  # fmt: skip


class BartDecoder(TextTransformer):
    """The decoder of a `family` alone: it writes without a source, and keeps the weights that would read one."""

    config_class: ClassVar[type[Config]] = BartConfig
    prefix = "model.decoder"
    causal = True
    family: ClassVar[type[BartModel]] = BartModel
    weights = {
        theirs.removeprefix("decoder."): ours.removeprefix("decoder.")  # type: ignore[union-attr]
        for theirs, ours in BartModel.weights.items()
        if theirs.startswith("decoder.")
    }

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        words = getattr(config, "decoder_vocab_size", None) or config.vocab_size
        self.embeddings = self.family.embeddings(config, words)
        self.layers = decoder_blocks(config, self.family)
        self.norm = norm()(config.d_model) if self.family.last_norm else None


SUM = {"classification_head.dense": "dense", "classification_head.out_proj": "classifier"}
WRITE = {"lm_head": "decoder", "final_logits_bias": "logits_bias"}


class BartForConditionalGeneration(Seq2SeqLM, backbone=BartModel, head=SequenceLMHead, weights=WRITE):
    """BART that writes a text for a text."""


class BartForSequenceClassification(Seq2SeqClassification, backbone=BartModel, head=EndTokenClassifier, weights=SUM):
    """BART that classifies texts by the state of their last end token."""


class BartForQuestionAnswering(
    Seq2SeqQuestionAnswering, backbone=BartModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """BART that marks the start and the end of an answer."""


class BartForCausalLM(DecoderLM, backbone=BartDecoder, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """BART's decoder, which predicts the next token."""


BartModel.tasks["causal-lm"] = BartForCausalLM
# Its own training fills masks in the text that it writes.
BartModel.tasks["masked-lm"] = BartForConditionalGeneration
