"""ModernBERT (Warner et al. 2024): an encoder with rotary positions, gated MLPs and windows in two of three blocks."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.mlp import PackedGatedMLP
from samovar.nn.norm import NormFactory, layer_norm
from samovar.nn.rotary import Rotary
from samovar.nn.transformer import FULL, SLIDING, TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import Split

HEAD = {"head.dense": "dense", "head.norm": "norm", "classifier": "classifier"}


class ModernBertConfig(Config):
    """Sizes of a ModernBERT; the defaults are ModernBERT-base."""

    model_type = "modernbert"
    aliases = {"hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"}

    vocab_size: int = doc(50368, "Number of tokens.")
    hidden_size: int = doc(768, "Width of the residual stream.")
    intermediate_size: int = doc(1152, "Width inside the MLP.")
    num_hidden_layers: int = doc(22, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    hidden_activation: str = doc("gelu", "Activation of the MLP's gate.")
    max_position_embeddings: int = doc(8192, "Longest text of the training.")
    norm_eps: float = doc(1e-5, "Added to the variance in norms.")
    norm_bias: bool = doc(False, "Biases in norms.")
    pad_token_id: int | None = doc(50283, "Token that fills up a batch.")
    eos_token_id: int | None = doc(50282, "Token after a text.")
    bos_token_id: int | None = doc(50281, "Token before a text.")
    cls_token_id: int | None = doc(50281, "Token whose state stands for the text.")
    sep_token_id: int | None = doc(50282, "Token between texts.")
    attention_bias: bool = doc(False, "Biases in the attention's projections.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    layer_types: list[str] | None = doc(None, "The kind of each block; None: by the key below.")
    global_attn_every_n_layers: int = doc(3, "Every so many blocks, one sees the whole text.")
    rope_parameters: dict[str, Any] | None = doc(None, "Settings of the rotary positions, for each kind of block.")
    global_rope_theta: float = doc(160_000.0, "Their base where blocks see the whole text, unless set above.")
    local_rope_theta: float = doc(10_000.0, "Their base in blocks with a window, unless set above.")
    local_attention: int = doc(128, "Width of the windows, both sides together.")
    embedding_dropout: float = doc(0.0, "Dropout on embeddings.")
    mlp_bias: bool = doc(False, "Biases in the MLP.")
    mlp_dropout: float = doc(0.0, "Dropout inside the MLP.")
    decoder_bias: bool = doc(True, "Bias of the projection to the vocabulary.")
    classifier_pooling: str = doc("cls", "How a text becomes one vector: `cls` or `mean`.")
    classifier_dropout: float = doc(0.0, "Dropout before a classifier.")
    classifier_bias: bool = doc(False, "Bias of the dense layer in heads.")
    classifier_activation: str = doc("gelu", "Activation in heads.")


def norms(config: Any) -> NormFactory:
    """The norm of all places."""
    return layer_norm(config.norm_eps, bias=config.norm_bias)


class ModernBertModel(TextTransformer):
    """ModernBERT without a head."""

    config_class = ModernBertConfig
    prefix = "model"
    weights = {
        "embeddings.tok_embeddings": "embeddings.word",
        "embeddings.norm": "embeddings.norm",
        "layers.{i}.attn_norm": "layers.{i}.self_attn_norm",
        "layers.{i}.attn.Wqkv": Split(tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv")),
        "layers.{i}.attn.Wo": "layers.{i}.self_attn.o_proj",
        "layers.{i}.mlp.Wi": "layers.{i}.mlp.in_proj",
        "layers.{i}.mlp.Wo": "layers.{i}.mlp.out_proj",
        "final_norm": "norm",
    }

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        count, every, norm = config.num_hidden_layers, config.global_attn_every_n_layers, norms(config)
        self.layer_kinds = config.layer_types or [SLIDING if index % every else FULL for index in range(count)]
        self.windows = {SLIDING: config.local_attention // 2 + 1}
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.hidden_size, positions=None, norm=norm, dropout=config.embedding_dropout,
            padding_idx=config.pad_token_id,
        )  # fmt: skip
        self.layers = nn.ModuleList(modernbert_block(config) for _ in range(count))
        # The embeddings are normalised already.
        self.layers[0].self_attn_norm = nn.Identity()
        self.norm = norm(config.hidden_size)
        bases = {FULL: config.global_rope_theta, SLIDING: config.local_rope_theta}
        kinds = dict.fromkeys(self.layer_kinds)
        self.rotary = nn.ModuleDict({kind: Rotary(config, kind, bases[kind]) for kind in kinds})


def modernbert_block(config: ModernBertConfig) -> Block:
    """A pre-norm block whose MLP is gated."""
    hidden = config.hidden_size
    attention = Attention(
        hidden, config.num_attention_heads, bias=config.attention_bias, out_bias=config.attention_bias,
        dropout=config.attention_dropout,
    )  # fmt: skip
    mlp = PackedGatedMLP(
        hidden, config.intermediate_size, config.hidden_activation, bias=config.mlp_bias, dropout=config.mlp_dropout
    )
    return Block(hidden, attention, mlp, norms(config), order="pre")


def lm_head(config: Any) -> heads.Head:
    """The head that fills masks."""
    return heads.MaskedLMHead(
        config, config.classifier_activation, norms(config), bias=config.classifier_bias,
        decoder_bias=config.decoder_bias,
    )  # fmt: skip


def classifier(config: Any, pooled: bool = True, labels: int | None = None) -> heads.Head:
    """The head that classifies texts or tokens."""
    return heads.DenseClassifier(
        config, config.classifier_activation, norms(config), bias=config.classifier_bias,
        dropout=config.classifier_dropout, pooling=config.classifier_pooling if pooled else None, labels=labels,
    )  # fmt: skip


class ModernBertForMaskedLM(
    text.MaskedLM, backbone=ModernBertModel, head=lm_head,
    weights={"head.dense": "dense", "head.norm": "norm", "decoder": "decoder"},
):  # fmt: skip
    """ModernBERT that fills masks."""


class ModernBertForSequenceClassification(
    text.SequenceClassification, backbone=ModernBertModel, head=classifier, weights=HEAD
):
    """ModernBERT that classifies texts."""


class ModernBertForTokenClassification(
    text.TokenClassification, backbone=ModernBertModel, weights=HEAD,
    head=lambda config: classifier(config, pooled=False),
):  # fmt: skip
    """ModernBERT that classifies tokens."""


class ModernBertForQuestionAnswering(
    text.QuestionAnswering, backbone=ModernBertModel, weights=HEAD,
    head=lambda config: classifier(config, pooled=False, labels=2),
):  # fmt: skip
    """ModernBERT that marks the start and the end of an answer."""


class ModernBertForMultipleChoice(
    text.MultipleChoice, backbone=ModernBertModel, weights=HEAD, head=lambda config: classifier(config, labels=1)
):
    """ModernBERT that chooses among continuations."""
