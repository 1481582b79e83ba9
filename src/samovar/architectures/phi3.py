"""Phi-3 (Abdin et al. 2024): Llama whose matrices are stored joined, with partial and long rotary positions."""

from __future__ import annotations

from typing import Any

from samovar.architectures.llama import LM, SCORE, LlamaConfig, LlamaModel
from samovar.config import doc
from samovar.nn.block import Block
from samovar.nn.transformer import SLIDING
from samovar.tasks import heads, text
from samovar.weights.names import Split, SplitRows


class Phi3Config(LlamaConfig):
    """Sizes of a Phi-3; the defaults are Phi-3 mini."""

    model_type = "phi3"

    vocab_size: int = doc(32064, "Number of tokens.")
    hidden_size: int = doc(3072, "Width of the residual stream.")
    intermediate_size: int = doc(8192, "Width inside the MLP.")
    max_position_embeddings: int = doc(4096, "Longest text.")
    original_max_position_embeddings: int = doc(4096, "Longest text of the first training.")
    rms_norm_eps: float = doc(1e-5, "Added to the mean square in norms.")
    resid_pdrop: float = doc(0.0, "Dropout on residual branches.")
    embd_pdrop: float = doc(0.0, "Dropout on embeddings.")
    sliding_window: int | None = doc(None, "How many tokens a token sees, itself included; None: all.")
    eos_token_id: int | list[int] | None = doc(32000, "Token after a text, or several.")
    pad_token_id: int | None = doc(32000, "Token that fills up a batch.")


def rows(config: Any) -> tuple[int, tuple[int, int, int]]:
    """All queries, then all keys, then all values."""
    kv_heads = config.num_key_value_heads or config.num_attention_heads
    return 1, (config.num_attention_heads, kv_heads, kv_heads)


class Phi3Model(LlamaModel):
    """Phi-3 without a head."""

    config_class = Phi3Config
    weights = {
        **LlamaModel.weights,
        "layers.{i}.self_attn.qkv_proj": SplitRows(tuple(f"layers.{{i}}.self_attn.{x}_proj" for x in "qkv"), rows),
        "layers.{i}.mlp.gate_up_proj": Split(("layers.{i}.mlp.gate_proj", "layers.{i}.mlp.up_proj")),
    }

    def kinds(self, config: Any) -> list[str]:
        return [] if config.sliding_window is None else [SLIDING] * config.num_hidden_layers

    def block(self, config: Any, index: int) -> Block:
        return Block(
            config.hidden_size, self.attention(config, index), self.mlp(config, index), self.norms(config),
            order="pre", dropout=config.resid_pdrop,
        )  # fmt: skip


class Phi3ForCausalLM(text.CausalLM, backbone=Phi3Model, head=heads.LMHead, weights=LM):
    """Phi-3 that predicts the next token."""


class Phi3ForSequenceClassification(
    text.SequenceClassification, backbone=Phi3Model, head=heads.LastTokenClassifier, weights=SCORE
):
    """Phi-3 that classifies texts by their last real token."""


class Phi3ForTokenClassification(
    text.TokenClassification, backbone=Phi3Model, head=heads.TokenClassifier, weights=SCORE
):
    """Phi-3 that classifies every token."""
