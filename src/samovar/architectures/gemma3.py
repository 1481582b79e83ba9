"""Gemma 3 (2025), its text part: Gemma 2 with norms over heads, no bounds, and two kinds of rotary positions."""

from __future__ import annotations

from typing import Any

from samovar.architectures.gemma2 import Gemma2Config, Gemma2Model
from samovar.architectures.llama import LM, SCORE
from samovar.config import doc
from samovar.nn.attention import Attention
from samovar.nn.rotary import Rotary
from samovar.nn.transformer import FULL, SLIDING
from samovar.tasks import heads, text


class Gemma3TextConfig(Gemma2Config):
    """Sizes of a Gemma 3's text part."""

    model_type = "gemma3_text"

    vocab_size: int = doc(262208, "Number of tokens.")
    max_position_embeddings: int = doc(131072, "Longest text of the training.")
    attn_logit_softcapping: float | None = doc(None, "Bound of attention scores.")
    final_logit_softcapping: float | None = doc(None, "Bound of the logits.")
    sliding_window_pattern: int = doc(6, "Every so many blocks, one sees all earlier tokens.")
    rope_theta: float | None = doc(None, "Base of the rotary positions of blocks that see all; None: 1,000,000.")
    rope_local_base_freq: float | None = doc(None, "Base of those with a window; None: 10,000.")
    use_bidirectional_attention: bool | None = doc(False, "Tokens read later ones too, as to embed texts.")


class Gemma3TextModel(Gemma2Model):
    """Gemma 3 without a head."""

    config_class = Gemma3TextConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.use_bidirectional_attention:
            # The configuration's number is then the width of both sides together.
            self.causal, self.windows = False, {SLIDING: config.sliding_window // 2 + 1}

    def kinds(self, config: Any) -> list[str]:
        every, count = config.sliding_window_pattern, config.num_hidden_layers
        return config.layer_types or [SLIDING if (index + 1) % every else FULL for index in range(count)]

    def rotation(self, config: Any, kind: str) -> Rotary:
        local = kind == SLIDING
        theta = (config.rope_local_base_freq or 1e4) if local else (config.rope_theta or 1e6)
        nested = FULL in (config.rope_parameters or {})
        return Rotary(config, kind, theta, given={"rope_theta": theta} if local and not nested else None)

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        causal = not config.use_bidirectional_attention
        return super().attention(config, index, qk_norm=self.norms(config), causal=causal, **options)


class Gemma3ForCausalLM(text.CausalLM, backbone=Gemma3TextModel, head=heads.LMHead, weights=LM):
    """Gemma 3 that predicts the next token."""


class Gemma3TextForSequenceClassification(
    text.SequenceClassification, backbone=Gemma3TextModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Gemma 3 that classifies texts by their last real token."""
