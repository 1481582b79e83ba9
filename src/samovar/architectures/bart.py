"""BART (Lewis et al. 2019, arXiv:1910.13461): config fields, structure, weight names."""

from __future__ import annotations

from torch import nn

from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import stack
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.encoder_decoder import CrossAttention, Decoder, DecoderBlock, EncoderDecoder
from samovar.nn.mlp import MLP
from samovar.nn.norm import layer_norm
from samovar.nn.positions import OffsetPositions
from samovar.nn.transformer import TextTransformer
from samovar.tasks.sequences import Seq2SeqLM, SequenceLMHead


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
    init_std: float = doc(0.02, "Standard deviation of new matrices.")
    scale_embedding: bool = doc(False, "Multiply words by the square root of the width.")
    is_encoder_decoder: bool = doc(True, "It has both parts.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch.")
    eos_token_id: int | None = doc(2, "Token after a text.")
    decoder_start_token_id: int | None = doc(2, "Token that the decoder begins with.")


class BartEncoder(TextTransformer):
    """The part that reads the source."""

    config_class = BartConfig

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.embeddings = bart_embeddings(config)
        self.layers = stack(
            config.encoder_layers, config.d_model, config.encoder_attention_heads, config.encoder_ffn_dim,
            config.activation_function, layer_norm(1e-5), order="post", dropout=config.dropout,
            attention_dropout=config.attention_dropout,
        )  # fmt: skip


class BartModel(EncoderDecoder):
    """BART without a head."""

    config_class = BartConfig
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
            }.items()
        },
        "decoder.layers.{i}.encoder_attn.out_proj": "decoder.layers.{i}.cross_attn.o_proj",
        "decoder.layers.{i}.encoder_attn": "decoder.layers.{i}.cross_attn",
        "decoder.layers.{i}.encoder_attn_layer_norm": "decoder.layers.{i}.cross_attn_norm",
    }

    def __init__(self, config: BartConfig) -> None:
        hidden, heads, drop = config.d_model, config.decoder_attention_heads, config.attention_dropout
        blocks = nn.ModuleList(
            DecoderBlock(
                hidden,
                Attention(hidden, heads, dropout=drop, causal=True), CrossAttention(hidden, heads, dropout=drop),
                MLP(hidden, config.decoder_ffn_dim, config.activation_function), layer_norm(1e-5), order="post",
                dropout=config.dropout,
            )
            for _ in range(config.decoder_layers)
        )  # fmt: skip
        super().__init__(config, BartEncoder(config), Decoder(bart_embeddings(config), blocks))


def bart_embeddings(config: BartConfig) -> TextEmbeddings:
    """Words and positions, of which the first two rows are not used."""
    return TextEmbeddings(
        config.vocab_size, config.d_model, positions=OffsetPositions(config.max_position_embeddings, config.d_model, 2),
        norm=layer_norm(1e-5), dropout=config.dropout, padding_idx=config.pad_token_id,
        scale=config.d_model**0.5 if config.scale_embedding else 1.0,
    )  # fmt: skip


class BartForConditionalGeneration(
    Seq2SeqLM,
    backbone=BartModel,
    head=SequenceLMHead,
    weights={"lm_head": "decoder", "final_logits_bias": "logits_bias"},
):
    """BART that writes a text for a text."""
