"""Llama (Touvron et al. 2023) and the decoders that change one thing of it: config fields, structure, weight names."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.mlp import GatedMLP
from samovar.nn.norm import NormFactory, rms_norm
from samovar.nn.rotary import Rotary
from samovar.nn.transformer import FULL, SLIDING, TextTransformer
from samovar.tasks import heads, text

LM, SCORE, SPAN = {"lm_head": "decoder"}, {"score": "classifier"}, {"qa_outputs": "classifier"}


class LlamaConfig(Config):
    """Sizes of a Llama; the defaults are Llama 7B."""

    model_type = "llama"

    vocab_size: int = doc(32000, "Number of tokens.")
    hidden_size: int = doc(4096, "Width of the residual stream.")
    intermediate_size: int = doc(11008, "Width inside the MLP.")
    num_hidden_layers: int = doc(32, "Number of blocks.")
    num_attention_heads: int = doc(32, "Heads of queries per block.")
    num_key_value_heads: int | None = doc(None, "Heads of keys and values; None: as many as of queries.")
    head_dim: int | None = doc(None, "Width of a head; None: `hidden_size` / `num_attention_heads`.")
    hidden_act: str = doc("silu", "Activation of the MLP's gate.")
    max_position_embeddings: int = doc(2048, "Longest text of the training.")
    rms_norm_eps: float = doc(1e-6, "Added to the mean square in norms.")
    rope_parameters: dict[str, Any] | None = doc(None, "Kind and settings of the rotary positions.")
    attention_bias: bool = doc(False, "Biases in the attention's projections.")
    mlp_bias: bool = doc(False, "Biases in the MLP.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    classifier_dropout: float | None = doc(None, "Dropout before a classifier of tokens; None: 0.1.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    tie_word_embeddings: bool = doc(False, "Share the input embedding with the output projection.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")
    bos_token_id: int | None = doc(1, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(2, "Token after a text, or several.")


class LlamaModel(TextTransformer):
    """Llama without a head: pre-norm blocks of grouped, rotary attention and a gated MLP.

    An architecture that differs in one part overrides that part alone.
    """

    config_class: ClassVar[type[Config]] = LlamaConfig
    prefix = "model"
    causal = True
    weights = {
        "embed_tokens": "embeddings.word",
        "layers.{i}.input_layernorm": "layers.{i}.self_attn_norm",
        "layers.{i}.post_attention_layernorm": "layers.{i}.mlp_norm",
        "layers.{i}.self_attn.rotary_emb.inv_freq": None,
    }

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layer_kinds = self.kinds(config)
        self.windows = {SLIDING: config.sliding_window} if SLIDING in self.layer_kinds else {}
        self.embeddings = TextEmbeddings(
            config.vocab_size, config.hidden_size, positions=None, padding_idx=config.pad_token_id,
            scale=self.embedding_scale(config), rounded_scale=True,
        )  # fmt: skip
        self.layers = nn.ModuleList(self.block(config, index) for index in range(config.num_hidden_layers))
        self.norm = self.norms(config)(config.hidden_size)
        kinds = dict.fromkeys(self.layer_kinds or [FULL])
        self.rotary = nn.ModuleDict({kind: self.rotation(config, kind) for kind in kinds})

    def kinds(self, config: Any) -> list[str]:
        """What kind each block is of; none: all see all earlier tokens."""
        return []

    def embedding_scale(self, config: Any) -> float:
        """What words are multiplied by."""
        return 1.0

    def norms(self, config: Any) -> NormFactory:
        """The norm of all places."""
        return rms_norm(config.rms_norm_eps)

    def rotation(self, config: Any, kind: str) -> Rotary:
        """The rotary positions of a kind of block."""
        return Rotary(config, kind)

    def block(self, config: Any, index: int) -> Block:
        """Block number `index`."""
        return Block(
            config.hidden_size, self.attention(config, index), self.mlp(config, index), self.norms(config), order="pre"
        )

    def attention(self, config: Any, index: int, **options: Any) -> Attention:
        """The attention of block `index`; `options` go before what is usual."""
        usual = {"bias": config.attention_bias, "out_bias": config.attention_bias, "causal": True}
        return Attention(
            config.hidden_size, config.num_attention_heads, kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim, dropout=config.attention_dropout, **(usual | options),
        )  # fmt: skip

    def mlp(self, config: Any, index: int) -> nn.Module:
        """The MLP of block `index`."""
        bias = getattr(config, "mlp_bias", False)
        return GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act, bias=bias)


def token_head(config: Any) -> heads.Head:
    """The classifier of tokens, with its own default dropout."""
    for name in ("classifier_dropout", "hidden_dropout"):
        if getattr(config, name, None) is not None:
            return heads.TokenClassifier(config, dropout=getattr(config, name))
    return heads.TokenClassifier(config, dropout=0.1)


class LlamaForCausalLM(text.CausalLM, backbone=LlamaModel, head=heads.LMHead, weights=LM):
    """Llama that predicts the next token."""


class LlamaForSequenceClassification(
    text.SequenceClassification, backbone=LlamaModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Llama with a linear layer over the last real token."""


class LlamaForTokenClassification(text.TokenClassification, backbone=LlamaModel, head=token_head, weights=SCORE):
    """Llama with a linear layer over every token."""


class LlamaForQuestionAnswering(
    text.QuestionAnswering, backbone=LlamaModel, head=heads.SpanClassifier, weights=SPAN, prefix="transformer"
):
    """Llama that marks the start and the end of an answer."""
