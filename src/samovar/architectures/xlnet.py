"""XLNet (Yang et al. 2019, arXiv:1906.08237): two streams that read in any order, and remember earlier texts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.errors import ConfigError, InputError
from samovar.generation.memory import MemorySteps
from samovar.generation.mixin import GenerationMixin
from samovar.nn.embeddings import TextEmbeddings
from samovar.nn.norm import layer_norm
from samovar.nn.transformer import TextTransformer
from samovar.nn.two_stream import Surroundings, TwoStreamBlock, distance_sines, memory_mask
from samovar.tasks import heads, permuted
from samovar.tasks.outputs import MemoryModelOutput


class XLNetConfig(Config):
    """Sizes of an XLNet; the defaults are `xlnet-large-cased`."""

    model_type = "xlnet"
    aliases = {
        "hidden_size": "d_model",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "intermediate_size": "d_inner",
        "hidden_act": "ff_activation",
        "n_token": "vocab_size",
    }

    vocab_size: int = doc(32000, "Number of tokens.")
    d_model: int = doc(1024, "Width of the residual stream.")
    n_layer: int = doc(24, "Number of blocks.")
    n_head: int = doc(16, "Heads per block.")
    d_inner: int = doc(4096, "Width inside the MLP.")
    d_head: int | None = doc(None, "Width of a head; None: `d_model` divided by `n_head`.")
    ff_activation: str = doc("gelu", "Activation of the MLP.")
    attn_type: str = doc("bi", "`bi`: tokens read both sides; `uni`: earlier ones alone.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    dropout: float = doc(0.1, "Dropout everywhere.")
    mem_len: int | None = doc(512, "How many states are remembered; None: all.")
    reuse_len: int | None = doc(None, "How many of a text's first tokens are remembered; None: all.")
    use_mems_eval: bool = doc(True, "A model in evaluation returns what it remembers.")
    use_mems_train: bool = doc(False, "A model in training does.")
    bi_data: bool = doc(False, "Half of each batch is read backwards; only False is built.")
    clamp_len: int = doc(-1, "Longest distance that is told from longer ones; -1: all are.")
    same_length: bool = doc(False, "With `uni`: every token reads as many others.")
    summary_type: str = doc("last", "The state that sums a text up: `last`, `first`, `mean`.")
    summary_use_proj: bool = doc(True, "A dense layer stands behind it.")
    summary_activation: str | None = doc("tanh", "And this activation.")
    summary_last_dropout: float = doc(0.1, "And this dropout.")
    start_n_top: int = doc(5, "How many starts of answers are searched.")
    end_n_top: int = doc(5, "How many ends for each.")
    pad_token_id: int | None = doc(5, "Token that fills up a batch.")
    bos_token_id: int | None = doc(1, "Token before a text.")
    eos_token_id: int | None = doc(2, "Token after a text.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.d_head = self.d_head or self.d_model // self.n_head


class XLNetModel(TextTransformer):
    """XLNet without a head."""

    config_class = XLNetConfig
    prefix = "transformer"
    weights = {
        "word_embedding": "embeddings.word",
        **{f"layer.{{i}}.rel_attn.{part}": f"layers.{{i}}.self_attn.{part}_proj.weight" for part in "qkvo"},
        "layer.{i}.rel_attn.r": "layers.{i}.self_attn.distance_proj.weight",
        "layer.{i}.rel_attn.r_w_bias": "layers.{i}.self_attn.content_bias",
        "layer.{i}.rel_attn.r_r_bias": "layers.{i}.self_attn.distance_bias",
        "layer.{i}.rel_attn.r_s_bias": "layers.{i}.self_attn.segment_bias",
        "layer.{i}.rel_attn.seg_embed": "layers.{i}.self_attn.segments",
        "layer.{i}.rel_attn.layer_norm": "layers.{i}.self_attn_norm",
        "layer.{i}.ff.layer_1": "layers.{i}.mlp.up_proj",
        "layer.{i}.ff.layer_2": "layers.{i}.mlp.down_proj",
        "layer.{i}.ff.layer_norm": "layers.{i}.mlp_norm",
    }

    def __init__(self, config: XLNetConfig) -> None:
        super().__init__(config)
        if config.bi_data:
            raise ConfigError(
                "bi_data=True, which reads half of each batch backwards, is not built.", "Set bi_data=False."
            )
        if config.attn_type not in ("bi", "uni"):
            raise ConfigError(f"Unknown attn_type {config.attn_type!r}.", "Known: bi, uni.")
        hidden, heads_ = config.d_model, config.n_head
        if hidden % heads_ or config.d_head != hidden // heads_:
            raise ConfigError(
                f"{heads_} heads of width {config.d_head} do not make d_model={hidden}.",
                "Give a d_model that n_head divides, and leave d_head out.",
            )
        self.embeddings = TextEmbeddings(config.vocab_size, hidden, positions=None)
        self.mask_emb = nn.Parameter(torch.empty(1, 1, hidden))
        norm, act = layer_norm(config.layer_norm_eps), config.ff_activation
        self.layers = nn.ModuleList(
            TwoStreamBlock(hidden, heads_, config.d_inner, act, norm, dropout=config.dropout)
            for _ in range(config.n_layer)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mems: Any = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_mems: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Ids (batch, sequence) → `last_hidden_state` (batch, sequence, hidden), or (batch, targets, hidden).

        `mems` are those of an earlier output, (length, batch, hidden) for each block. `perm_mask` (batch, sequence,
        sequence) is 1 where token i does not read token j, `target_mapping` (batch, targets, sequence) is 1 where a
        target stands, at which the second stream reads all but the word itself. `attention_mask` (batch, sequence, or
        memory and sequence) is 1 where a token is real, `input_mask` is 1 where it is not. With targets
        `hidden_states` and `attentions` are those of both streams. Raises `InputError` unless exactly one of
        `input_ids` and `inputs_embeds`, and at most one of the two masks, is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("Exactly one of input_ids and inputs_embeds is needed.", "Give the tokenizer's output.")
        if attention_mask is not None and input_mask is not None:
            raise InputError("attention_mask and input_mask say the same thing in two ways.", "Give one of them.")
        attentions, all_states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        if use_mems is None:
            use_mems = self.config.use_mems_train if self.training else self.config.use_mems_eval
        words = self.dropout(self.embeddings(input_ids, None, None, inputs_embeds))
        places = None
        if target_mapping is not None:
            target_mapping = target_mapping.to(words.dtype)
            places = self.dropout(self.mask_emb.expand(len(words), target_mapping.shape[1], -1))
        memories = [None] * self.config.n_layer if mems is None else [one.transpose(0, 1) for one in mems]
        past = 0 if memories[0] is None else memories[0].shape[1]
        padding = attention_mask == 0 if input_mask is None and attention_mask is not None else input_mask
        around = self.surroundings(words, past, padding, perm_mask, token_type_ids, target_mapping)
        states, seen, kept = [], [], []
        for block, memory in zip(self.layers, memories, strict=True):
            if use_mems:
                kept.append(self.remembered(words, memory))
            states += [words] if places is None else [words, places]
            if self.gradient_checkpointing and self.training:
                walk = partial(torch.utils.checkpoint.checkpoint, block, use_reentrant=False)
            else:
                walk = block  # type: ignore[assignment]
            words, places, read = walk(words, places, memory, around, attentions)
            seen.append(read)
        states += [words] if places is None else [words, places]
        output = MemoryModelOutput(
            last_hidden_state=self.dropout(words if places is None else places),
            mems=tuple(kept) if use_mems else None,
            hidden_states=tuple(states) if all_states else None,
            attentions=tuple(seen) if attentions else None,
        )
        return output if as_dict else output.to_tuple()

    def surroundings(
        self,
        words: Tensor,
        past: int,
        padding: Tensor | None,
        perm_mask: Tensor | None,
        token_type_ids: Tensor | None,
        targets: Tensor | None,
    ) -> Surroundings:
        """What all blocks read beside the states; `past` tokens are remembered."""
        new, ahead = words.shape[1], self.config.attn_type == "uni"
        content, place = memory_mask(words, past, padding, perm_mask, ahead, self.config.same_length)
        distances = distance_sines(words, past + new, 1 - new if not ahead else 0, self.config.clamp_len)
        segments = None
        if token_type_ids is not None:
            # Remembered tokens are of the first segment.
            keys = nn.functional.pad(token_type_ids, (past, 0))
            segments = token_type_ids[:, :, None] != keys[:, None, :]
        return Surroundings(self.dropout(distances), segments, content, place, targets)

    def remembered(self, words: Tensor, memory: Tensor | None) -> Tensor:
        """What the next text reads of these states, (length, batch, hidden)."""
        if self.config.reuse_len:
            words = words[:, : self.config.reuse_len]
        both = words if memory is None else torch.cat([memory, words], dim=1)
        return both[:, -self.config.mem_len if self.config.mem_len else 0 :].transpose(0, 1).detach()


SUMMARY = {"sequence_summary.summary": "dense", "logits_proj": "classifier"}
SEARCH = {
    "start_logits.dense": "start",
    "end_logits.dense_0": "end_dense",
    "end_logits.LayerNorm": "end_norm",
    "end_logits.dense_1": "end",
    "answer_class.dense_0": "answer_dense",
    "answer_class.dense_1": "answer",
}


class XLNetLMHeadModel(
    GenerationMixin, permuted.PermutedLM, backbone=XLNetModel, head=partial(heads.LMHead, bias=True),
    weights={"lm_loss": "decoder"},
):  # fmt: skip
    """XLNet that writes text."""

    steps_class = MemorySteps


class XLNetForSequenceClassification(
    permuted.PermutedSequenceClassification, backbone=XLNetModel, head=heads.SummaryClassifier, weights=SUMMARY
):
    """XLNet that classifies texts by their last state."""


class XLNetForTokenClassification(
    permuted.PermutedTokenClassification, backbone=XLNetModel, head=partial(heads.TokenClassifier, dropout=0.0)
):
    """XLNet with a linear layer over every token."""


class XLNetForMultipleChoice(
    permuted.PermutedMultipleChoice, backbone=XLNetModel, head=partial(heads.SummaryClassifier, labels=1),
    weights=SUMMARY,
):  # fmt: skip
    """XLNet that scores each of several continuations."""


class XLNetForQuestionAnsweringSimple(
    permuted.PermutedQuestionAnswering, backbone=XLNetModel, head=heads.SpanClassifier,
    weights={"qa_outputs": "classifier"},
):  # fmt: skip
    """XLNet that marks the start and the end of an answer."""


class XLNetForQuestionAnswering(
    permuted.PermutedSpanSearch, backbone=XLNetModel, head=permuted.SpanBeamHead, weights=SEARCH
):
    """XLNet that searches for the best starts, and the best ends of each."""
