"""Marian (Junczys-Dowmunt et al. 2018), OPUS-MT: BART without a norm on its embeddings, positions computed."""

from __future__ import annotations

from typing import Any

from samovar.architectures.bart import WRITE, BartConfig, BartDecoder, BartModel
from samovar.config import doc
from samovar.nn.positions import SinusoidalPositions
from samovar.tasks import heads
from samovar.tasks.sequences import DecoderLM, Seq2SeqLM, SequenceLMHead


class MarianConfig(BartConfig):
    """Sizes of a Marian."""

    model_type = "marian"

    vocab_size: int = doc(58101, "Number of tokens.")
    decoder_vocab_size: int | None = doc(None, "Number of tokens of the decoder; None: as of the encoder.")
    encoder_attention_heads: int = doc(16, "Heads of its blocks.")
    decoder_start_token_id: int | None = doc(58100, "Token that the decoder begins with.")
    pad_token_id: int | None = doc(58100, "Token that fills up a batch.")
    eos_token_id: int | None = doc(0, "Token after a text.")
    bos_token_id: int | None = doc(None, "Token before a text.")
    forced_eos_token_id: int | None = doc(0, "Token that ends a text which has reached its greatest length.")
    share_encoder_decoder_embeddings: bool = doc(True, "Source and target have one vocabulary.")


class MarianModel(BartModel):
    """Marian without a head."""

    config_class = MarianConfig
    embedding_norm = False
    weights = {
        **BartModel.weights,
        # Computed, whatever a file says.
        "encoder.embed_positions": None,
        "decoder.embed_positions": None,
    }

    @classmethod
    def positions(cls, config: Any) -> SinusoidalPositions:
        return SinusoidalPositions(config.d_model)


def lm_head(config: Any) -> heads.Head:
    """The projection to the decoder's vocabulary."""
    return SequenceLMHead(config, config.decoder_vocab_size)


def decoder_head(config: Any) -> heads.Head:
    """The same without the bias."""
    return heads.LMHead(config, words=config.decoder_vocab_size)


class MarianDecoder(BartDecoder):
    """Its decoder alone."""

    config_class = MarianConfig
    weights = {**BartDecoder.weights, "embed_positions": None}
    family = MarianModel


class MarianMTModel(Seq2SeqLM, backbone=MarianModel, head=lm_head, weights=WRITE):
    """Marian that writes a text for a text."""


class MarianForCausalLM(DecoderLM, backbone=MarianDecoder, head=decoder_head, weights={"lm_head": "decoder"}):
    """Marian that predicts the next token, by its decoder alone."""


MarianModel.tasks["causal-lm"] = MarianForCausalLM
