"""Qwen3 (Yang et al. 2025): Llama with a norm over each head of queries and keys."""

from __future__ import annotations

from typing import Any

from samovar.architectures.llama import LM, SCORE, SPAN, LlamaModel, token_head
from samovar.architectures.qwen2 import Qwen2Config, Qwen2Model
from samovar.config import doc
from samovar.nn.attention import Attention
from samovar.tasks import heads, text


class Qwen3Config(Qwen2Config):
    """Sizes of a Qwen3; the defaults are Qwen3 8B."""

    model_type = "qwen3"

    head_dim: int | None = doc(128, "Width of a head.")


class Qwen3Model(Qwen2Model):
    """Qwen3 without a head."""

    config_class = Qwen3Config

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        return LlamaModel.attention(self, config, index, qk_norm=self.norms(config), **options)


class Qwen3ForCausalLM(text.CausalLM, backbone=Qwen3Model, head=heads.LMHead, weights=LM):
    """Qwen3 that predicts the next token."""


class Qwen3ForSequenceClassification(
    text.SequenceClassification, backbone=Qwen3Model, head=heads.LastTokenClassifier, weights=SCORE
):
    """Qwen3 that classifies texts by their last real token."""


class Qwen3ForTokenClassification(text.TokenClassification, backbone=Qwen3Model, head=token_head, weights=SCORE):
    """Qwen3 that classifies every token."""


class Qwen3ForQuestionAnswering(
    text.QuestionAnswering, backbone=Qwen3Model, head=heads.SpanClassifier, weights=SPAN, prefix="transformer"
):
    """Qwen3 that marks the start and the end of an answer."""
