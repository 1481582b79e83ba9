"""mBART (Liu et al. 2020): BART with its norms before the branches, for many languages."""

from __future__ import annotations

import torch
from torch import Tensor

from samovar.architectures.bart import SUM, WRITE, BartConfig, BartDecoder, BartModel
from samovar.config import doc
from samovar.tasks import heads
from samovar.tasks.sequences import (
    DecoderLM,
    EndTokenClassifier,
    Seq2SeqClassification,
    Seq2SeqLM,
    Seq2SeqQuestionAnswering,
    SequenceLMHead,
)


class MBartConfig(BartConfig):
    """Sizes of a mBART."""

    model_type = "mbart"

    decoder_start_token_id: int | None = doc(None, "Token that the decoder begins with; None: the language's.")
    forced_eos_token_id: int | None = doc(2, "Token that ends a text which has reached its greatest length.")


class MBartModel(BartModel):
    """mBART without a head."""

    config_class = MBartConfig
    order = "pre"
    last_norm = True

    def shifted(self, ids: Tensor) -> Tensor:
        """A target ends with its language, which is what the decoder begins with."""
        padding = self.config.pad_token_id
        ids = ids.masked_fill(ids == -100, padding)
        last = (ids != padding).sum(1, keepdim=True) - 1
        return torch.cat([ids.gather(1, last), ids[:, :-1]], dim=1)


class MBartDecoder(BartDecoder):
    """Its decoder alone."""

    config_class = MBartConfig
    family = MBartModel


class MBartForConditionalGeneration(Seq2SeqLM, backbone=MBartModel, head=SequenceLMHead, weights=WRITE):
    """mBART that writes a text for a text."""


class MBartForSequenceClassification(Seq2SeqClassification, backbone=MBartModel, head=EndTokenClassifier, weights=SUM):
    """mBART that classifies texts by the state of their last end token."""


class MBartForQuestionAnswering(
    Seq2SeqQuestionAnswering, backbone=MBartModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """mBART that marks the start and the end of an answer."""


class MBartForCausalLM(DecoderLM, backbone=MBartDecoder, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """mBART that predicts the next token, by its decoder alone."""


MBartModel.tasks["causal-lm"] = MBartForCausalLM
MBartModel.tasks["masked-lm"] = MBartForConditionalGeneration
