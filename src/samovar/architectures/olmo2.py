"""OLMo 2 (2024): Llama with norms behind its branches, and over queries and keys as a whole."""

from __future__ import annotations

from typing import Any

from samovar.architectures.llama import LM, SCORE, LlamaConfig, LlamaModel
from samovar.config import doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.block_kinds import BranchNormBlock
from samovar.tasks import heads, text


class Olmo2Config(LlamaConfig):
    """Sizes of an OLMo 2; the defaults are OLMo 2 7B."""

    model_type = "olmo2"

    vocab_size: int = doc(50304, "Number of tokens.")
    rms_norm_eps: float = doc(1e-5, "Added to the mean square in norms.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch.")
    bos_token_id: int | None = doc(None, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(50279, "Token after a text, or several.")


class Olmo2Model(LlamaModel):
    """OLMo 2 without a head."""

    config_class = Olmo2Config
    weights = {
        "embed_tokens": "embeddings.word",
        "layers.{i}.post_attention_layernorm": "layers.{i}.self_attn_norm",
        "layers.{i}.post_feedforward_layernorm": "layers.{i}.mlp_norm",
    }

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        return super().attention(config, index, qk_norm=self.norms(config), whole_norm=True, **options)

    def block(self, config: Any, index: int) -> Block:
        return BranchNormBlock(
            config.hidden_size, self.attention(config, index), self.mlp(config, index), self.norms(config)
        )


class Olmo2ForCausalLM(text.CausalLM, backbone=Olmo2Model, head=heads.LMHead, weights=LM):
    """OLMo 2 that predicts the next token."""


class Olmo2ForSequenceClassification(
    text.SequenceClassification, backbone=Olmo2Model, head=heads.LastTokenClassifier, weights=SCORE
):
    """OLMo 2 that classifies texts by their last real token."""
