"""BERT (Devlin et al. 2019, arXiv:1810.04805): config fields, structure, weight names."""

from __future__ import annotations

from functools import partial

from torch import nn

from samovar.config import Config, doc
from samovar.errors import ConfigError
from samovar.nn.block import Order, stack
from samovar.nn.cross import with_source
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.norm import layer_norm
from samovar.nn.positions import LearnedPositions
from samovar.nn.transformer import Pooler, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import prefixed


class BertConfig(Config):
    """Sizes of a BERT; the defaults are `bert-base-uncased`."""

    model_type = "bert"

    vocab_size: int = doc(30522, "Number of tokens.")
    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    intermediate_size: int = doc(3072, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.1, "Dropout on attention probabilities.")
    max_position_embeddings: int = doc(512, "Longest sequence.")
    type_vocab_size: int = doc(2, "Number of segments.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    classifier_dropout: float | None = doc(None, "Dropout before a classifier; None: as `hidden_dropout_prob`.")
    is_decoder: bool = doc(False, "Read only earlier tokens.")
    add_cross_attention: bool = doc(False, "Attend to the states of an encoder as well.")


class BertModel(TextTransformer):
    """BERT without a head: `last_hidden_state`, and `pooler_output` from the first token."""

    config_class = BertConfig
    prefix = "bert"
    has_pooler = True
    order: Order = "post"
    weights = {
        "embeddings.word_embeddings": "embeddings.word",
        "embeddings.position_embeddings": "embeddings.position",
        "embeddings.token_type_embeddings": "embeddings.token_type",
        "embeddings.LayerNorm": "embeddings.norm",
        "embeddings.position_ids": None,
        "encoder.layer.{i}.attention.self.query": "layers.{i}.self_attn.q_proj",
        "encoder.layer.{i}.attention.self.key": "layers.{i}.self_attn.k_proj",
        "encoder.layer.{i}.attention.self.value": "layers.{i}.self_attn.v_proj",
        "encoder.layer.{i}.attention.output.dense": "layers.{i}.self_attn.o_proj",
        "encoder.layer.{i}.attention.output.LayerNorm": "layers.{i}.self_attn_norm",
        "encoder.layer.{i}.crossattention.self.query": "layers.{i}.cross_attn.q_proj",
        "encoder.layer.{i}.crossattention.self.key": "layers.{i}.cross_attn.k_proj",
        "encoder.layer.{i}.crossattention.self.value": "layers.{i}.cross_attn.v_proj",
        "encoder.layer.{i}.crossattention.output.dense": "layers.{i}.cross_attn.o_proj",
        "encoder.layer.{i}.crossattention.output.LayerNorm": "layers.{i}.cross_attn_norm",
        "encoder.layer.{i}.intermediate.dense": "layers.{i}.mlp.up_proj",
        "encoder.layer.{i}.output.dense": "layers.{i}.mlp.down_proj",
        "encoder.layer.{i}.output.LayerNorm": "layers.{i}.mlp_norm",
    }

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.causal = config.is_decoder
        positions, width = self.positions(config), config.hidden_size
        self.embeddings = bert_embeddings(config, positions, None if positions.embedding_dim == width else width)
        self.layers = bert_stack(config, config.num_hidden_layers, self.causal, self.order)
        if config.add_cross_attention:
            if not self.causal:
                raise ConfigError("add_cross_attention=True without is_decoder=True.", "Set both, or neither.")
            dropout = config.hidden_dropout_prob, config.attention_probs_dropout_prob
            self.layers = with_source(self.layers, layer_norm(config.layer_norm_eps), *dropout)
        self.pooler = Pooler(config.hidden_size) if add_pooling_layer else None

    def positions(self, config: BertConfig) -> LearnedPositions:
        """The position scheme, in which BERT's relatives differ; its width is the embeddings'."""
        return LearnedPositions(config.max_position_embeddings, config.hidden_size)


def bert_embeddings(config: Config, positions: LearnedPositions, projection: int | None = None) -> TextEmbeddings:
    """Words, positions and segments as BERT and its relatives sum them."""
    return TextEmbeddings(
        config.vocab_size,
        positions.embedding_dim,
        positions=positions,
        types=config.type_vocab_size,
        norm=layer_norm(config.layer_norm_eps),
        dropout=config.hidden_dropout_prob,
        padding_idx=config.pad_token_id,
        projection=projection,
    )


def bert_stack(config: Config, count: int, causal: bool = False, order: Order = "post") -> nn.ModuleList:
    """`count` of BERT's blocks."""
    return stack(
        count,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_act,
        layer_norm(config.layer_norm_eps),
        order=order,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        causal=causal,
    )


LM_WEIGHTS = {
    "cls.predictions.transform.dense": "dense",
    "cls.predictions.transform.LayerNorm": "norm",
    "cls.predictions.decoder": "decoder",
    "cls.predictions.bias": "bias",
}
PAIR_WEIGHTS = {"cls.seq_relationship": "classifier"}
PRETRAINING_WEIGHTS = prefixed(LM_WEIGHTS, "", "lm") | prefixed(PAIR_WEIGHTS, "", "pair")


class BertForSequenceClassification(text.SequenceClassification, backbone=BertModel, head=heads.PooledClassifier):
    """BERT with a linear layer over the pooled first token."""


class BertForTokenClassification(text.TokenClassification, backbone=BertModel, head=heads.TokenClassifier):
    """BERT with a linear layer over every token."""


class BertForQuestionAnswering(
    text.QuestionAnswering, backbone=BertModel, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """BERT that marks the start and the end of an answer."""


class BertForMultipleChoice(text.MultipleChoice, backbone=BertModel, head=partial(heads.PooledClassifier, labels=1)):
    """BERT that scores each of several continuations."""


class BertForMaskedLM(text.MaskedLM, backbone=BertModel, head=heads.BiasedLMHead, weights=LM_WEIGHTS):
    """BERT that fills masks."""


class BertLMHeadModel(text.CausalLM, backbone=BertModel, head=heads.BiasedLMHead, weights=LM_WEIGHTS):
    """BERT that predicts the next token; `is_decoder=True` makes it read only earlier ones."""


class BertForNextSentencePrediction(
    text.NextSentencePrediction, backbone=BertModel, head=heads.PairHead, weights=PAIR_WEIGHTS
):
    """BERT that says whether the second text follows the first."""


class BertForPreTraining(text.PreTraining, backbone=BertModel, head=heads.PreTrainingHead, weights=PRETRAINING_WEIGHTS):
    """BERT with both heads that it was first trained with."""
