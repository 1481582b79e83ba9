"""DeBERTa v2 and v3 (He et al. 2021, arXiv:2006.03654 and 2111.09543): BERT's blocks, in which content and relative
distance attend to each other."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from samovar.architectures.bert import BertModel, bert_embeddings
from samovar.config import Config, doc
from samovar.errors import ConfigError
from samovar.nn.disentangled import DisentangledAttention, DisentangledBlock, RelativeTable
from samovar.nn.norm import layer_norm
from samovar.nn.positions import LearnedPositions
from samovar.nn.transformer import Reading, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import When


class DebertaV2Config(Config):
    """Sizes of a DeBERTa v2 or v3; the defaults are `deberta-v2-xlarge`."""

    model_type = "deberta-v2"
    is_decoder = False

    vocab_size: int = doc(128100, "Number of tokens.")
    hidden_size: int = doc(1536, "Width of the residual stream.")
    num_hidden_layers: int = doc(24, "Number of blocks.")
    num_attention_heads: int = doc(24, "Heads per block.")
    intermediate_size: int = doc(6144, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.1, "Dropout on attention probabilities.")
    max_position_embeddings: int = doc(512, "Number of absolute positions.")
    type_vocab_size: int = doc(0, "Number of segments.")
    layer_norm_eps: float = doc(1e-7, "Added to the variance in norms.")
    relative_attention: bool = doc(True, "Distances attend; nothing else is built.")
    max_relative_positions: int = doc(-1, "Longest distance; -1: as `max_position_embeddings`.")
    position_buckets: int = doc(-1, "Buckets that distances share; -1: each has its own.")
    norm_rel_ebd: str = doc("none", "`layer_norm`: the vectors of distances are normalised.")
    share_att_key: bool = doc(False, "Distances are projected by the weights of content.")
    pos_att_type: str | list[str] | None = doc(None, "`c2p` (content on distance) and `p2c` (distance on content).")
    position_biased_input: bool = doc(True, "Absolute positions are added to the words.")
    conv_kernel_size: int = doc(0, "Width of the convolution behind the first block; 0: none.")
    conv_groups: int = doc(1, "Its groups.")
    conv_act: str = doc("tanh", "Its activation.")
    embedding_size: int | None = doc(None, "Width of the words; None: `hidden_size`.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    pooler_dropout: float = doc(0.0, "Dropout before the dense layer of classifiers of texts.")
    pooler_hidden_act: str = doc("gelu", "Activation behind that layer.")
    cls_dropout: float | None = doc(None, "Dropout before those classifiers; None: `hidden_dropout_prob`.")
    legacy: bool = doc(True, "The head that fills masks is BERT's, and not DeBERTa's own.")


class DebertaV2Model(TextTransformer):
    """DeBERTa v2 without a head."""

    config_class = DebertaV2Config
    prefix = "deberta"
    weights = {
        **BertModel.weights,
        "encoder.layer.{i}.attention.self.query": None,
        "encoder.layer.{i}.attention.self.key": None,
        "encoder.layer.{i}.attention.self.value": None,
        "encoder.layer.{i}.attention.self.query_proj": "layers.{i}.self_attn.q_proj",
        "encoder.layer.{i}.attention.self.key_proj": "layers.{i}.self_attn.k_proj",
        "encoder.layer.{i}.attention.self.value_proj": "layers.{i}.self_attn.v_proj",
        "encoder.layer.{i}.attention.self.pos_key_proj": "layers.{i}.self_attn.position_k_proj",
        "encoder.layer.{i}.attention.self.pos_query_proj": "layers.{i}.self_attn.position_q_proj",
        "encoder.rel_embeddings": "distances.embedding",
        "encoder.LayerNorm": "distances.norm",
        "encoder.conv.conv": "layers.0.conv",
        "encoder.conv.LayerNorm": "layers.0.conv_norm",
    }

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        if config.embedding_size not in (None, config.hidden_size):
            raise ConfigError(
                f"embedding_size={config.embedding_size} beside hidden_size={config.hidden_size}: no checkpoint of "
                "DeBERTa has embeddings of another width, so none are built.",
                "Leave embedding_size out.",
            )
        hidden = config.hidden_size
        longest = config.max_relative_positions if config.max_relative_positions > 0 else config.max_position_embeddings
        norm = layer_norm(config.layer_norm_eps)
        positions = LearnedPositions(config.max_position_embeddings, hidden)
        self.embeddings = bert_embeddings(config, positions)
        if not config.position_biased_input:
            self.embeddings.position = None
        self.layers = nn.ModuleList(deberta_block(config, index) for index in range(config.num_hidden_layers))
        if not config.relative_attention:
            raise ConfigError(
                "relative_attention=False: every DeBERTa v2 attends to distances; nothing else is built.",
                'Set relative_attention=True with pos_att_type=["c2p", "p2c"].',
            )
        normalised = "layer_norm" in config.norm_rel_ebd.lower()
        buckets = max(config.position_buckets, 0)
        self.distances = RelativeTable(hidden, longest, buckets, norm if normalised else None)

    def reading(
        self, kind: str, mask: Tensor | None, x: Tensor, past: int, position_ids: Tensor | None, whole: bool = False
    ) -> Reading:
        real = mask if mask is not None and mask.ndim == 2 else None
        if real is not None:
            # What is real reads what is real; padding reads all.
            mask = (real[:, :, None] == 0) | (real[:, None, :] != 0)
        reading = super().reading(kind, mask, x, past, position_ids, whole)
        return reading._replace(rotation=self.distances(x.shape[1], real))


def deberta_block(config: DebertaV2Config, index: int) -> DisentangledBlock:
    """One block; the first may have a convolution behind it."""
    given = config.pos_att_type or []
    kinds = given.lower().split("|") if isinstance(given, str) else given
    attention = DisentangledAttention(
        config.hidden_size, config.num_attention_heads, kinds=[kind.strip() for kind in kinds],
        shared=config.share_att_key, relative=config.relative_attention,
        dropout=config.attention_probs_dropout_prob, position_dropout=config.hidden_dropout_prob,
    )  # fmt: skip
    return DisentangledBlock(
        config.hidden_size, attention, config.intermediate_size, config.hidden_act, layer_norm(config.layer_norm_eps),
        dropout=config.hidden_dropout_prob, first=index == 0, kernel=0 if index else config.conv_kernel_size,
        groups=config.conv_groups, kernel_act=config.conv_act,
    )  # fmt: skip


def pooled(config: Any, labels: int | None = None) -> heads.Head:
    """Two layers over the first token."""
    dropout = config.hidden_dropout_prob if config.cls_dropout is None else config.cls_dropout
    return heads.FirstTokenClassifier(
        config, labels, config.pooler_hidden_act, input_dropout=config.pooler_dropout, dropout=dropout
    )


def lm_head(config: Any) -> heads.Head:
    """BERT's head, or DeBERTa's own, which always reads the words' vectors."""
    return heads.BiasedLMHead(config) if config.legacy else heads.MaskedLMHead(config)


def legacy(config: Any) -> bool:
    """BERT's head."""
    return bool(config.legacy)


def own(config: Any) -> bool:
    """DeBERTa's own head."""
    return not config.legacy


POOLED = {"pooler.dense": "dense", "classifier": "classifier"}
LM = {
    "cls.predictions.transform.dense": When("dense", legacy),
    "cls.predictions.transform.LayerNorm": When("norm", legacy),
    "cls.predictions.decoder": When("decoder", legacy),
    "cls.predictions.bias": When("bias", legacy),
    "lm_predictions.lm_head.dense": When("dense", own),
    "lm_predictions.lm_head.LayerNorm": When("norm", own),
    "lm_predictions.lm_head.bias": When("decoder.bias", own),
}


class DebertaV2ForSequenceClassification(
    text.SequenceClassification, backbone=DebertaV2Model, head=pooled, weights=POOLED
):
    """DeBERTa v2 that classifies texts."""


class DebertaV2ForTokenClassification(text.TokenClassification, backbone=DebertaV2Model, head=heads.TokenClassifier):
    """DeBERTa v2 with a linear layer over every token."""


class DebertaV2ForQuestionAnswering(
    text.QuestionAnswering, backbone=DebertaV2Model, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """DeBERTa v2 that marks the start and the end of an answer."""


class DebertaV2ForMultipleChoice(
    text.MultipleChoice, backbone=DebertaV2Model, head=partial(pooled, labels=1), weights=POOLED
):
    """DeBERTa v2 that scores each of several continuations."""


class DebertaV2ForMaskedLM(text.MaskedLM, backbone=DebertaV2Model, head=lm_head, weights=LM):
    """DeBERTa v2 that fills masks."""
