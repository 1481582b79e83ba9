"""BLOOM (Le Scao et al. 2022): order told by penalties on distance (ALiBi), a norm on the embeddings."""

from __future__ import annotations

from torch import nn

from samovar.architectures.llama import SCORE, SPAN, token_head
from samovar.config import Config, doc
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.block_kinds import NormedResidualBlock
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.mlp import MLP
from samovar.nn.norm import layer_norm
from samovar.nn.positions import Alibi
from samovar.nn.transformer import TextTransformer
from samovar.tasks import heads, text
from samovar.weights.names import SplitRows


class BloomConfig(Config):
    """Sizes of a BLOOM; the defaults are those of the field's configuration, far below any checkpoint's."""

    model_type = "bloom"
    aliases = {
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "n_embed": "hidden_size",
        "layer_norm_eps": "layer_norm_epsilon",
    }

    vocab_size: int = doc(250880, "Number of tokens.")
    hidden_size: int = doc(64, "Width of the residual stream.")
    n_layer: int = doc(2, "Number of blocks.")
    n_head: int = doc(8, "Heads per block.")
    layer_norm_epsilon: float = doc(1e-5, "Added to the variance in norms.")
    apply_residual_connection_post_layernorm: bool = doc(False, "The residual is the normalised input.")
    hidden_dropout: float = doc(0.0, "Dropout on residual branches.")
    attention_dropout: float = doc(0.0, "Dropout on attention probabilities.")
    classifier_dropout: float | None = doc(None, "Dropout before a classifier of tokens.")
    use_cache: bool = doc(True, "Keep keys and values while a text is written.")
    bos_token_id: int | None = doc(1, "Token before a text.")
    eos_token_id: int | list[int] | None = doc(2, "Token after a text.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")


class BloomModel(TextTransformer):
    """BLOOM without a head."""

    config_class = BloomConfig
    prefix = "transformer"
    causal = True
    weights = {
        "word_embeddings": "embeddings.word",
        "word_embeddings_layernorm": "embeddings.norm",
        "h.{i}.input_layernorm": "layers.{i}.self_attn_norm",
        "h.{i}.post_attention_layernorm": "layers.{i}.mlp_norm",
        "h.{i}.self_attention.query_key_value": SplitRows(
            tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"), lambda config: (config.n_head, (1, 1, 1))
        ),
        "h.{i}.self_attention.dense": "layers.{i}.self_attn.o_proj",
        "h.{i}.mlp.dense_h_to_4h": "layers.{i}.mlp.up_proj",
        "h.{i}.mlp.dense_4h_to_h": "layers.{i}.mlp.down_proj",
        "ln_f": "norm",
    }

    def __init__(self, config: BloomConfig) -> None:
        super().__init__(config)
        hidden, norm = config.hidden_size, layer_norm(config.layer_norm_epsilon)
        self.embeddings = TextEmbeddings(config.vocab_size, hidden, positions=None, norm=norm)
        self.layers = nn.ModuleList(bloom_block(config) for _ in range(config.n_layer))
        self.norm = norm(hidden)
        self.alibi = Alibi(config.n_head)


def bloom_block(config: BloomConfig) -> Block:
    """A block with its residual before or behind the norm."""
    attention = Attention(config.hidden_size, config.n_head, dropout=config.attention_dropout, causal=True)
    mlp, norm = MLP(config.hidden_size, 4 * config.hidden_size, "gelu_new"), layer_norm(config.layer_norm_epsilon)
    if config.apply_residual_connection_post_layernorm:
        return NormedResidualBlock(config.hidden_size, attention, mlp, norm, dropout=config.hidden_dropout)
    return Block(config.hidden_size, attention, mlp, norm, order="pre", dropout=config.hidden_dropout)


class BloomForCausalLM(text.CausalLM, backbone=BloomModel, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """BLOOM that predicts the next token."""


class BloomForSequenceClassification(
    text.SequenceClassification, backbone=BloomModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """BLOOM that classifies texts by their last real token."""


class BloomForTokenClassification(text.TokenClassification, backbone=BloomModel, head=token_head):
    """BLOOM that classifies every token."""


class BloomForQuestionAnswering(text.QuestionAnswering, backbone=BloomModel, head=heads.SpanClassifier, weights=SPAN):
    """BLOOM that marks the start and the end of an answer."""
