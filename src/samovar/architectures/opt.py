"""OPT (Zhang et al. 2022): config fields, structure, weight names."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.nn.block import stack
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.norm import layer_norm
from samovar.nn.positions import OffsetPositions
from samovar.nn.transformer import TextTransformer
from samovar.tasks import heads, text


class OPTConfig(Config):
    """Sizes of an OPT; the defaults are the 125M model."""

    model_type = "opt"
    aliases = {"intermediate_size": "ffn_dim", "hidden_act": "activation_function"}

    vocab_size: int = doc(50272, "Number of tokens.")
    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    ffn_dim: int = doc(3072, "Width inside the MLP.")
    max_position_embeddings: int = doc(2048, "Longest text.")
    do_layer_norm_before: bool = doc(True, "Norms before the branches, not behind them.")
    _remove_final_layer_norm: bool = doc(False, "No norm after the last block.")
    word_embed_proj_dim: int | None = doc(None, "Width of the words; None: `hidden_size`.")
    dropout: float = doc(0.1, "Dropout on residual branches.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    num_attention_heads: int = doc(12, "Heads per block.")
    activation_function: str = doc("relu", "Activation of the MLP.")
    init_std: float = doc(0.02, "Standard deviation of new weights.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    enable_bias: bool = doc(True, "Biases in the projections.")
    layer_norm_elementwise_affine: bool = doc(True, "Norms have weights.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch.")
    bos_token_id: int | None = doc(2, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(2, "Token after a text.")


def word_size(config: Any) -> int:
    """The width of the words, and of what comes out."""
    return config.word_embed_proj_dim or config.hidden_size


class OPTModel(TextTransformer):
    """OPT without a head."""

    config_class = OPTConfig
    prefix = "model"
    causal = True
    weights = {
        "decoder.embed_tokens": "embeddings.word",
        "decoder.embed_positions": "embeddings.position",
        "decoder.project_in": "embeddings.project_words",
        "decoder.layers.{i}": "layers.{i}",
        "decoder.layers.{i}.self_attn.out_proj": "layers.{i}.self_attn.o_proj",
        "decoder.layers.{i}.self_attn_layer_norm": "layers.{i}.self_attn_norm",
        "decoder.layers.{i}.fc1": "layers.{i}.mlp.up_proj",
        "decoder.layers.{i}.fc2": "layers.{i}.mlp.down_proj",
        "decoder.layers.{i}.final_layer_norm": "layers.{i}.mlp_norm",
        "decoder.final_layer_norm": "norm.norm",
        "decoder.project_out": "norm.project",
    }

    def __init__(self, config: OPTConfig) -> None:
        super().__init__(config)
        hidden, words = config.hidden_size, word_size(config)
        norm = layer_norm(1e-5, weights=config.layer_norm_elementwise_affine)
        self.embeddings = TextEmbeddings(
            config.vocab_size, hidden, positions=OffsetPositions(config.max_position_embeddings, hidden, 2),
            padding_idx=config.pad_token_id, word_size=None if words == hidden else words,
        )  # fmt: skip
        self.layers = stack(
            config.num_hidden_layers, hidden, config.num_attention_heads, config.ffn_dim, config.activation_function,
            norm, order="pre" if config.do_layer_norm_before else "post", dropout=config.dropout,
            attention_dropout=config.attention_dropout, causal=True, qkv_bias=config.enable_bias,
            bias=config.enable_bias,
        )  # fmt: skip
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if config.do_layer_norm_before and not config._remove_final_layer_norm:
            parts["norm"] = norm(hidden)
        if words != hidden:
            parts["project"] = nn.Linear(hidden, words, bias=False)
        self.norm = nn.Sequential(parts)

    def masked_positions(self, attention_mask: Tensor, past: int) -> Tensor | None:
        """Real tokens count from 0 wherever padding stands."""
        if attention_mask.ndim != 2 or attention_mask.shape[1] <= past:
            return None
        return (attention_mask.long().cumsum(-1) * attention_mask.long() - 1)[:, past:]


class OPTForCausalLM(
    text.CausalLM, backbone=OPTModel, head=lambda config: heads.LMHead(config, word_size(config)),
    weights={"lm_head": "decoder"},
):  # fmt: skip
    """OPT that predicts the next token."""


class OPTForSequenceClassification(
    text.SequenceClassification, backbone=OPTModel, weights={"score": "classifier"},
    head=lambda config: heads.LastTokenClassifier(config, size=word_size(config)),
):  # fmt: skip
    """OPT that classifies texts by their last real token."""


class OPTForQuestionAnswering(
    text.QuestionAnswering, backbone=OPTModel, weights={"qa_outputs": "classifier"},
    head=lambda config: heads.SpanClassifier(config, size=word_size(config)),
):  # fmt: skip
    """OPT that marks the start and the end of an answer."""
