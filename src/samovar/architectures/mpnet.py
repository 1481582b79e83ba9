"""MPNet (Song et al. 2020, arXiv:2004.09297): BERT's blocks, RoBERTa's positions, and relative ones beside them."""

from __future__ import annotations

from functools import partial

from samovar.architectures import roberta
from samovar.architectures.bert import BertConfig
from samovar.config import Config, doc
from samovar.errors import ConfigError
from samovar.nn.positions import PaddingAwarePositions, RelativeBias
from samovar.tasks import heads, text

BUCKETS = 32


choice_head = partial(heads.PooledClassifier, labels=1, hidden_dropout=True)


class MPNetConfig(Config):
    """Sizes of an MPNet; the defaults are `mpnet-base`."""

    model_type = "mpnet"
    type_vocab_size = 0
    is_decoder = False
    add_cross_attention = False

    vocab_size: int = doc(30527, "Number of tokens.")
    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    intermediate_size: int = doc(3072, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.1, "Dropout on attention probabilities.")
    max_position_embeddings: int = doc(512, "Number of positions, of which the first two are not for tokens.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    relative_attention_num_buckets: int = doc(32, "Distance buckets of the relative bias.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    eos_token_id: int | None = doc(2, "Token after a text.")


class MPNetModel(roberta.RobertaModel):
    """MPNet without a head."""

    config_class = MPNetConfig  # type: ignore[assignment]  # RoBERTa's structure, with fields of its own.
    prefix = "mpnet"
    weights = {
        "embeddings.word_embeddings": "embeddings.word",
        "embeddings.position_embeddings": "embeddings.position",
        "embeddings.position_ids": None,
        "embeddings.LayerNorm": "embeddings.norm",
        "encoder.layer.{i}.attention.attn.q": "layers.{i}.self_attn.q_proj",
        "encoder.layer.{i}.attention.attn.k": "layers.{i}.self_attn.k_proj",
        "encoder.layer.{i}.attention.attn.v": "layers.{i}.self_attn.v_proj",
        "encoder.layer.{i}.attention.attn.o": "layers.{i}.self_attn.o_proj",
        "encoder.layer.{i}.attention.LayerNorm": "layers.{i}.self_attn_norm",
        "encoder.layer.{i}.intermediate.dense": "layers.{i}.mlp.up_proj",
        "encoder.layer.{i}.output.dense": "layers.{i}.mlp.down_proj",
        "encoder.layer.{i}.output.LayerNorm": "layers.{i}.mlp_norm",
        "encoder.relative_attention_bias": "relative_bias",
    }

    def __init__(self, config: MPNetConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)  # type: ignore[arg-type]
        if config.relative_attention_num_buckets != BUCKETS:
            raise ConfigError(
                f"relative_attention_num_buckets={config.relative_attention_num_buckets}: MPNet has {BUCKETS} always.",
                f"Leave the key out; other programs read it and count {BUCKETS} buckets all the same.",
            )
        self.relative_bias = RelativeBias(config.num_attention_heads, BUCKETS)

    def positions(self, config: BertConfig) -> PaddingAwarePositions:
        """Counted from 2 whatever `pad_token_id` says, as in every program that trains this architecture."""
        return PaddingAwarePositions(config.max_position_embeddings, config.hidden_size, padding_idx=1)


class MPNetForSequenceClassification(
    text.SequenceClassification, backbone=MPNetModel, head=heads.FirstTokenClassifier, weights=roberta.CLASSIFIER
):
    """MPNet with two layers over the first token."""


class MPNetForTokenClassification(text.TokenClassification, backbone=MPNetModel, head=heads.TokenClassifier):
    """MPNet with a linear layer over every token."""


class MPNetForQuestionAnswering(
    text.QuestionAnswering, backbone=MPNetModel, head=heads.SpanClassifier, weights=roberta.SPAN
):
    """MPNet that marks the start and the end of an answer."""


class MPNetForMultipleChoice(text.MultipleChoice, backbone=MPNetModel, head=choice_head):
    """MPNet that scores each of several continuations."""


class MPNetForMaskedLM(text.MaskedLM, backbone=MPNetModel, head=roberta.lm_head, weights=roberta.LM):
    """MPNet that fills masks."""
