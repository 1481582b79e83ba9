"""Tasks of models in which some tokens read the whole text: which ones, where the caller does not say."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputError
from samovar.tasks import text


def merged(attention_mask: Tensor | None, global_attention_mask: Tensor | None) -> Tensor | None:
    """One mask of both: 0 for padding, 1 for a token that reads its window, 2 for one that reads all."""
    if global_attention_mask is None:
        return attention_mask
    kinds = global_attention_mask.long() + 1
    return kinds if attention_mask is None else kinds * attention_mask


def question_end(input_ids: Tensor, separator: int) -> Tensor:
    """(…, 1): where the first separator stands. Raises `InputError` for a text that has none."""
    found = input_ids == separator
    if not (torch.compiler.is_compiling() or torch.jit.is_tracing()) and not bool(found.any(-1).all()):
        raise InputError(
            f"Which tokens read the whole text is told by the separator (token {separator}), of which a text has none.",
            "Give the tokenizer's output for a pair of texts, or a global_attention_mask.",
        )
    return found.long().argmax(-1, keepdim=True)


class GlobalAttention(text.TextModel):
    """Adds `global_attention_mask` to a task's inputs: 1 for a token that reads and is read by all."""

    def default_global(self, input_ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        """The mask where the caller gives none."""
        return None

    def kinds(
        self, input_ids: Tensor | None, embeds: Tensor | None, mask: Tensor | None, chosen: Tensor | None
    ) -> Tensor | None:
        """The attention mask with the global tokens in it."""
        return merged(mask, self.default_global(input_ids, embeds) if chosen is None else chosen)

    def finish(self, kind: type[Any], loss: Tensor | None, backbone_output: Any, as_dict: bool, **logits: Any) -> Any:
        output = super().finish(kind, loss, backbone_output, True, **logits)
        if "global_attentions" in backbone_output:
            output["global_attentions"] = backbone_output["global_attentions"]
        return output if as_dict else output.to_tuple()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """As the task's own, with tokens that read all where `global_attention_mask` (batch, sequence) is 1."""
        kinds = self.kinds(input_ids, inputs_embeds, attention_mask, global_attention_mask)
        given = (input_ids, kinds, token_type_ids, position_ids, inputs_embeds, labels)
        return super().forward(*given, output_attentions, output_hidden_states, return_dict)


class FirstTokenGlobal(GlobalAttention):
    """The first token, which stands for the text, reads all."""

    def default_global(self, input_ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        given = input_ids if input_ids is not None else embeds
        if given is None:
            return None
        places = torch.arange(given.shape[1], device=given.device)
        return (places == 0).long().expand(given.shape[0], -1)


class ContinuationGlobal(GlobalAttention):
    """The tokens after the first separator and the one behind it, which are the continuation, read all."""

    def default_global(self, input_ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        if input_ids is None:
            return None
        places = torch.arange(input_ids.shape[-1], device=input_ids.device)
        return (places > question_end(input_ids, self.config.sep_token_id) + 1).long()


class QuestionGlobal(GlobalAttention, text.QuestionAnswering):
    """The tokens of the question, which are those before the first separator, read all."""

    def default_global(self, input_ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        if input_ids is None:
            return None
        places = torch.arange(input_ids.shape[-1], device=input_ids.device)
        return (places < question_end(input_ids, self.config.sep_token_id)).long()

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`start_logits` and `end_logits` (batch, sequence), and the loss when both positions are given."""
        kinds = self.kinds(input_ids, inputs_embeds, attention_mask, global_attention_mask)
        given = (input_ids, kinds, token_type_ids, position_ids, inputs_embeds, start_positions, end_positions)
        switches = (output_attentions, output_hidden_states, return_dict)
        return text.QuestionAnswering.forward(self, *given, *switches)
