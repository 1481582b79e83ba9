"""Gemma 2 (2024): Llama between two norms per branch, with bounded scores and logits, every other block a window."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.architectures.llama import LM, SCORE, LlamaConfig, LlamaModel, token_head
from samovar.config import doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.block_kinds import SandwichBlock
from samovar.nn.mlp import GatedMLP
from samovar.nn.norm import NormFactory, rms_norm
from samovar.nn.transformer import FULL, SLIDING
from samovar.tasks import heads, text


class Gemma2Config(LlamaConfig):
    """Sizes of a Gemma 2; the defaults are Gemma 2 2B."""

    model_type = "gemma2"
    aliases = {"hidden_act": "hidden_activation"}

    vocab_size: int = doc(256000, "Number of tokens.")
    hidden_size: int = doc(2304, "Width of the residual stream.")
    intermediate_size: int = doc(9216, "Width inside the MLP.")
    num_hidden_layers: int = doc(26, "Number of blocks.")
    num_attention_heads: int = doc(8, "Heads of queries per block.")
    num_key_value_heads: int | None = doc(4, "Heads of keys and values.")
    head_dim: int | None = doc(256, "Width of a head.")
    hidden_activation: str = doc("gelu_pytorch_tanh", "Activation of the MLP's gate.")
    max_position_embeddings: int = doc(8192, "Longest text of the training.")
    query_pre_attn_scalar: float = doc(256, "Scores are divided by the square root of this.")
    sliding_window: int = doc(4096, "How many tokens a token sees in blocks with a window, itself included.")
    layer_types: list[str] | None = doc(None, "The kind of each block; None: windows in every other one.")
    attn_logit_softcapping: float | None = doc(50.0, "Bound of attention scores.")
    final_logit_softcapping: float | None = doc(30.0, "Bound of the logits.")
    tie_word_embeddings: bool = doc(True, "Share the input embedding with the output projection.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    eos_token_id: int | list[int] | None = doc(1, "Token after a text, or several.")
    bos_token_id: int | None = doc(2, "Token before a text.")


class Gemma2Model(LlamaModel):
    """Gemma 2 without a head."""

    config_class = Gemma2Config
    weights = {
        "embed_tokens": "embeddings.word",
        "layers.{i}.input_layernorm": "layers.{i}.self_attn_norm",
        "layers.{i}.post_attention_layernorm": "layers.{i}.self_attn_out_norm",
        "layers.{i}.pre_feedforward_layernorm": "layers.{i}.mlp_norm",
        "layers.{i}.post_feedforward_layernorm": "layers.{i}.mlp_out_norm",
    }

    def kinds(self, config: Any) -> list[str]:
        return config.layer_types or [FULL if index % 2 else SLIDING for index in range(config.num_hidden_layers)]

    def embedding_scale(self, config: Any) -> float:
        return config.hidden_size**0.5

    def norms(self, config: Any) -> NormFactory:
        return rms_norm(config.rms_norm_eps, offset=1.0)

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        scale = config.query_pre_attn_scalar**-0.5
        return super().attention(config, index, scale=scale, softcap=config.attn_logit_softcapping, **options)

    def mlp(self, config: Any, index: int) -> nn.Module:
        return GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_activation, bias=False)

    def block(self, config: Any, index: int) -> Block:
        return SandwichBlock(
            config.hidden_size, self.attention(config, index), self.mlp(config, index), self.norms(config)
        )


class Gemma2ForCausalLM(text.CausalLM, backbone=Gemma2Model, head=heads.LMHead, weights=LM):
    """Gemma 2 that predicts the next token."""


class Gemma2ForSequenceClassification(
    text.SequenceClassification, backbone=Gemma2Model, head=heads.LastTokenClassifier, weights=SCORE
):
    """Gemma 2 that classifies texts by their last real token."""


class Gemma2ForTokenClassification(text.TokenClassification, backbone=Gemma2Model, head=token_head, weights=SCORE):
    """Gemma 2 that classifies every token."""
