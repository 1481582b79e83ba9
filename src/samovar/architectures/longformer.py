"""Longformer (Beltagy et al. 2020, arXiv:2004.05150): RoBERTa whose tokens read windows, and some of them all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from samovar.architectures import roberta
from samovar.architectures.bert import BertConfig, BertModel
from samovar.config import doc
from samovar.errors import ConfigError
from samovar.nn.block import Block
from samovar.nn.mlp import MLP
from samovar.nn.norm import layer_norm
from samovar.nn.transformer import Reading
from samovar.nn.windowed import Sight, WindowedAttention, by_window
from samovar.tasks import heads, text, windows


class LongformerConfig(BertConfig):
    """Sizes of a Longformer; the fields are BERT's, and the windows."""

    model_type = "longformer"
    is_decoder = False

    attention_window: int | list[int] = doc(512, "Width of the windows, both sides together, or that of each block.")
    pad_token_id: int | None = doc(1, "Token that fills up a batch; positions are counted from the one after it.")
    bos_token_id: int | None = doc(0, "Token before a text.")
    eos_token_id: int | None = doc(2, "Token after a text.")
    sep_token_id: int | None = doc(2, "Token between texts; says where a question ends.")


class LongformerModel(roberta.RobertaModel):
    """Longformer without a head."""

    config_class = LongformerConfig  # type: ignore[assignment]  # RoBERTa's structure, with fields of its own.
    prefix = "longformer"
    weights = {
        **BertModel.weights,
        "encoder.layer.{i}.attention.self.query_global": "layers.{i}.self_attn.global_q_proj",
        "encoder.layer.{i}.attention.self.key_global": "layers.{i}.self_attn.global_k_proj",
        "encoder.layer.{i}.attention.self.value_global": "layers.{i}.self_attn.global_v_proj",
    }

    def __init__(self, config: LongformerConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        count, given = config.num_hidden_layers, config.attention_window
        widths = [given] * count if isinstance(given, int) else given
        if len(widths) != count or any(width < 2 or width % 2 for width in widths):
            raise ConfigError(
                f"attention_window={given}: windows have an even width of 2 or more, one for each of {count} blocks.",
                "Give one even number, or a list of as many as there are blocks.",
            )
        self.reaches = [width // 2 for width in widths]
        self.layers = nn.ModuleList(longformer_block(config) for _ in range(count))

    def readings(
        self, mask: Tensor | None, x: Tensor, past: int, position_ids: Tensor | None, whole: bool = False
    ) -> list[Reading]:
        """The sight of each block; `mask` is 2 for tokens that read all."""
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.long, device=x.device)
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        made = {reach: Sight.of(mask, reach, traced) for reach in dict.fromkeys(self.reaches)}
        return [Reading(rotation=made[reach]) for reach in self.reaches]

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """As every text backbone, with tokens that read all where `global_attention_mask` (batch, sequence) is 1.

        `attentions` are (batch, heads, sequence, globals + window + 1) and `global_attentions` (batch, heads,
        sequence, globals): see `nn.windowed.by_window`.
        """
        kinds = windows.merged(attention_mask, global_attention_mask)
        attentions, states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        out: Any = super().forward(
            input_ids, kinds, token_type_ids, position_ids, inputs_embeds, attentions, states, return_dict=True
        )
        if out.attentions is not None:
            self.relay(out, kinds)
        return out if as_dict else out.to_tuple()

    def relay(self, out: Any, kinds: Tensor | None) -> None:
        """Probabilities in the layout of this architecture."""
        if kinds is None:
            kinds = torch.ones(out.last_hidden_state.shape[:2], dtype=torch.long, device=out.last_hidden_state.device)
        sights = [Sight.of(kinds, reach, False) for reach in self.reaches]
        pairs = [by_window(weights, sight) for weights, sight in zip(out.attentions, sights, strict=True)]
        out["attentions"] = tuple(local for local, _ in pairs)
        if pairs[0][1].shape[-1]:
            out["global_attentions"] = tuple(everywhere for _, everywhere in pairs)


def longformer_block(config: LongformerConfig) -> Block:
    """BERT's block with windows."""
    return Block(
        config.hidden_size,
        WindowedAttention(config.hidden_size, config.num_attention_heads, dropout=config.attention_probs_dropout_prob),
        MLP(config.hidden_size, config.intermediate_size, config.hidden_act),
        layer_norm(config.layer_norm_eps),
        order="post",
        dropout=config.hidden_dropout_prob,
    )


# The mask of global tokens is the third input, as callers of this field give it, so signatures differ from the tasks'.
class LongformerForSequenceClassification(  # type: ignore[misc]
    windows.FirstTokenGlobal, text.SequenceClassification, backbone=LongformerModel,
    head=heads.FirstTokenClassifier, weights=roberta.CLASSIFIER,
):  # fmt: skip
    """Longformer with two layers over the first token, which reads the whole text."""


class LongformerForTokenClassification(  # type: ignore[misc]
    windows.GlobalAttention, text.TokenClassification, backbone=LongformerModel, head=heads.TokenClassifier
):
    """Longformer with a linear layer over every token."""


class LongformerForQuestionAnswering(
    windows.QuestionGlobal, backbone=LongformerModel, head=heads.SpanClassifier, weights=roberta.SPAN
):
    """Longformer that marks the start and the end of an answer; the question's tokens read the whole text."""


class LongformerForMultipleChoice(  # type: ignore[misc]
    windows.ContinuationGlobal, text.MultipleChoice, backbone=LongformerModel, head=roberta.choice_head
):
    """Longformer that scores each of several continuations, whose tokens read the whole text."""


class LongformerForMaskedLM(  # type: ignore[misc]
    windows.GlobalAttention, text.MaskedLM, backbone=LongformerModel, head=roberta.lm_head, weights=roberta.LM
):
    """Longformer that fills masks."""
