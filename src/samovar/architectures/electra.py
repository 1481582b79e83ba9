"""ELECTRA (Clark et al. 2020, arXiv:2003.10555): BERT with narrow embeddings, trained to spot replaced tokens."""

from __future__ import annotations

from functools import partial

from samovar.architectures.bert import BertConfig, BertModel
from samovar.config import doc
from samovar.errors import ConfigError
from samovar.nn.positions import LearnedPositions
from samovar.tasks import heads, text


class ElectraConfig(BertConfig):
    """Sizes of an ELECTRA; the defaults are `electra-small-discriminator`."""

    model_type = "electra"

    embedding_size: int = doc(128, "Width of the embeddings; projected to `hidden_size` where it differs.")
    hidden_size: int = doc(256, "Width of the residual stream.")
    num_attention_heads: int = doc(4, "Heads per block.")
    intermediate_size: int = doc(1024, "Width inside the MLP.")
    summary_type: str = doc("first", "Which token stands for a text in multiple choice.")
    summary_use_proj: bool = doc(True, "Whether a dense layer follows that token.")
    summary_activation: str | None = doc("gelu", "Activation after that layer.")
    summary_last_dropout: float = doc(0.1, "Dropout after that activation.")


class ElectraModel(BertModel):
    """ELECTRA without a head, and without a pooler."""

    config_class = ElectraConfig
    prefix = "electra"
    has_pooler = False
    weights = {**BertModel.weights, "embeddings_project": "embeddings.project"}

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config, add_pooling_layer=False)

    def positions(self, config: ElectraConfig) -> LearnedPositions:  # type: ignore[override]
        """Positions as narrow as the words."""
        return LearnedPositions(config.max_position_embeddings, config.embedding_size)


def choice_head(config: ElectraConfig) -> heads.Head:
    """The first token through a dense layer; the other ways to sum up a text are in no known checkpoint."""
    if config.summary_type != "first" or not config.summary_use_proj:
        raise ConfigError(
            f"summary_type={config.summary_type!r}, summary_use_proj={config.summary_use_proj}: not built here.",
            'Use summary_type="first" with summary_use_proj=True.',
        )
    act, dropout = config.summary_activation or "linear", config.summary_last_dropout
    return heads.FirstTokenClassifier(config, labels=1, act=act, input_dropout=False, dropout=dropout)


def lm_head(config: ElectraConfig) -> heads.Head:
    """The generator's head, as narrow as the embeddings."""
    return heads.MaskedLMHead(config, act="gelu", size=config.embedding_size)


LM = {
    "generator_predictions.dense": "dense",
    "generator_predictions.LayerNorm": "norm",
    "generator_lm_head": "decoder",
}


class ElectraForSequenceClassification(
    text.SequenceClassification,
    backbone=ElectraModel,
    head=partial(heads.FirstTokenClassifier, act="gelu"),
    weights={"classifier.dense": "dense", "classifier.out_proj": "classifier"},
):
    """ELECTRA with two layers over the first token."""


class ElectraForTokenClassification(text.TokenClassification, backbone=ElectraModel, head=heads.TokenClassifier):
    """ELECTRA with a linear layer over every token."""


class ElectraForQuestionAnswering(
    text.QuestionAnswering, backbone=ElectraModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """ELECTRA that marks the start and the end of an answer."""


class ElectraForMultipleChoice(
    text.MultipleChoice, backbone=ElectraModel, head=choice_head, weights={"sequence_summary.summary": "dense"}
):
    """ELECTRA that scores each of several continuations."""


class ElectraForMaskedLM(text.MaskedLM, backbone=ElectraModel, head=lm_head, weights=LM):
    """ELECTRA's generator: fills masks."""


class ElectraForCausalLM(text.CausalLM, backbone=ElectraModel, head=lm_head, weights=LM):
    """ELECTRA that predicts the next token; `is_decoder=True` makes it read only earlier ones."""


class ElectraForPreTraining(
    text.ReplacedTokenDetection,
    backbone=ElectraModel,
    head=heads.ReplacedTokenHead,
    weights={"discriminator_predictions.dense": "dense", "discriminator_predictions.dense_prediction": "classifier"},
):
    """ELECTRA's discriminator: says which tokens were replaced."""
