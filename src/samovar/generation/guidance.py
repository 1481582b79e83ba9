"""Classifier-free guidance of text: away from what the model would write without the prompt (Sanchez et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samovar.errors import ConfigError
from samovar.generation.config import GenerationConfig
from samovar.generation.processors import LogitsProcessor
from samovar.generation.prompt import Prompt
from samovar.generation.steps import Steps


class UnbatchedClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """log p(token | other) + scale · (log p(token | prompt) - log p(token | other)); one more call per step.

    `unconditional_ids` (rows, length) is the other prompt, such as a negative one; without it the last token of the
    prompt stands alone. A scale above 1 follows the prompt more closely. Raises `ConfigError` for an encoder–decoder.
    """

    def __init__(
        self,
        guidance_scale: float,
        model: Any,
        unconditional_ids: Tensor | None = None,
        unconditional_attention_mask: Tensor | None = None,
        use_cache: bool | None = True,
    ) -> None:
        if getattr(model.config, "is_encoder_decoder", False):
            raise ConfigError(
                "guidance_scale: an encoder–decoder has no text without its prompt.", "Leave guidance_scale out."
            )
        self.guidance_scale = guidance_scale
        self.model = model
        self.unconditional_ids = unconditional_ids
        self.mask = unconditional_attention_mask
        self.config = GenerationConfig(use_cache=bool(use_cache))
        self.steps: Steps | None = None

    def start(self, input_ids: Tensor) -> Steps:
        """Begin with a prompt (rows, length)."""
        other = input_ids[:, -1:] if self.unconditional_ids is None else self.unconditional_ids.to(input_ids.device)
        other = other.expand(len(input_ids), -1)
        mask = None if self.mask is None else self.mask.to(input_ids.device).long().expand(len(input_ids), -1)
        self.prompt = input_ids.shape[1]
        return Steps(self.model, Prompt(other, mask), self.config)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.steps is None:
            self.steps = self.start(input_ids)
        ids = torch.cat([self.steps.prompt.ids, input_ids[:, self.prompt :]], dim=1)
        self.steps.crop(ids.shape[1] - 1)
        without = self.steps(ids).logits[:, -1].float().log_softmax(-1)
        return without + self.guidance_scale * (scores.log_softmax(-1) - without)
