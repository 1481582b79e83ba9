"""mT5 (Xue et al. 2021): T5 1.1 for many languages."""

from __future__ import annotations

from samovar.architectures.t5 import SUM, T5Config, T5EncoderModel, T5LMHead, T5Model
from samovar.config import doc
from samovar.tasks import heads, text
from samovar.tasks.sequences import EndTokenClassifier, Seq2SeqClassification, Seq2SeqLM, Seq2SeqQuestionAnswering


class MT5Config(T5Config):
    """Sizes of an mT5; the defaults are `google/mt5-small`."""

    model_type = "mt5"

    vocab_size: int = doc(250112, "Number of tokens.")
    d_ff: int = doc(1024, "Width inside the MLPs.")
    num_layers: int = doc(8, "Blocks of the encoder.")
    num_heads: int = doc(6, "Heads per block.")
    feed_forward_proj: str = doc("gated-gelu", "Activation of the MLPs, `gated-` before it where they have a gate.")
    scale_decoder_outputs: bool | None = doc(False, "Scale the logits down.")
    tie_word_embeddings: bool = doc(False, "Share the words with the output projection.")


class MT5EncoderModel(T5EncoderModel):
    """mT5's encoder by itself."""

    config_class = MT5Config


class MT5Model(T5Model):
    """mT5 without a head."""

    config_class = MT5Config
    encoder_class = MT5EncoderModel


class MT5ForConditionalGeneration(Seq2SeqLM, backbone=MT5Model, head=T5LMHead, weights={"lm_head": "decoder"}):
    """mT5 that writes a text for a text."""


class MT5ForSequenceClassification(
    Seq2SeqClassification, backbone=MT5Model, head=EndTokenClassifier, weights=SUM, prefix="transformer"
):
    """mT5 that classifies texts by the decoder's state of their last end token."""


class MT5ForTokenClassification(
    text.TokenClassification, backbone=MT5EncoderModel, head=heads.TokenClassifier, prefix="transformer",
    weights={"classifier": "classifier"},
):  # fmt: skip
    """mT5's encoder that classifies every token."""


class MT5ForQuestionAnswering(
    Seq2SeqQuestionAnswering, backbone=MT5Model, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """mT5 that marks the start and the end of an answer."""


MT5Model.tasks["token-classification"] = MT5ForTokenClassification
