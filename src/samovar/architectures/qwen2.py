"""Qwen2 (Yang et al. 2024): Llama with biases on queries, keys and values, and windows in its upper blocks."""

from __future__ import annotations

from typing import Any

from samovar.architectures.llama import LM, SCORE, SPAN, LlamaConfig, LlamaModel, token_head
from samovar.config import doc
from samovar.nn.attention import Attention
from samovar.nn.transformer import FULL, SLIDING
from samovar.tasks import heads, text


class Qwen2Config(LlamaConfig):
    """Sizes of a Qwen2; the defaults are Qwen2 7B."""

    model_type = "qwen2"

    vocab_size: int = doc(151936, "Number of tokens.")
    intermediate_size: int = doc(22016, "Width inside the MLP.")
    num_key_value_heads: int | None = doc(32, "Heads of keys and values.")
    max_position_embeddings: int = doc(32768, "Longest text of the training.")
    use_sliding_window: bool = doc(False, "Give the upper blocks a window.")
    sliding_window: int | None = doc(None, "How many tokens a token sees there, itself included.")
    max_window_layers: int = doc(28, "The first block with a window.")
    layer_types: list[str] | None = doc(None, "The kind of each block; None: by the three keys above.")
    bos_token_id: int | None = doc(None, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(None, "Token after a text, or several.")


class Qwen2Model(LlamaModel):
    """Qwen2 without a head."""

    config_class = Qwen2Config

    def kinds(self, config: Any) -> list[str]:
        if config.layer_types is not None:
            return config.layer_types
        windows = config.use_sliding_window and config.sliding_window is not None
        first = config.max_window_layers if windows else config.num_hidden_layers
        return [SLIDING if index >= first else FULL for index in range(config.num_hidden_layers)]

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        return super().attention(config, index, **({"bias": True, "out_bias": False} | options))


class Qwen2ForCausalLM(text.CausalLM, backbone=Qwen2Model, head=heads.LMHead, weights=LM):
    """Qwen2 that predicts the next token."""


class Qwen2ForSequenceClassification(
    text.SequenceClassification, backbone=Qwen2Model, head=heads.LastTokenClassifier, weights=SCORE
):
    """Qwen2 that classifies texts by their last real token."""


class Qwen2ForTokenClassification(text.TokenClassification, backbone=Qwen2Model, head=token_head, weights=SCORE):
    """Qwen2 that classifies every token."""


class Qwen2ForQuestionAnswering(
    text.QuestionAnswering, backbone=Qwen2Model, head=heads.SpanClassifier, weights=SPAN, prefix="transformer"
):
    """Qwen2 that marks the start and the end of an answer."""
