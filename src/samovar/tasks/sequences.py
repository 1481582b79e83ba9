"""A text for a text: the head and loss of encoder–decoder models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from samovar.config import Config
from samovar.generation.mixin import GenerationMixin
from samovar.nn.cache import Cache
from samovar.nn.encoder_decoder import shifted_right
from samovar.tasks import heads, outputs
from samovar.tasks.base import TaskModel
from samovar.tasks.losses import token_loss


class SequenceLMHead(heads.LMHead):
    """A projection to the vocabulary, tied to the words, and a bias of the checkpoint's that is not trained."""

    logits_bias: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("logits_bias", torch.zeros(1, config.vocab_size))

    def initialise(self, name: str, tensor: Tensor) -> None:
        """The bias starts at 0."""
        nn.init.zeros_(tensor)

    def forward(self, output: Any, input_ids: Tensor | None = None) -> Tensor:
        """(batch, sequence, vocabulary)."""
        return super().forward(output) + self.logits_bias


class Seq2SeqLM(GenerationMixin, TaskModel):
    """The next token of the target; `labels` (batch, target) are the target itself, -100 where it is padding."""

    task = "seq2seq-lm"

    @property
    def tied(self) -> Mapping[str, str]:
        """Encoder, decoder and projection read the shared words."""
        words = {f"backbone.{part}.embeddings.word.weight": "backbone.shared.weight" for part in ("encoder", "decoder")}
        return words | ({"head.decoder.weight": "backbone.shared.weight"} if self.config.tie_word_embeddings else {})

    def get_encoder(self) -> nn.Module:
        """The part that reads the source."""
        return self.backbone.get_encoder()  # type: ignore[operator]

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache, with room for at most `limit` tokens of the target."""
        return self.backbone.new_cache(limit)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to write these labels."""
        return shifted_right(self.config, labels)

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
            decoder_input_ids = shifted_right(self.config, labels)
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
