"""Text tasks: inputs, logits and loss of each, for any text backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from samovar.generation.mixin import GenerationMixin
from samovar.nn.cache import Cache
from samovar.tasks import outputs
from samovar.tasks.base import TaskModel
from samovar.tasks.losses import IGNORED, classification_loss, next_token_loss, span_loss, token_loss


class TextModel(TaskModel):
    """A text backbone under a head, whatever the head gives."""

    def read(
        self, inputs: Sequence[Tensor | None], attentions: bool | None, states: bool | None, return_dict: bool | None
    ) -> tuple[Any, bool]:
        """The backbone's output for its five inputs in order, and whether the caller wants an output object."""
        *switches, as_dict = self.backbone.switches(attentions, states, return_dict)
        # A head that writes no text needs no cache.
        options = {"use_cache": False} if getattr(self.backbone, "causal", False) else {}
        names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
        given = dict(zip(names, inputs, strict=True))
        out = self.backbone(
            **given, output_attentions=switches[0], output_hidden_states=switches[1], return_dict=True, **options
        )
        if self.head.masked:
            out["attention_mask"] = inputs[1]
        return out, as_dict


class TextTask(TextModel):
    """One head, one kind of logits, one loss over `labels`."""

    output_class: type[outputs.Output] = outputs.TaskOutput

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Mean loss of these logits against these labels."""
        return token_loss(logits, labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Ids (batch, sequence) → logits, and the loss when `labels` are given."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict)
        logits = self.head(out, input_ids)
        loss = None if labels is None else self.loss(logits, labels, attention_mask)
        return self.finish(self.output_class, loss, out, as_dict, logits=logits)


class SequenceClassification(TextTask):
    """One label, several or a number per text; `labels` (batch) or (batch, labels)."""

    task = "sequence-classification"
    output_class = outputs.SequenceClassifierOutput
    label_parameter = "head.classifier.weight"

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        """By `config.problem_type`, or by the labels' own type."""
        return classification_loss(self.config, logits, labels)


class TokenClassification(TextTask):
    """One label per token; `labels` (batch, sequence), -100 where there is none."""

    task = "token-classification"
    output_class = outputs.TokenClassifierOutput
    label_parameter = "head.classifier.weight"


class MaskedLM(TextTask):
    """The hidden word behind each mask; `labels` (batch, sequence), -100 where nothing is hidden."""

    task = "masked-lm"
    output_class = outputs.MaskedLMOutput


class CausalLM(GenerationMixin, TextTask):
    """The next token at each position; `labels` (batch, sequence) are the inputs themselves, shifted inside."""

    task = "causal-lm"
    output_class = outputs.CausalLMOutput

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Each position against the token after it."""
        return next_token_loss(logits, labels)

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache of the kind that the backbone fills, with room for at most `limit` tokens."""
        return self.backbone.new_cache(limit)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
    ) -> Any:
        """Ids (batch, sequence) → logits, and the loss when `labels` are given.

        `past_key_values`, `use_cache` and `encoder_hidden_states` as the backbone takes them; `logits_to_keep` computes
        the logits of that many last positions alone (0: of all).
        """
        *switches, as_dict = self.backbone.switches(output_attentions, output_hidden_states, return_dict)
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options: dict[str, Any] = {"past_key_values": past_key_values, "use_cache": use_cache}
        if encoder_hidden_states is not None:
            options["encoder_hidden_states"] = encoder_hidden_states
            options["encoder_attention_mask"] = encoder_attention_mask
        out = self.backbone(*given, *switches, return_dict=True, **options)
        if logits_to_keep:
            out["last_hidden_state"] = out.last_hidden_state[:, -logits_to_keep:]
        logits = self.head(out, input_ids)
        loss = None if labels is None else self.loss(logits, labels, attention_mask)
        output = self.finish(self.output_class, loss, out, True, logits=logits, past_key_values=out.past_key_values)
        if out.get("cross_attentions") is not None:
            output["cross_attentions"] = out["cross_attentions"]
        return output if as_dict else output.to_tuple()


class ReplacedTokenDetection(TextTask):
    """Which tokens were replaced; `labels` (batch, sequence) of 0 and 1 (Clark et al. 2020)."""

    task = "pretraining"
    output_class = outputs.TokenClassifierOutput

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Binary cross-entropy over real tokens."""
        counted = labels != IGNORED
        if attention_mask is not None:
            counted = counted & attention_mask.bool()
        losses = binary_cross_entropy_with_logits(logits, labels.clamp(min=0).to(logits.dtype), reduction="none")
        return (losses * counted).sum() / counted.sum()


class MultipleChoice(TextModel):
    """The best of several continuations; every input is (batch, choices, sequence), `labels` (batch)."""

    task = "multiple-choice"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Scores (batch, choices), and the loss when `labels` are given."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        flat = [None if tensor is None else tensor.flatten(0, 1) for tensor in given]
        out, as_dict = self.read(flat, output_attentions, output_hidden_states, return_dict)
        choices = next(tensor.shape[1] for tensor in given if tensor is not None)
        logits = self.head(out, flat[0]).view(-1, choices)
        loss = None if labels is None else token_loss(logits, labels)
        return self.finish(outputs.MultipleChoiceModelOutput, loss, out, as_dict, logits=logits)


class QuestionAnswering(TextModel):
    """Where the answer starts and ends; `start_positions` and `end_positions` (batch)."""

    task = "question-answering"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
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
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict)
        start, end = self.head(out, input_ids).unbind(-1)
        both = start_positions is not None and end_positions is not None
        loss = span_loss(start, end, start_positions, end_positions) if both else None  # type: ignore[arg-type]
        return self.finish(outputs.QuestionAnsweringModelOutput, loss, out, as_dict, start_logits=start, end_logits=end)


class NextSentencePrediction(TextTask):
    """Does the second text follow the first? `labels` (batch): 0 yes, 1 no."""

    task = "next-sentence-prediction"
    output_class = outputs.NextSentencePredictorOutput


class PreTraining(TextModel):
    """Masked words and a judgement on the pair of texts, trained together.

    `pair_logits` and `pair_labels` are what the architecture calls the second objective.
    """

    task = "pretraining"
    pair_logits = "seq_relationship_logits"
    pair_labels = "next_sentence_label"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`prediction_logits` (batch, sequence, vocabulary), the pair's logits (batch, 2), the sum of both losses."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict)
        words, pair = self.head(out, input_ids)
        second = next_sentence_label if self.pair_labels == "next_sentence_label" else sentence_order_label
        loss = None
        if labels is not None and second is not None:
            loss = token_loss(words, labels) + token_loss(pair, second)
        logits = {"prediction_logits": words, self.pair_logits: pair}
        return self.finish(outputs.PreTrainingOutput, loss, out, as_dict, **logits)
