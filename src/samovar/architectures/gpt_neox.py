"""GPT-NeoX (Black et al. 2022), Pythia: parallel blocks and rotary positions on a part of each head."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.architectures.llama import token_head
from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.block_kinds import ParallelBlock
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.mlp import MLP
from samovar.nn.norm import layer_norm
from samovar.nn.rotary import Rotary
from samovar.nn.transformer import FULL, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import SplitRows


class GPTNeoXConfig(Config):
    """Sizes of a GPT-NeoX; the defaults are the 20B model."""

    model_type = "gpt_neox"

    vocab_size: int = doc(50432, "Number of tokens.")
    hidden_size: int = doc(6144, "Width of the residual stream.")
    num_hidden_layers: int = doc(44, "Number of blocks.")
    num_attention_heads: int = doc(64, "Heads per block.")
    intermediate_size: int = doc(24576, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    hidden_dropout: float = doc(0.0, "Dropout on embeddings and residual branches.")
    classifier_dropout: float = doc(0.1, "Dropout before a classifier of tokens.")
    max_position_embeddings: int = doc(2048, "Longest text of the training.")
    layer_norm_eps: float = doc(1e-5, "Added to the variance in norms.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    use_parallel_residual: bool = doc(True, "Attention and MLP read the same input.")
    rope_parameters: dict[str, Any] | None = doc(None, "Kind and settings of the rotary positions.")
    attention_bias: bool = doc(True, "Biases in the attention's projections.")
    tie_word_embeddings: bool = doc(False, "Share the input embedding with the output projection.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(2, "Token after a text.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")


class GPTNeoXModel(TextTransformer):
    """GPT-NeoX without a head."""

    config_class = GPTNeoXConfig
    prefix = "gpt_neox"
    causal = True
    weights = {
        "embed_in": "embeddings.word",
        "layers.{i}.input_layernorm": "layers.{i}.self_attn_norm",
        "layers.{i}.post_attention_layernorm": "layers.{i}.mlp_norm",
        "layers.{i}.attention.query_key_value": SplitRows(
            tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"),
            lambda config: (config.num_attention_heads, (1, 1, 1)),
        ),
        "layers.{i}.attention.dense": "layers.{i}.self_attn.o_proj",
        "layers.{i}.attention.bias": None,
        "layers.{i}.attention.masked_bias": None,
        "layers.{i}.attention.rotary_emb.inv_freq": None,
        "layers.{i}.mlp.dense_h_to_4h": "layers.{i}.mlp.up_proj",
        "layers.{i}.mlp.dense_4h_to_h": "layers.{i}.mlp.down_proj",
        "final_layer_norm": "norm",
    }

    def __init__(self, config: GPTNeoXConfig) -> None:
        super().__init__(config)
        hidden, norm = config.hidden_size, layer_norm(config.layer_norm_eps)
        self.embeddings = TextEmbeddings(config.vocab_size, hidden, positions=None, dropout=config.hidden_dropout)
        self.layers = nn.ModuleList(neox_block(config) for _ in range(config.num_hidden_layers))
        self.norm = norm(hidden)
        # Older files name the share of each head that turns, and the base, in their own way.
        share = getattr(config, "rotary_pct", None)
        old = None if share is None or config.rope_parameters else {"partial_rotary_factor": share}
        if old is not None:
            old["rope_theta"] = getattr(config, "rotary_emb_base", 10_000.0)
        self.rotary = nn.ModuleDict({FULL: Rotary(config, given=old)})


def neox_block(config: GPTNeoXConfig) -> Block:
    """A block, parallel or in turn."""
    attention = Attention(
        config.hidden_size, config.num_attention_heads, bias=config.attention_bias, out_bias=config.attention_bias,
        dropout=config.attention_dropout, causal=True,
    )  # fmt: skip
    mlp, norm = MLP(config.hidden_size, config.intermediate_size, config.hidden_act), layer_norm(config.layer_norm_eps)
    if config.use_parallel_residual:
        return ParallelBlock(config.hidden_size, attention, mlp, norm, dropout=config.hidden_dropout)
    return Block(config.hidden_size, attention, mlp, norm, order="pre", dropout=config.hidden_dropout)


class GPTNeoXForCausalLM(text.CausalLM, backbone=GPTNeoXModel, head=heads.LMHead, weights={"embed_out": "decoder"}):
    """GPT-NeoX that predicts the next token."""


class GPTNeoXForSequenceClassification(
    text.SequenceClassification, backbone=GPTNeoXModel, head=heads.LastTokenClassifier, weights={"score": "classifier"}
):
    """GPT-NeoX that classifies texts by their last real token."""


class GPTNeoXForTokenClassification(text.TokenClassification, backbone=GPTNeoXModel, head=token_head):
    """GPT-NeoX that classifies every token."""


class GPTNeoXForQuestionAnswering(
    text.QuestionAnswering, backbone=GPTNeoXModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """GPT-NeoX that marks the start and the end of an answer."""
