"""A text for a text: the head and loss of encoder–decoder models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import InputError
from samovar.generation.mixin import GenerationMixin
from samovar.nn.cache import Cache
from samovar.nn.int8 import Int8Linear
from samovar.tasks import heads, outputs
from samovar.tasks.base import TaskModel
from samovar.tasks.losses import classification_loss, span_loss, token_loss
from samovar.tasks.text import CausalLM


class SequenceLMHead(heads.LMHead):
    """A projection to the vocabulary, tied to the words, and a bias of the checkpoint's that is not trained."""

    logits_bias: Tensor

    def __init__(self, config: Config, words: int | None = None) -> None:
        super().__init__(config, words=words)
        self.register_buffer("logits_bias", torch.zeros(1, words or config.vocab_size))

    def initialise(self, name: str, tensor: Tensor) -> None:
        """The bias starts at 0."""
        nn.init.zeros_(tensor)

    def offsets(self) -> Tensor | None:
        return self.logits_bias[0]

    def forward(self, output: Any, input_ids: Tensor | None = None) -> Tensor:
        """(batch, sequence, vocabulary)."""
        return super().forward(output) + self.logits_bias


class EndTokenClassifier(heads.Head):
    """The decoder's state at the last end token → dropout → dense → tanh → dropout → linear."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.eos_token_id = config.eos_token_id
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, output: Any, input_ids: Tensor | None = None) -> Tensor:
        """(batch, labels). Raises `InputError` for texts without ids, or without an end token."""
        if input_ids is None:
            raise InputError("Without ids nothing says where texts end.", "Give input_ids.")
        ends = input_ids == self.eos_token_id
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()) and not bool(ends.any(-1).all()):
            raise InputError("A text has no end token, whose state would stand for it.", "Give the tokenizer's ids.")
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        last = (places * ends).amax(-1)
        states = output.last_hidden_state[torch.arange(input_ids.shape[0], device=input_ids.device), last]
        return self.classifier(self.dropout(torch.tanh(self.dense(self.dropout(states)))))


class DecoderLM(CausalLM):
    """A decoder alone; `labels` are what each position should predict: as in the field's code, nothing shifts them."""

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
        return token_loss(logits, labels)


class Seq2SeqTask(TaskModel):
    """An encoder–decoder that reads one text with both parts, the decoder shifted by one, and writes none."""

    @property
    def tied(self) -> Mapping[str, str]:
        """Encoder and decoder read the shared words."""
        return {f"backbone.{name}": f"backbone.{source}" for name, source in self.backbone.tied.items()}

    def read(
        self, inputs: Sequence[Any], attentions: bool | None, states: bool | None, return_dict: bool | None, cached: Any
    ) -> tuple[Any, bool]:
        """The backbone's output for its seven inputs in order, and whether the caller wants an output object."""
        *switches, as_dict = self.backbone.switches(attentions, states, return_dict)
        return self.backbone(*inputs, *switches, True, use_cache=cached), as_dict

    def answer(self, kind: type[Any], out: Any, as_dict: bool, **fields: Any) -> Any:
        """The output object, or its fields as a tuple."""
        rest = {key: value for key, value in out.items() if key != "last_hidden_state"}
        output = kind(**fields, **rest)
        return output if as_dict else output.to_tuple()


class Seq2SeqClassification(Seq2SeqTask):
    """One label, several or a number per text; `labels` (batch) or (batch, labels)."""

    task = "sequence-classification"
    label_parameter = "head.classifier.weight"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        use_cache: bool | None = None,
    ) -> Any:
        """Ids (batch, sequence) → logits (batch, labels), and the loss when `labels` are given."""
        given = (
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds,
        )  # fmt: skip
        cached = False if labels is not None else use_cache
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict, cached)
        logits = self.head(out, input_ids)
        loss = None if labels is None else classification_loss(self.config, logits, labels)
        return self.answer(outputs.Seq2SeqSequenceClassifierOutput, out, as_dict, loss=loss, logits=logits)


class Seq2SeqQuestionAnswering(Seq2SeqTask):
    """Where the answer starts and ends; `start_positions` and `end_positions` (batch)."""

    task = "question-answering"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        use_cache: bool | None = None,
    ) -> Any:
        """`start_logits` and `end_logits` (batch, sequence), and the loss when both positions are given."""
        given = (
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds,
        )  # fmt: skip
        both = start_positions is not None and end_positions is not None
        cached = False if both else use_cache
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict, cached)
        start, end = self.head(out, input_ids).unbind(-1)
        loss = span_loss(start, end, start_positions, end_positions) if both else None  # type: ignore[arg-type]
        return self.answer(
            outputs.Seq2SeqQuestionAnsweringOutput, out, as_dict, loss=loss, start_logits=start, end_logits=end
        )


class Seq2SeqLM(GenerationMixin, TaskModel):
    """The next token of the target; `labels` (batch, target) are the target itself, -100 where it is padding."""

    task = "seq2seq-lm"

    @property
    def tied(self) -> Mapping[str, str]:
        """Encoder, decoder and projection read the shared words."""
        words = {f"backbone.{name}": f"backbone.{source}" for name, source in self.backbone.tied.items()}
        if self.config.tie_word_embeddings and not isinstance(self.head.decoder, Int8Linear):
            words["head.decoder.weight"] = f"backbone.{self.backbone.written_words}"
        return words

    def get_encoder(self) -> nn.Module:
        """The part that reads the source."""
        return self.backbone.get_encoder()  # type: ignore[operator]

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache, with room for at most `limit` tokens of the target."""
        return self.backbone.new_cache(limit)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to write these labels."""
        return self.backbone.shifted(labels)  # type: ignore[operator]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
    ) -> Any:
        """Source and target ids → logits (batch, target, vocabulary), and the loss when `labels` are given.

        `past_key_values` and `use_cache` as the backbone takes them; there is no cache beside labels.
        """
        if labels is not None and past_key_values is None:
            use_cache = False
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.backbone.shifted(labels)  # type: ignore[operator]
        _, _, as_dict = self.backbone.switches(output_attentions, output_hidden_states, return_dict)
        out = self.backbone(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs, inputs_embeds,
            decoder_inputs_embeds, output_attentions, output_hidden_states, True, past_key_values=past_key_values,
            use_cache=use_cache,
        )  # fmt: skip
        logits = self.head(out)
        loss = None if labels is None else token_loss(logits, labels)
        fields = {key: value for key, value in out.items() if key != "last_hidden_state"}
        output = outputs.Seq2SeqLMOutput(loss=loss, logits=logits, **fields)
        return output if as_dict else output.to_tuple()
