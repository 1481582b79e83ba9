"""What a decoding loop keeps beside the tokens: scores, logits, attentions and hidden states of each step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.errors import NumericError
from samovar.generation.config import GenerationConfig
from samovar.generation.outputs import OUTPUT_KINDS
from samovar.generation.steps import Steps

ORDER = (
    "sequences",
    "sequences_scores",
    "scores",
    "logits",
    "beam_indices",
    "encoder_attentions",
    "encoder_hidden_states",
    "decoder_attentions",
    "cross_attentions",
    "decoder_hidden_states",
    "attentions",
    "hidden_states",
    "past_key_values",
)


class Record:
    """Collects per step what the configuration asks for, and makes the final output of it."""

    def __init__(self, config: GenerationConfig, steps: Steps) -> None:
        self.steps = steps
        self.wanted = bool(config.return_dict_in_generate)
        self.beams = config.num_beams > 1
        self.keeps_scores = self.wanted and bool(config.output_scores)
        self.keeps_logits = self.wanted and bool(config.output_logits)
        own = {"attentions": config.output_attentions, "hidden_states": config.output_hidden_states}
        names = [name for name, asked in own.items() if asked and self.wanted]
        if steps.encoder_decoder:
            names = [f"decoder_{name}" for name in names] + ["cross_attentions"] * ("attentions" in names)
        self.layers: dict[str, list[Any]] = {name: [] for name in names}
        self.scores: list[Tensor] = []
        self.logits: list[Tensor] = []

    def add(self, logits: Tensor, scores: Tensor) -> None:
        """Keep one step's logits and processed scores, both (rows, vocabulary)."""
        if self.keeps_logits:
            self.logits.append(logits.clone())
        if self.keeps_scores:
            self.scores.append(scores.clone())

    def add_layers(self, output: Any) -> None:
        """Keep one call's attentions and hidden states."""
        for name, kept in self.layers.items():
            kept.append(getattr(output, name))

    @property
    def so_far(self) -> tuple[Tensor, ...] | None:
        """The scores as stopping criteria get them."""
        return tuple(self.scores) if self.keeps_scores else None

    def finish(self, sequences: Tensor, **fields: Any) -> Any:
        """The ids alone, or the output object."""
        if not self.wanted:
            return sequences
        encoder = self.steps.prompt.encoder_outputs
        if self.steps.encoder_decoder:
            asked = {"encoder_attentions": "decoder_attentions", "encoder_hidden_states": "decoder_hidden_states"}
            found = {name: getattr(encoder, name.removeprefix("encoder_"), None) for name in asked}
            fields |= {name: found[name] for name, decoder in asked.items() if decoder in self.layers}
        fields |= {
            "sequences": sequences,
            "scores": tuple(self.scores) if self.keeps_scores else None,
            "logits": tuple(self.logits) if self.keeps_logits else None,
            **{name: tuple(kept) for name, kept in self.layers.items()},
            "past_key_values": self.steps.cache,
        }
        # Outputs are also read by index.
        ordered = {name: fields[name] for name in ORDER if name in fields}
        return OUTPUT_KINDS[self.beams, self.steps.encoder_decoder](**ordered)


def nothing_allowed() -> NumericError:
    """The error for scores of which no token can be chosen."""
    return NumericError(
        "A row of scores has no finite value: the model's output is not finite, or the rules forbid every token.",
        "Loosen the rules (bad words, suppressed tokens, n-grams), or check the weights and the dtype.",
    )
