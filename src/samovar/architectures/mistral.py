"""Mistral (Jiang et al. 2023): Llama whose blocks see a window of earlier tokens."""

from __future__ import annotations

from typing import Any

from samovar.architectures.llama import LM, SCORE, SPAN, LlamaConfig, LlamaModel, token_head
from samovar.config import doc
from samovar.nn.transformer import SLIDING
from samovar.tasks import heads, text


class MistralConfig(LlamaConfig):
    """Sizes of a Mistral; the defaults are Mistral 7B."""

    model_type = "mistral"

    intermediate_size: int = doc(14336, "Width inside the MLP.")
    num_key_value_heads: int | None = doc(8, "Heads of keys and values.")
    max_position_embeddings: int = doc(131072, "Longest text of the training.")
    sliding_window: int | None = doc(4096, "How many tokens a token sees, itself included; None: all.")


class MistralModel(LlamaModel):
    """Mistral without a head."""

    config_class = MistralConfig

    def kinds(self, config: Any) -> list[str]:
        return [] if config.sliding_window is None else [SLIDING] * config.num_hidden_layers


class MistralForCausalLM(text.CausalLM, backbone=MistralModel, head=heads.LMHead, weights=LM):
    """Mistral that predicts the next token."""


class MistralForSequenceClassification(
    text.SequenceClassification, backbone=MistralModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Mistral with a linear layer over the last real token."""


class MistralForTokenClassification(text.TokenClassification, backbone=MistralModel, head=token_head, weights=SCORE):
    """Mistral with a linear layer over every token."""


class MistralForQuestionAnswering(
    text.QuestionAnswering, backbone=MistralModel, head=heads.SpanClassifier, weights=SPAN
):
    """Mistral that marks the start and the end of an answer."""
