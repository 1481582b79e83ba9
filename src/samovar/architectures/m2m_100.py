"""M2M100 (Fan et al. 2020), NLLB: BART with its norms before the branches and positions computed over real tokens."""

from __future__ import annotations

from typing import Any

from samovar.architectures.bart import BartConfig, BartModel
from samovar.config import doc
from samovar.nn.positions import SinusoidalPositions
from samovar.tasks import heads
from samovar.tasks.sequences import Seq2SeqLM


class M2M100Config(BartConfig):
    """Sizes of a M2M100."""

    model_type = "m2m_100"

    vocab_size: int = doc(128112, "Number of tokens.")
    activation_function: str = doc("relu", "Activation of the MLPs.")
    attention_dropout: float = doc(0.1, "Dropout on attention probabilities.")
    scale_embedding: bool = doc(True, "Multiply words by the square root of the width.")


class M2M100Model(BartModel):
    """M2M100 without a head."""

    config_class = M2M100Config
    order = "pre"
    embedding_norm = False
    last_norm = True
    weights = {
        **BartModel.weights,
        # Computed, whatever a file says.
        "encoder.embed_positions": None,
        "decoder.embed_positions": None,
    }

    @classmethod
    def positions(cls, config: Any) -> SinusoidalPositions:
        return SinusoidalPositions(config.d_model, config.pad_token_id)


class M2M100ForConditionalGeneration(
    Seq2SeqLM, backbone=M2M100Model, head=heads.LMHead, weights={"lm_head": "decoder"}
):
    """M2M100 that writes a text for a text."""
