"""Tasks of models that read in any order and remember earlier texts (Yang et al. 2019, XLNet)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from samovar.config import Config
from samovar.nn.norm import layer_norm
from samovar.tasks import heads, outputs, text
from samovar.tasks.losses import classification_loss, span_loss, token_loss


class Permuted(text.TextModel):
    """Inputs, memory and outputs that these tasks share."""

    def look(self, inputs: dict[str, Tensor | None], switches: tuple[Any, ...]) -> tuple[Any, bool]:
        """The backbone's output, and whether the caller wants an output object."""
        *shown, as_dict = self.backbone.switches(*switches)
        names = ("output_attentions", "output_hidden_states")
        return self.backbone(**inputs, **dict(zip(names, shown, strict=True)), return_dict=True), as_dict

    def conclude(self, out: Any, as_dict: bool, **logits: Any) -> Any:
        """The task's output, or a tuple without what is absent."""
        rest = {name: value for name, value in out.items() if name != "last_hidden_state"}
        output = outputs.MemoryOutput(**logits, **rest)
        return output if as_dict else output.to_tuple()


class PermutedTask(Permuted):
    """One head, one kind of logits, one loss over `labels`."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of these logits against these labels."""
        return token_loss(logits, labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mems: Any = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_mems: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Ids (batch, sequence) → logits, and the loss when `labels` are given; the other inputs as the backbone's."""
        given: dict[str, Any] = {
            "input_ids": input_ids, "attention_mask": attention_mask, "mems": mems, "perm_mask": perm_mask,
            "target_mapping": target_mapping, "token_type_ids": token_type_ids, "input_mask": input_mask,
            "inputs_embeds": inputs_embeds, "use_mems": use_mems,
        }  # fmt: skip
        out, as_dict = self.look(given, (output_attentions, output_hidden_states, return_dict))
        logits = self.head(out, input_ids)
        return self.conclude(out, as_dict, loss=None if labels is None else self.loss(logits, labels), logits=logits)


class PermutedLM(PermutedTask):
    """The words at the targets; `labels` (batch, targets) are those words, with no shift."""

    task = "causal-lm"


class PermutedSequenceClassification(PermutedTask):
    """One label, several or a number per text; `labels` (batch) or (batch, labels)."""

    task = "sequence-classification"
    label_parameter = "head.classifier.weight"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """By `config.problem_type`, or by the labels' own type."""
        return classification_loss(self.config, logits, labels)


class PermutedTokenClassification(PermutedTask):
    """One label per token; `labels` (batch, sequence), -100 where there is none."""

    task = "token-classification"
    label_parameter = "head.classifier.weight"


class PermutedMultipleChoice(Permuted):
    """The best of several continuations; every input is (batch, choices, sequence), `labels` (batch)."""

    task = "multiple-choice"

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mems: Any = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_mems: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Scores (batch, choices), and the loss when `labels` are given."""
        given: dict[str, Any] = {
            "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
            "input_mask": input_mask, "inputs_embeds": inputs_embeds,
        }  # fmt: skip
        choices = next(tensor.shape[1] for tensor in given.values() if tensor is not None)
        flat = {name: None if tensor is None else tensor.flatten(0, 1) for name, tensor in given.items()}
        flat |= {"mems": mems, "perm_mask": perm_mask, "target_mapping": target_mapping, "use_mems": use_mems}
        out, as_dict = self.look(flat, (output_attentions, output_hidden_states, return_dict))
        logits = self.head(out).view(-1, choices)
        loss = None if labels is None else token_loss(logits, labels)
        return self.conclude(out, as_dict, loss=loss, logits=logits)


class PermutedQuestionAnswering(Permuted):
    """Where the answer starts and ends; `start_positions` and `end_positions` (batch)."""

    task = "question-answering"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mems: Any = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        use_mems: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`start_logits` and `end_logits` (batch, sequence), and the loss when both positions are given."""
        given: dict[str, Any] = {
            "input_ids": input_ids, "attention_mask": attention_mask, "mems": mems, "perm_mask": perm_mask,
            "target_mapping": target_mapping, "token_type_ids": token_type_ids, "input_mask": input_mask,
            "inputs_embeds": inputs_embeds, "use_mems": use_mems,
        }  # fmt: skip
        out, as_dict = self.look(given, (output_attentions, output_hidden_states, return_dict))
        start, end = self.head(out, input_ids).unbind(-1)
        both = start_positions is not None and end_positions is not None
        loss = span_loss(start, end, start_positions, end_positions) if both else None  # type: ignore[arg-type]
        return self.conclude(out, as_dict, loss=loss, start_logits=start, end_logits=end)


class SpanBeamHead(heads.Head):
    """Starts first, then the ends that go with each of the best starts, then whether there is an answer at all."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.start = nn.Linear(hidden, 1)
        self.end_dense, self.end = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, 1)
        self.end_norm = layer_norm(config.layer_norm_eps)(hidden)
        self.answer_dense, self.answer = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, 1, bias=False)

    def starts(self, states: Tensor, barred: Tensor | None) -> Tensor:
        """(batch, sequence, hidden) → (batch, sequence)."""
        return without(self.start(states).squeeze(-1), barred)

    def ends(self, states: Tensor, started: Tensor, barred: Tensor | None) -> Tensor:
        """Scores of ends, given the states of starts in the same shape; (…, hidden) → (…)."""
        inner = self.end_norm(torch.tanh(self.end_dense(torch.cat([states, started], dim=-1))))
        return without(self.end(inner).squeeze(-1), barred)

    def answered(self, states: Tensor, started: Tensor, places: Tensor | None) -> Tensor:
        """Whether there is no answer, (batch), from the start's state (batch, hidden) and a token that sums up."""
        summary = states[:, -1] if places is None else at(states, places)
        return self.answer(torch.tanh(self.answer_dense(torch.cat([started, summary], dim=-1)))).squeeze(-1)


def without(scores: Tensor, barred: Tensor | None) -> Tensor:
    """Scores with a very low number where `barred` is 1."""
    return scores if barred is None else scores * (1 - barred) - 1e30 * barred


def at(states: Tensor, places: Tensor) -> Tensor:
    """(batch, sequence, hidden) at one place (batch) each → (batch, hidden)."""
    return states[torch.arange(states.shape[0], device=states.device), places]


class PermutedSpanSearch(Permuted):
    """Answers by a search: the best starts, and for each of them the best ends (Yang et al. 2019, section A.4)."""

    task = "question-answering-by-search"
    head: SpanBeamHead

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mems: Any = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        is_impossible: Tensor | None = None,
        cls_index: Tensor | None = None,
        p_mask: Tensor | None = None,
        use_mems: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """The loss when both positions are given, else the best starts and ends and the score of no answer.

        `start_top_log_probs` and `start_top_index` (batch, start_n_top), `end_top_log_probs` and `end_top_index`
        (batch, start_n_top × end_n_top), `cls_logits` (batch). `p_mask` (batch, sequence) is 1 where no answer may be.
        """
        given: dict[str, Any] = {
            "input_ids": input_ids, "attention_mask": attention_mask, "mems": mems, "perm_mask": perm_mask,
            "target_mapping": target_mapping, "token_type_ids": token_type_ids, "input_mask": input_mask,
            "inputs_embeds": inputs_embeds, "use_mems": use_mems,
        }  # fmt: skip
        out, as_dict = self.look(given, (output_attentions, output_hidden_states, return_dict))
        states = out.last_hidden_state
        starts = self.head.starts(states, p_mask)
        if start_positions is not None and end_positions is not None:
            started = at(states, start_positions)
            ends = self.head.ends(states, started[:, None].expand_as(states), p_mask)
            loss = (token_loss(starts, start_positions) + token_loss(ends, end_positions)) / 2
            if cls_index is not None and is_impossible is not None:
                none = self.head.answered(states, started, cls_index)
                loss = loss + 0.5 * binary_cross_entropy_with_logits(none, is_impossible.to(none.dtype))
            return self.conclude(out, as_dict, loss=loss)
        shares = starts.softmax(-1)
        start_shares, start_places = shares.topk(self.config.start_n_top, dim=-1)
        best = states.gather(1, start_places[..., None].expand(-1, -1, states.shape[-1]))
        # (batch, sequence, starts, hidden)
        length, count = states.shape[1], best.shape[1]
        pairs = best[:, None].expand(-1, length, -1, -1)
        barred = None if p_mask is None else p_mask[..., None]
        ends = self.head.ends(states[:, :, None].expand(-1, -1, count, -1), pairs, barred)
        end_shares, end_places = ends.softmax(1).topk(self.config.end_n_top, dim=1)
        # The mean of the states, weighted by how likely each is a start.
        started = torch.einsum("blh,bl->bh", states, shares)
        return self.conclude(
            out, as_dict, start_top_log_probs=start_shares, start_top_index=start_places,
            end_top_log_probs=end_shares.flatten(1), end_top_index=end_places.flatten(1),
            cls_logits=self.head.answered(states, started, cls_index),
        )  # fmt: skip
