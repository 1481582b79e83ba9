"""ALBERT (Lan et al. 2020, arXiv:1909.11942): narrow embeddings and one set of block weights used many times."""

from __future__ import annotations

from functools import partial

from torch import nn

from samovar.architectures.bert import bert_embeddings, bert_stack
from samovar.config import Config, doc
from samovar.nn.positions import LearnedPositions
from samovar.nn.transformer import Pooler, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import prefixed


class AlbertConfig(Config):
    """Sizes of an ALBERT; the defaults are `albert-xxlarge`."""

    model_type = "albert"
    aliases = {"classifier_dropout": "classifier_dropout_prob"}

    vocab_size: int = doc(30000, "Number of tokens.")
    embedding_size: int = doc(128, "Width of the embeddings.")
    hidden_size: int = doc(4096, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of times that a set of weights is used.")
    num_hidden_groups: int = doc(1, "Number of sets of weights that the blocks share.")
    num_attention_heads: int = doc(64, "Heads per block.")
    intermediate_size: int = doc(16384, "Width inside the MLP.")
    inner_group_num: int = doc(1, "Blocks in a set.")
    hidden_act: str = doc("gelu_new", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.0, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.0, "Dropout on attention probabilities.")
    classifier_dropout_prob: float = doc(0.1, "Dropout before a classifier.")
    max_position_embeddings: int = doc(512, "Longest sequence.")
    type_vocab_size: int = doc(2, "Number of segments.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    bos_token_id: int | None = doc(2, "Token before a text.")
    eos_token_id: int | None = doc(3, "Token after a text.")


class AlbertModel(TextTransformer):
    """ALBERT without a head."""

    config_class = AlbertConfig
    prefix = "albert"
    has_pooler = True
    weights = {
        "embeddings.word_embeddings": "embeddings.word",
        "embeddings.position_embeddings": "embeddings.position",
        "embeddings.token_type_embeddings": "embeddings.token_type",
        "embeddings.LayerNorm": "embeddings.norm",
        "embeddings.position_ids": None,
        "encoder.embedding_hidden_mapping_in": "embeddings.project",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.attention.query": "groups.{i}.{j}.self_attn.q_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.attention.key": "groups.{i}.{j}.self_attn.k_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.attention.value": "groups.{i}.{j}.self_attn.v_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.attention.dense": "groups.{i}.{j}.self_attn.o_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.attention.LayerNorm": "groups.{i}.{j}.self_attn_norm",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.ffn": "groups.{i}.{j}.mlp.up_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.ffn_output": "groups.{i}.{j}.mlp.down_proj",
        "encoder.albert_layer_groups.{i}.albert_layers.{j}.full_layer_layer_norm": "groups.{i}.{j}.mlp_norm",
        "pooler": "pooler.dense",
    }

    def __init__(self, config: AlbertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        positions = LearnedPositions(config.max_position_embeddings, config.embedding_size)
        self.embeddings = bert_embeddings(config, positions, projection=config.hidden_size)
        self.groups = nn.ModuleList(bert_stack(config, config.inner_group_num) for _ in range(config.num_hidden_groups))
        self.pooler = Pooler(config.hidden_size) if add_pooling_layer else None

    @property
    def layers(self) -> list[nn.Module]:  # type: ignore[override]
        """The blocks in the order of use, each set of weights as often as its turn comes."""
        total = self.config.num_hidden_layers
        order = [self.groups[i * len(self.groups) // total] for i in range(total)]
        return [block for group in order for block in group]


def lm_head(config: AlbertConfig) -> heads.BiasedLMHead:
    """A head as narrow as the embeddings."""
    return heads.BiasedLMHead(config, size=config.embedding_size)


LM = {
    "predictions.dense": "dense",
    "predictions.LayerNorm": "norm",
    "predictions.decoder": "decoder",
    "predictions.bias": "bias",
}


class AlbertForSequenceClassification(text.SequenceClassification, backbone=AlbertModel, head=heads.PooledClassifier):
    """ALBERT with a linear layer over the pooled first token."""


class AlbertForTokenClassification(text.TokenClassification, backbone=AlbertModel, head=heads.TokenClassifier):
    """ALBERT with a linear layer over every token."""


class AlbertForQuestionAnswering(
    text.QuestionAnswering, backbone=AlbertModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """ALBERT that marks the start and the end of an answer."""


class AlbertForMultipleChoice(
    text.MultipleChoice, backbone=AlbertModel, head=partial(heads.PooledClassifier, labels=1)
):
    """ALBERT that scores each of several continuations."""


class AlbertForMaskedLM(text.MaskedLM, backbone=AlbertModel, head=lm_head, weights=LM):
    """ALBERT that fills masks."""


class AlbertForPreTraining(
    text.PreTraining,
    backbone=AlbertModel,
    head=lambda config: heads.PreTrainingHead(
        config, lm_head(config), heads.PairHead(config, config.classifier_dropout_prob)
    ),
    weights=prefixed(LM, "", "lm") | {"sop_classifier.classifier": "pair.classifier"},
):
    """ALBERT with both heads that it was first trained with: masked words, and the order of two sentences."""

    pair_logits = "sop_logits"
    pair_labels = "sentence_order_label"
