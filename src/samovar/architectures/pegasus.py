"""PEGASUS (Zhang et al. 2019): BART with its norms before the branches and positions computed."""

from __future__ import annotations

from typing import Any

from samovar.architectures.bart import WRITE, BartConfig, BartDecoder, BartModel
from samovar.config import doc
from samovar.nn.positions import SinusoidalPositions
from samovar.tasks import heads
from samovar.tasks.sequences import DecoderLM, Seq2SeqLM, SequenceLMHead


class PegasusConfig(BartConfig):
    """Sizes of a PEGASUS."""

    model_type = "pegasus"

    vocab_size: int = doc(50265, "Number of tokens.")
    decoder_start_token_id: int | None = doc(0, "Token that the decoder begins with.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    eos_token_id: int | None = doc(1, "Token after a text.")
    bos_token_id: int | None = doc(None, "Token before a text.")
    forced_eos_token_id: int | None = doc(1, "Token that ends a text which has reached its greatest length.")


class PegasusModel(BartModel):
    """PEGASUS without a head."""

    config_class = PegasusConfig
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
        return SinusoidalPositions(config.d_model)


class PegasusDecoder(BartDecoder):
    """Its decoder alone."""

    config_class = PegasusConfig
    weights = {**BartDecoder.weights, "embed_positions": None}
    family = PegasusModel


class PegasusForConditionalGeneration(Seq2SeqLM, backbone=PegasusModel, head=SequenceLMHead, weights=WRITE):
    """PEGASUS that writes a text for a text."""


class PegasusForCausalLM(DecoderLM, backbone=PegasusDecoder, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """PEGASUS that predicts the next token, by its decoder alone."""


PegasusModel.tasks["causal-lm"] = PegasusForCausalLM
