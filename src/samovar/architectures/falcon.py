"""Falcon (Almazrouei et al. 2023): parallel blocks, keys and values shared by many queries, rotations or ALiBi."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.architectures.llama import SCORE, SPAN, token_head
from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.block_kinds import ParallelBlock
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.mlp import MLP
from samovar.nn.norm import layer_norm
from samovar.nn.positions import Alibi
from samovar.nn.rotary import Rotary
from samovar.nn.transformer import FULL, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import SplitRows, When


class FalconConfig(Config):
    """Sizes of a Falcon; the defaults are Falcon 7B."""

    model_type = "falcon"
    aliases = {
        "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embed": "hidden_size",
        "n_head_kv": "num_kv_heads", "num_key_value_heads": "num_kv_heads", "layer_norm_eps": "layer_norm_epsilon",
        "intermediate_size": "ffn_hidden_size",
    }  # fmt: skip

    vocab_size: int = doc(65024, "Number of tokens.")
    hidden_size: int = doc(4544, "Width of the residual stream.")
    num_hidden_layers: int = doc(32, "Number of blocks.")
    num_attention_heads: int = doc(71, "Heads of queries per block.")
    num_kv_heads: int | None = doc(None, "Heads of keys and values in the new kind of block; None: as of queries.")
    num_ln_in_parallel_attn: int | None = doc(None, "Norms of a parallel block; None: 2 in the new kind, else 1.")
    layer_norm_epsilon: float = doc(1e-5, "Added to the variance in norms.")
    hidden_dropout: float = doc(0.0, "Dropout on the block's sum.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    classifier_dropout: float | None = doc(None, "Dropout before a classifier of tokens.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    alibi: bool = doc(False, "Order by penalties on distance in place of rotations.")
    new_decoder_architecture: bool = doc(False, "The blocks of Falcon 40B and later.")
    multi_query: bool = doc(True, "One head of keys and values, in the old kind of block.")
    parallel_attn: bool = doc(True, "Attention and MLP read the same input.")
    bias: bool = doc(False, "Biases in the projections.")
    max_position_embeddings: int = doc(2048, "Longest text of the training.")
    rope_parameters: dict[str, Any] | None = doc(None, "Kind and settings of the rotary positions.")
    ffn_hidden_size: int | None = doc(None, "Width inside the MLP; None: four times `hidden_size`.")
    activation: str = doc("gelu", "Activation of the MLP.")
    bos_token_id: int | None = doc(11, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(11, "Token after a text.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")


def shared_heads(config: Any) -> int:
    """How many heads keys and values have."""
    if config.new_decoder_architecture:
        return config.num_kv_heads or config.num_attention_heads
    return 1 if config.multi_query else config.num_attention_heads


def two_norms(config: Any) -> bool:
    """Has a parallel block a norm for each branch?"""
    new = config.new_decoder_architecture
    return new and config.parallel_attn and config.num_ln_in_parallel_attn in (None, 2)


def rows(config: Any) -> tuple[int, tuple[int, int, int]]:
    """Group by group: the queries that share a head of keys and values, then these."""
    groups = shared_heads(config)
    return groups, (config.num_attention_heads // groups, 1, 1)


class FalconModel(TextTransformer):
    """Falcon without a head."""

    config_class = FalconConfig
    prefix = "transformer"
    causal = True
    weights = {
        "word_embeddings": "embeddings.word",
        "h.{i}": "layers.{i}",
        "h.{i}.input_layernorm": When("layers.{i}.self_attn_norm", lambda config: not two_norms(config)),
        "h.{i}.post_attention_layernorm": When("layers.{i}.mlp_norm", lambda config: not config.parallel_attn),
        "h.{i}.ln_attn": When("layers.{i}.self_attn_norm", two_norms),
        "h.{i}.ln_mlp": When("layers.{i}.mlp_norm", two_norms),
        "h.{i}.self_attention.query_key_value": SplitRows(
            tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"), rows
        ),
        "h.{i}.self_attention.dense": "layers.{i}.self_attn.o_proj",
        "h.{i}.mlp.dense_h_to_4h": "layers.{i}.mlp.up_proj",
        "h.{i}.mlp.dense_4h_to_h": "layers.{i}.mlp.down_proj",
        "ln_f": "norm",
    }

    def __init__(self, config: FalconConfig) -> None:
        super().__init__(config)
        hidden, norm = config.hidden_size, layer_norm(config.layer_norm_epsilon)
        self.embeddings = TextEmbeddings(config.vocab_size, hidden, positions=None)
        self.layers = nn.ModuleList(falcon_block(config) for _ in range(config.num_hidden_layers))
        self.norm = norm(hidden)
        if config.alibi:
            scale = (hidden // config.num_attention_heads) ** -0.5
            self.alibi = Alibi(config.num_attention_heads, scale, rounded=True)
        else:
            self.rotary = nn.ModuleDict({FULL: Rotary(config)})


def falcon_block(config: FalconConfig) -> Block:
    """A block of the kind that the configuration names."""
    hidden, norm = config.hidden_size, layer_norm(config.layer_norm_epsilon)
    attention = Attention(
        hidden, config.num_attention_heads, kv_heads=shared_heads(config), bias=config.bias, out_bias=config.bias,
        dropout=config.attention_dropout, causal=True,
    )  # fmt: skip
    mlp = MLP(hidden, config.ffn_hidden_size or 4 * hidden, config.activation, bias=config.bias)
    if not config.parallel_attn:
        return Block(hidden, attention, mlp, norm, order="pre", dropout=config.hidden_dropout)
    shared = not two_norms(config)
    return ParallelBlock(hidden, attention, mlp, norm, dropout=config.hidden_dropout, shared_norm=shared)


class FalconForCausalLM(text.CausalLM, backbone=FalconModel, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """Falcon that predicts the next token."""


class FalconForSequenceClassification(
    text.SequenceClassification, backbone=FalconModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Falcon that classifies texts by their last real token."""


class FalconForTokenClassification(text.TokenClassification, backbone=FalconModel, head=token_head):
    """Falcon that classifies every token."""


class FalconForQuestionAnswering(text.QuestionAnswering, backbone=FalconModel, head=heads.SpanClassifier, weights=SPAN):
    """Falcon that marks the start and the end of an answer."""
