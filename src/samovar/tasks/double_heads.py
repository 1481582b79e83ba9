"""Two tasks at once: the next token, and the best of several continuations (Radford et al. 2018, section 3.2)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import ConfigError
from samovar.nn.activations import activation
from samovar.nn.cache import Cache
from samovar.tasks import heads, outputs, text
from samovar.tasks.losses import token_loss

KINDS = ("cls_index", "last", "first", "mean")


class ChoiceScore(nn.Module):
    """One state per text → dropout → linear → activation: the score of a continuation.

    `config.summary_type` says which state: "cls_index" the one at the given place, else the last one; or "last",
    "first", "mean". Raises `ConfigError` for another kind.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.summary_type not in KINDS:
            raise ConfigError(f"Unknown summary_type {config.summary_type!r}.", f"Known: {', '.join(KINDS)}.")
        if not (config.summary_use_proj and config.summary_proj_to_labels):
            raise ConfigError(
                "Without a projection to one number there is no score of a continuation.",
                "Set summary_use_proj=True and summary_proj_to_labels=True.",
            )
        self.kind = config.summary_type
        self.dropout = nn.Dropout(config.summary_first_dropout)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.act = activation(config.summary_activation) if config.summary_activation else nn.Identity()

    def forward(self, states: Tensor, places: Tensor | None) -> Tensor:
        """(…, sequence, hidden) and the places (…) → (…)."""
        if self.kind == "mean":
            one = states.mean(-2)
        elif self.kind == "cls_index" and places is not None:
            wanted = places[..., None, None].expand(*places.shape, 1, states.shape[-1])
            one = states.gather(-2, wanted).squeeze(-2)
        else:
            one = states[..., 0 if self.kind == "first" else -1, :]
        return self.act(self.classifier(self.dropout(one))).squeeze(-1)


class DoubleHead(heads.LMHead):
    """A projection to the vocabulary beside a score of the whole text."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.choice = ChoiceScore(config)


class DoubleHeads(text.CausalLM):
    """The next token at each position, and a score for each continuation.

    Inputs are (batch, choices, sequence), or (batch, sequence) as for the next token alone.
    """

    task = "double-heads"
    head: DoubleHead

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
        mc_token_ids: Tensor | None = None,
        mc_labels: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
    ) -> Any:
        """Ids → `logits` (batch, choices, sequence, vocabulary), `mc_logits` (batch, choices), and their losses.

        `labels` are the ids themselves, shifted inside, -100 where there is none; `mc_labels` (batch) the best choice;
        `mc_token_ids` (batch, choices) say where the state stands that is scored, by default the last one.
        """
        *switches, as_dict = self.backbone.switches(output_attentions, output_hidden_states, return_dict)
        numbers = (input_ids, attention_mask, token_type_ids, position_ids)
        flat = [None if one is None else one.flatten(0, -2) for one in numbers]
        vectors = None if inputs_embeds is None else inputs_embeds.flatten(0, -3)
        out = self.backbone(
            *flat, vectors, *switches, return_dict=True, past_key_values=past_key_values, use_cache=use_cache,
            encoder_hidden_states=encoder_hidden_states, encoder_attention_mask=encoder_attention_mask,
        )  # fmt: skip
        leading = inputs_embeds.shape[:-2] if input_ids is None else input_ids.shape[:-1]  # type: ignore[union-attr]
        states = out.last_hidden_state.unflatten(0, leading)
        scores = self.head.choice(states, mc_token_ids)
        logits = self.head(outputs.BaseModelOutput(last_hidden_state=states[..., -logits_to_keep:, :]))
        loss = None if labels is None else token_loss(logits[..., :-1, :], labels[..., 1:])
        output = outputs.DoubleHeadsOutput(
            loss=loss,
            mc_loss=None if mc_labels is None else token_loss(scores, mc_labels),
            logits=logits,
            mc_logits=scores,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
        return output if as_dict else output.to_tuple()
