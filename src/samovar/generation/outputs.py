"""What `generate` returns with `return_dict_in_generate=True`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.tasks.outputs import Output

Steps = tuple[Tensor, ...] | None
StepLayers = tuple[tuple[Tensor, ...], ...] | None


class GenerateDecoderOnlyOutput(Output):
    """`sequences` (rows, length) with the prompt; `scores` and `logits`: per step (rows, vocabulary)."""

    sequences: Tensor
    scores: Steps
    logits: Steps
    attentions: StepLayers
    hidden_states: StepLayers
    past_key_values: Any


class GenerateEncoderDecoderOutput(Output):
    """`sequences` (rows, length) from the start token on; `scores` and `logits`: per step (rows, vocabulary)."""

    sequences: Tensor
    scores: Steps
    logits: Steps
    encoder_attentions: tuple[Tensor, ...] | None
    encoder_hidden_states: tuple[Tensor, ...] | None
    decoder_attentions: StepLayers
    cross_attentions: StepLayers
    decoder_hidden_states: StepLayers
    past_key_values: Any


class GenerateBeamDecoderOnlyOutput(GenerateDecoderOnlyOutput):
    """As without beams; `scores` are log-probabilities per step (prompts · beams, vocabulary).

    `sequences_scores` (rows) are what beams were ranked by; `beam_indices` (rows, new tokens) say from which row of
    `scores` each token was taken, -1 after the end.
    """

    sequences_scores: Tensor | None
    beam_indices: Tensor | None


class GenerateBeamEncoderDecoderOutput(GenerateEncoderDecoderOutput):
    """As without beams, with the two further fields of `GenerateBeamDecoderOnlyOutput`."""

    sequences_scores: Tensor | None
    beam_indices: Tensor | None


OUTPUT_KINDS: dict[tuple[bool, bool], type[Output]] = {
    (False, False): GenerateDecoderOnlyOutput,
    (False, True): GenerateEncoderDecoderOutput,
    (True, False): GenerateBeamDecoderOnlyOutput,
    (True, True): GenerateBeamEncoderDecoderOutput,
}
