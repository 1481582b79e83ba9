"""Token vectors → one vector a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from samovar.errors import ConfigError, did_you_mean
from samovar.sentence.module import Features, Module

# Mode → its flag in the files of all versions; several modes are concatenated in this order.
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


class Pooling(Module):
    """`token_embeddings` (batch, sequence, hidden) → `sentence_embedding` (batch, hidden · modes).

    `mean`: over the tokens that the mask keeps; `mean_sqrt_len_tokens`: their sum over √count; `max`: element by
    element; `cls`: the first; `lasttoken`: the last; `weightedmean`: weights 1, 2, 3, … by position (Muennighoff,
    SGPT, arXiv:2202.08904). `include_prompt=False` leaves the tokens of the prompt out (Su et al., INSTRUCTOR,
    arXiv:2212.09741). Raises `ConfigError` for other modes.
    """

    type_name = "sentence_transformers.models.Pooling"

    def __init__(
        self, word_embedding_dimension: int, pooling_mode: str | Sequence[str] = "mean", include_prompt: bool = True
    ) -> None:
        super().__init__()
        self.word_embedding_dimension = word_embedding_dimension
        modes = [pooling_mode] if isinstance(pooling_mode, str) else list(pooling_mode)
        for mode in modes:
            if mode not in FLAGS:
                hint = did_you_mean(str(mode), FLAGS)
                raise ConfigError(f"There is no pooling mode {mode!r}.", f"{hint} All: {', '.join(FLAGS)}.".strip())
        if not modes:
            raise ConfigError("Pooling without a mode.", f"Choose among {', '.join(FLAGS)}.")
        self.modes = modes
        self.include_prompt = include_prompt

    @property
    def pooling_mode(self) -> str | list[str]:
        """The mode, or the modes."""
        return self.modes[0] if len(self.modes) == 1 else self.modes

    @property
    def pooling_output_dimension(self) -> int:
        """Size of the result."""
        return self.word_embedding_dimension * len(self.modes)

    def get_sentence_embedding_dimension(self) -> int:
        """Size of the result."""
        return self.pooling_output_dimension

    def forward(self, features: Features) -> Features:
        """Without `attention_mask` all tokens count."""
        tokens: Tensor = features["token_embeddings"]
        mask: Tensor | None = features.get("attention_mask")
        if not self.include_prompt and features.get("prompt_length"):
            mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device) if mask is None else mask
            mask = without_prompt(mask, features["prompt_length"])
        pooled = [pool(mode, tokens, mask) for mode in self.modes]
        features["sentence_embedding"] = pooled[0] if len(pooled) == 1 else torch.cat(pooled, -1)
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """The flags that every version of the files has; modes in another order need the newer keys."""
        if self.modes != [mode for mode in FLAGS if mode in self.modes]:
            return {
                "embedding_dimension": self.word_embedding_dimension,
                "pooling_mode": self.modes,
                "include_prompt": self.include_prompt,
            }
        flags = {flag: mode in self.modes for mode, flag in FLAGS.items()}
        return {
            "word_embedding_dimension": self.word_embedding_dimension, **flags, "include_prompt": self.include_prompt
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """From flags, or from the newer `embedding_dimension` and `pooling_mode`."""
        modes = config.get("pooling_mode") or [mode for mode, flag in FLAGS.items() if config.get(flag)]
        if not modes and not any(flag in config for flag in FLAGS.values()):
            modes = "mean"
        size = config.get("embedding_dimension", config.get("word_embedding_dimension"))
        if not isinstance(size, int):
            raise ConfigError("A pooling config has no word_embedding_dimension.", "Add it: the encoder's hidden size.")
        return cls(size, modes, config.get("include_prompt", True))


def without_prompt(mask: Tensor, lengths: int | Tensor) -> Tensor:
    """The mask (batch, sequence) with each row's first `lengths` kept tokens taken out, wherever padding is."""
    lengths = torch.as_tensor(lengths, device=mask.device).reshape(-1, 1)
    return mask * (mask.cumsum(1) > lengths)


def pool(mode: str, tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, sequence, hidden) under (batch, sequence) → (batch, hidden)."""
    if mask is None:
        return pool_all(mode, tokens)
    if mode == "cls":
        first = mask.to(torch.int8).argmax(1)
        return tokens[torch.arange(len(tokens), device=tokens.device), first]
    if mode == "lasttoken":
        last = mask.shape[1] - 1 - mask.flip(1).to(torch.int8).argmax(1)
        picked = tokens[torch.arange(len(tokens), device=tokens.device), last]
        return picked * mask.any(1, keepdim=True)
    if mode == "max":
        return tokens.masked_fill(mask.unsqueeze(-1) == 0, -1e9).amax(1)
    weights = mask.to(tokens.dtype)
    if mode == "weightedmean":
        weights = weights * torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=tokens.dtype)
    total = torch.bmm(weights.unsqueeze(1), tokens).squeeze(1)
    count = weights.sum(1, keepdim=True).clamp(min=1e-9)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def pool_all(mode: str, tokens: Tensor) -> Tensor:
    """The same where nothing is masked."""
    length = tokens.shape[1]
    if mode in ("cls", "lasttoken"):
        return tokens[:, 0 if mode == "cls" else -1]
    if mode == "max":
        return tokens.amax(1)
    if mode == "weightedmean":
        weights = torch.arange(1, length + 1, device=tokens.device, dtype=tokens.dtype)
        return (tokens * weights[:, None]).sum(1) / weights.sum()
    return tokens.mean(1) if mode == "mean" else tokens.sum(1) / length**0.5
