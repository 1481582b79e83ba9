"""Processors that forbid or force tokens by the length reached, by a rule, or by the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from samovar.errors import ConfigError
from samovar.generation.processors import ForbidTokens, ForceTokens, LogitsProcessor


class MinLengthLogitsProcessor(ForbidTokens):
    """No end before `min_length` tokens, the prompt counted (an encoder–decoder's prompt is its start token)."""

    def __init__(
        self, min_length: int, eos_token_id: int | Sequence[int] | Tensor, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(eos_token_id, device)
        if not isinstance(min_length, int) or min_length < 0:
            raise ConfigError(f"min_length must be a whole number from 0, got {min_length!r}.", "Change it.")
        self.min_length = min_length

    def applies(self, length: int) -> bool:
        return length < self.min_length


class MinNewTokensLengthLogitsProcessor(ForbidTokens):
    """No end before `min_new_tokens` tokens after the prompt, which has `prompt_length_to_skip`."""

    def __init__(
        self,
        prompt_length_to_skip: int,
        min_new_tokens: int,
        eos_token_id: int | Sequence[int] | Tensor,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(eos_token_id, device)
        for name, value in (("prompt_length_to_skip", prompt_length_to_skip), ("min_new_tokens", min_new_tokens)):
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"{name} must be a whole number from 0, got {value!r}.", "Change it.")
        self.prompt_length_to_skip = prompt_length_to_skip
        self.min_new_tokens = min_new_tokens

    def applies(self, length: int) -> bool:
        return length - self.prompt_length_to_skip < self.min_new_tokens


class SuppressTokensLogitsProcessor(ForbidTokens):
    """These tokens are never written."""

    def __init__(self, suppress_tokens: Sequence[int], device: torch.device | str = "cpu") -> None:
        super().__init__(suppress_tokens, device)


class SuppressTokensAtBeginLogitsProcessor(ForbidTokens):
    """These tokens are not the first one that is written; `begin_index` tokens stand before it."""

    def __init__(
        self, begin_suppress_tokens: Sequence[int], begin_index: int, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(begin_suppress_tokens, device)
        self.begin_index = begin_index

    def applies(self, length: int) -> bool:
        return length == self.begin_index


class ForcedBOSTokenLogitsProcessor(ForceTokens):
    """The token after the start token is this one, such as a translation's language code."""

    def __init__(self, bos_token_id: int) -> None:
        super().__init__(bos_token_id)

    def applies(self, length: int) -> bool:
        return length == 1


class ForcedEOSTokenLogitsProcessor(ForceTokens):
    """The token at `max_length` is one of these."""

    def __init__(
        self, max_length: int, eos_token_id: int | Sequence[int] | Tensor, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(eos_token_id, device)
        self.max_length = max_length

    def applies(self, length: int) -> bool:
        return length == self.max_length - 1


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Only the tokens that `prefix_allowed_tokens_fn(prompt number, ids so far)` returns (De Cao et al. 2021).

    A beam without any allowed token of finite score dies; where all beams of a prompt would, the rule's tokens get
    equal scores instead. Raises `ConfigError` when the function returns no token.
    """

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]], num_beams: int) -> None:
        self.allowed = prefix_allowed_tokens_fn
        self.num_beams = num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        mask = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(input_ids):
            tokens = self.allowed(row // self.num_beams, ids)
            if len(tokens) == 0:
                raise ConfigError(
                    f"prefix_allowed_tokens_fn returned no token for prompt {row // self.num_beams} "
                    f"after {len(ids)} tokens.",
                    "Return at least one token, for example the end token.",
                )
            mask[row, torch.as_tensor(list(tokens), device=scores.device)] = 0
        changed = scores + mask
        dead = changed.amax(-1).isneginf().view(-1, self.num_beams).all(-1).repeat_interleave(self.num_beams)
        return torch.where(dead[:, None], mask, changed)
