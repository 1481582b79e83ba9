"""DistilBERT (Sanh et al. 2019, arXiv:1910.01108): config fields, structure, weight names."""

from __future__ import annotations

from functools import partial

from samovar.config import Config, doc
from samovar.nn.block import stack
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.norm import layer_norm
from samovar.nn.positions import LearnedPositions
from samovar.nn.transformer import TextTransformer
from samovar.tasks import heads, text


class DistilBertConfig(Config):
    """Sizes of a DistilBERT; the defaults are `distilbert-base-uncased`."""

    model_type = "distilbert"
    aliases = {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "classifier_dropout": "seq_classif_dropout",
    }
    layer_norm_eps = 1e-12

    vocab_size: int = doc(30522, "Number of tokens.")
    max_position_embeddings: int = doc(512, "Longest sequence.")
    sinusoidal_pos_embds: bool = doc(False, "Positions were started as sinusoids; they are weights all the same.")
    n_layers: int = doc(6, "Number of blocks.")
    n_heads: int = doc(12, "Heads per block.")
    dim: int = doc(768, "Width of the residual stream.")
    hidden_dim: int = doc(3072, "Width inside the MLP.")
    dropout: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_dropout: float = doc(0.1, "Dropout on attention probabilities.")
    activation: str = doc("gelu", "Activation of the MLP.")
    qa_dropout: float = doc(0.1, "Dropout before the layer that marks answers.")
    seq_classif_dropout: float = doc(0.2, "Dropout before a classifier.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")


class DistilBertModel(TextTransformer):
    """DistilBERT without a head: BERT's blocks, no segments, no pooler."""

    config_class = DistilBertConfig
    prefix = "distilbert"
    weights = {
        "embeddings.word_embeddings": "embeddings.word",
        "embeddings.position_embeddings": "embeddings.position",
        "embeddings.position_ids": None,
        "embeddings.LayerNorm": "embeddings.norm",
        "transformer.layer.{i}.attention.q_lin": "layers.{i}.self_attn.q_proj",
        "transformer.layer.{i}.attention.k_lin": "layers.{i}.self_attn.k_proj",
        "transformer.layer.{i}.attention.v_lin": "layers.{i}.self_attn.v_proj",
        "transformer.layer.{i}.attention.out_lin": "layers.{i}.self_attn.o_proj",
        "transformer.layer.{i}.sa_layer_norm": "layers.{i}.self_attn_norm",
        "transformer.layer.{i}.ffn.lin1": "layers.{i}.mlp.up_proj",
        "transformer.layer.{i}.ffn.lin2": "layers.{i}.mlp.down_proj",
        "transformer.layer.{i}.output_layer_norm": "layers.{i}.mlp_norm",
    }

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        norm = layer_norm(config.layer_norm_eps)
        self.embeddings = TextEmbeddings(
            config.vocab_size,
            config.dim,
            positions=LearnedPositions(config.max_position_embeddings, config.dim),
            norm=norm,
            dropout=config.dropout,
            padding_idx=config.pad_token_id,
        )
        self.layers = stack(
            config.n_layers,
            config.dim,
            config.n_heads,
            config.hidden_dim,
            config.activation,
            norm,
            order="post",
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
        )


first_token = partial(heads.FirstTokenClassifier, act="relu", input_dropout=False)
CLASSIFIER = {"pre_classifier": "dense"}
LM = {"vocab_transform": "dense", "vocab_layer_norm": "norm", "vocab_projector": "decoder"}


class DistilBertForSequenceClassification(
    text.SequenceClassification, backbone=DistilBertModel, head=first_token, weights=CLASSIFIER
):
    """DistilBERT with two layers over the first token."""


class DistilBertForTokenClassification(
    text.TokenClassification,
    backbone=DistilBertModel,
    head=lambda config: heads.TokenClassifier(config, dropout=config.dropout),
):
    """DistilBERT with a linear layer over every token."""


class DistilBertForQuestionAnswering(
    text.QuestionAnswering,
    backbone=DistilBertModel,
    head=lambda config: heads.SpanClassifier(config, config.qa_dropout),
    weights={"qa_outputs": "classifier"},
):
    """DistilBERT that marks the start and the end of an answer."""


class DistilBertForMultipleChoice(
    text.MultipleChoice, backbone=DistilBertModel, head=partial(first_token, labels=1), weights=CLASSIFIER
):
    """DistilBERT that scores each of several continuations."""


class DistilBertForMaskedLM(text.MaskedLM, backbone=DistilBertModel, head=heads.MaskedLMHead, weights=LM):
    """DistilBERT that fills masks."""
