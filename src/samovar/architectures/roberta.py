"""RoBERTa (Liu et al. 2019, arXiv:1907.11692) and its variants XLM-RoBERTa (Conneau et al. 2020, arXiv:1911.02116)
and CamemBERT (Martin et al. 2020, arXiv:1911.03894): BERT with other positions and other heads."""

from __future__ import annotations

from functools import partial

from samovar.architectures.bert import BertConfig, BertModel
from samovar.config import doc
from samovar.nn.positions import PaddingAwarePositions
from samovar.tasks import heads, text

CLASSIFIER = {"classifier.dense": "dense", "classifier.out_proj": "classifier"}
SPAN = {"qa_outputs": "classifier"}
LM = {
    "lm_head.dense": "dense",
    "lm_head.layer_norm": "norm",
    "lm_head.decoder": "decoder",
    "lm_head.bias": "bias",
}
lm_head = partial(heads.BiasedLMHead, act="gelu")
choice_head = partial(heads.PooledClassifier, labels=1, hidden_dropout=True)


class RobertaConfig(BertConfig):
    """Sizes of a RoBERTa; the fields are BERT's."""

    model_type = "roberta"

    vocab_size: int = doc(50265, "Number of tokens.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch; positions are counted from the one after it.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    eos_token_id: int | None = doc(2, "Token after a text.")


class RobertaModel(BertModel):
    """RoBERTa without a head."""

    config_class = RobertaConfig
    prefix = "roberta"

    def positions(self, config: BertConfig) -> PaddingAwarePositions:
        """Positions are counted over real tokens."""
        return PaddingAwarePositions(config.max_position_embeddings, config.hidden_size, config.pad_token_id)


class RobertaForSequenceClassification(
    text.SequenceClassification, backbone=RobertaModel, head=heads.FirstTokenClassifier, weights=CLASSIFIER
):
    """RoBERTa with two layers over the first token."""


class RobertaForTokenClassification(text.TokenClassification, backbone=RobertaModel, head=heads.TokenClassifier):
    """RoBERTa with a linear layer over every token."""


class RobertaForQuestionAnswering(
    text.QuestionAnswering, backbone=RobertaModel, head=heads.SpanClassifier, weights=SPAN
):
    """RoBERTa that marks the start and the end of an answer."""


class RobertaForMultipleChoice(text.MultipleChoice, backbone=RobertaModel, head=choice_head):
    """RoBERTa that scores each of several continuations."""


class RobertaForMaskedLM(text.MaskedLM, backbone=RobertaModel, head=lm_head, weights=LM):
    """RoBERTa that fills masks."""


class RobertaForCausalLM(text.CausalLM, backbone=RobertaModel, head=lm_head, weights=LM):
    """RoBERTa that predicts the next token; `is_decoder=True` makes it read only earlier ones."""


class XLMRobertaConfig(RobertaConfig):
    """Sizes of a XLM-RoBERTa."""

    model_type = "xlm-roberta"

    vocab_size: int = doc(30522, "Number of tokens.")


class XLMRobertaModel(RobertaModel):
    """RoBERTa on text in a hundred languages."""

    config_class = XLMRobertaConfig


# fmt: off
class XLMRobertaForSequenceClassification(RobertaForSequenceClassification, backbone=XLMRobertaModel):
    """XLM-RoBERTa with two layers over the first token."""
class XLMRobertaForTokenClassification(RobertaForTokenClassification, backbone=XLMRobertaModel):
    """XLM-RoBERTa with a linear layer over every token."""
class XLMRobertaForQuestionAnswering(RobertaForQuestionAnswering, backbone=XLMRobertaModel):
    """XLM-RoBERTa that marks the start and the end of an answer."""
class XLMRobertaForMultipleChoice(RobertaForMultipleChoice, backbone=XLMRobertaModel):
    """XLM-RoBERTa that scores each of several continuations."""
class XLMRobertaForMaskedLM(RobertaForMaskedLM, backbone=XLMRobertaModel):
    """XLM-RoBERTa that fills masks."""
class XLMRobertaForCausalLM(RobertaForCausalLM, backbone=XLMRobertaModel):
    """XLM-RoBERTa that predicts the next token."""
# fmt: on


class CamembertConfig(RobertaConfig):
    """Sizes of a CamemBERT."""

    model_type = "camembert"

    vocab_size: int = doc(30522, "Number of tokens.")


class CamembertModel(RobertaModel):
    """RoBERTa on French text."""

    config_class = CamembertConfig


# fmt: off
class CamembertForSequenceClassification(RobertaForSequenceClassification, backbone=CamembertModel):
    """CamemBERT with two layers over the first token."""
class CamembertForTokenClassification(RobertaForTokenClassification, backbone=CamembertModel):
    """CamemBERT with a linear layer over every token."""
class CamembertForQuestionAnswering(RobertaForQuestionAnswering, backbone=CamembertModel):
    """CamemBERT that marks the start and the end of an answer."""
class CamembertForMultipleChoice(RobertaForMultipleChoice, backbone=CamembertModel):
    """CamemBERT that scores each of several continuations."""
class CamembertForMaskedLM(RobertaForMaskedLM, backbone=CamembertModel):
    """CamemBERT that fills masks."""
class CamembertForCausalLM(RobertaForCausalLM, backbone=CamembertModel):
    """CamemBERT that predicts the next token."""
# fmt: on
