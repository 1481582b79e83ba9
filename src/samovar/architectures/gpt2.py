"""GPT-2 (Radford et al. 2019): config fields, structure, weight names."""

from __future__ import annotations

from samovar.config import Config, doc
from samovar.nn.attention import Attention, Float32Attention
from samovar.nn.block import stack
from samovar.nn.cross import with_source
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.norm import layer_norm
from samovar.nn.positions import LearnedPositions
from samovar.nn.transformer import TextTransformer
from samovar.tasks import heads, text
from samovar.tasks.double_heads import DoubleHead, DoubleHeads
from samovar.weights.names import Split, Transpose


class GPT2Config(Config):
    """Sizes of a GPT-2; the defaults are `gpt2`."""

    model_type = "gpt2"
    aliases = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "intermediate_size": "n_inner",
        "hidden_act": "activation_function",
        "layer_norm_eps": "layer_norm_epsilon",
    }

    vocab_size: int = doc(50257, "Number of tokens.")
    n_positions: int = doc(1024, "Longest sequence.")
    n_embd: int = doc(768, "Width of the residual stream.")
    n_layer: int = doc(12, "Number of blocks.")
    n_head: int = doc(12, "Heads per block.")
    n_inner: int | None = doc(None, "Width inside the MLP; None: four times `n_embd`.")
    activation_function: str = doc("gelu_new", "Activation of the MLP.")
    resid_pdrop: float = doc(0.1, "Dropout on residual branches.")
    embd_pdrop: float = doc(0.1, "Dropout on embeddings.")
    attn_pdrop: float = doc(0.1, "Dropout on attention probabilities.")
    layer_norm_epsilon: float = doc(1e-5, "Added to the variance in norms.")
    scale_attn_weights: bool = doc(True, "Divide attention scores by the square root of the head's width.")
    scale_attn_by_inverse_layer_idx: bool = doc(False, "Divide them by the block's number as well.")
    reorder_and_upcast_attn: bool = doc(False, "Compute scores in float32, whatever the weights' type.")
    classifier_dropout: float | None = doc(None, "Dropout before a classifier of tokens; None: 0.1.")
    summary_type: str = doc("cls_index", "Which state is scored where continuations are compared.")
    summary_use_proj: bool = doc(True, "Project that state.")
    summary_activation: str | None = doc(None, "Activation behind the projection.")
    summary_proj_to_labels: bool = doc(True, "Project it to one number.")
    summary_first_dropout: float = doc(0.1, "Dropout before the projection.")
    add_cross_attention: bool = doc(False, "Attend to the states of an encoder as well.")
    bos_token_id: int | None = doc(50256, "Token before a text.")
    eos_token_id: int | None = doc(50256, "Token after a text.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")


class GPT2Model(TextTransformer):
    """GPT-2 without a head; every token reads itself and earlier ones."""

    config_class = GPT2Config
    prefix = "transformer"
    causal = True
    weights = {
        "wte": "embeddings.word",
        "wpe": "embeddings.position",
        "h.{i}.ln_1": "layers.{i}.self_attn_norm",
        "h.{i}.attn.bias": None,
        "h.{i}.attn.masked_bias": None,
        "h.{i}.attn.c_attn": Split(tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"), transposed=True),
        "h.{i}.attn.c_proj": Transpose("layers.{i}.self_attn.o_proj"),
        "h.{i}.ln_cross_attn": "layers.{i}.cross_attn_norm",
        "h.{i}.crossattention.bias": None,
        "h.{i}.crossattention.masked_bias": None,
        "h.{i}.crossattention.q_attn": Transpose("layers.{i}.cross_attn.q_proj"),
        "h.{i}.crossattention.c_attn": Split(
            ("layers.{i}.cross_attn.k_proj", "layers.{i}.cross_attn.v_proj"), transposed=True
        ),
        "h.{i}.crossattention.c_proj": Transpose("layers.{i}.cross_attn.o_proj"),
        "h.{i}.ln_2": "layers.{i}.mlp_norm",
        "h.{i}.mlp.c_fc": Transpose("layers.{i}.mlp.up_proj"),
        "h.{i}.mlp.c_proj": Transpose("layers.{i}.mlp.down_proj"),
        "ln_f": "norm",
    }

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        hidden, norm = config.n_embd, layer_norm(config.layer_norm_epsilon)
        self.embeddings = TextEmbeddings(
            config.vocab_size,
            hidden,
            positions=LearnedPositions(config.n_positions, hidden),
            dropout=config.embd_pdrop,
            types_are_words=True,
        )
        self.layers = stack(
            config.n_layer,
            hidden,
            config.n_head,
            config.n_inner or 4 * hidden,
            config.activation_function,
            norm,
            order="pre",
            dropout=config.resid_pdrop,
            attention=lambda index: gpt2_attention(config, index),
        )
        if config.add_cross_attention:
            self.layers = with_source(self.layers, norm, config.resid_pdrop, config.attn_pdrop)
        self.norm = norm(hidden)

    def initial_std(self, name: str) -> float:
        """Smaller at the end of each residual branch, as their number adds up (section 2.3 of the paper)."""
        ends = name.endswith(("o_proj.weight", "down_proj.weight"))
        return super().initial_std(name) * ((2 * self.config.n_layer) ** -0.5 if ends else 1)


def gpt2_attention(config: GPT2Config, index: int) -> Attention:
    """The attention of block `index`, with the scale and the precision that the configuration asks for."""
    kind = Float32Attention if config.reorder_and_upcast_attn else Attention
    scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
    scale /= index + 1 if config.scale_attn_by_inverse_layer_idx else 1
    return kind(config.n_embd, config.n_head, dropout=config.attn_pdrop, causal=True, scale=scale)


def token_head(config: GPT2Config) -> heads.Head:
    """The classifier of tokens, with its own default dropout."""
    return heads.TokenClassifier(
        config, dropout=0.1 if config.classifier_dropout is None else config.classifier_dropout
    )


class GPT2LMHeadModel(text.CausalLM, backbone=GPT2Model, head=heads.LMHead, weights={"lm_head": "decoder"}):
    """GPT-2 that predicts the next token."""


class GPT2ForSequenceClassification(
    text.SequenceClassification, backbone=GPT2Model, head=heads.LastTokenClassifier, weights={"score": "classifier"}
):
    """GPT-2 with a linear layer over the last real token."""


class GPT2ForTokenClassification(text.TokenClassification, backbone=GPT2Model, head=token_head):
    """GPT-2 with a linear layer over every token."""


class GPT2ForQuestionAnswering(
    text.QuestionAnswering, backbone=GPT2Model, head=heads.SpanClassifier, weights={"qa_outputs": "classifier"}
):
    """GPT-2 that marks the start and the end of an answer."""


TWO = {"lm_head": "decoder", "multiple_choice_head.summary": "choice.classifier"}


class GPT2DoubleHeadsModel(DoubleHeads, backbone=GPT2Model, head=DoubleHead, weights=TWO):
    """GPT-2 that predicts the next token and scores continuations."""
