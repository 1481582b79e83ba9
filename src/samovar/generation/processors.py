"""What changes scores between a model and the choice of a token: the contract, and the list that applies several."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from samovar.errors import ConfigError

ScoreFunction = Callable[..., Tensor]


class LogitsProcessor:
    """A callable: `input_ids` (rows, length) and `scores` (rows, vocabulary) → new scores of the same shape.

    A subclass leaves both arguments as they are. Any plain function with this signature does as well.
    """

    # Whether a token's new score depends on its own old one alone, and never falls where that rises.
    by_itself: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls) and "by_itself" not in vars(cls):
            cls.by_itself = False  # What was said of another class's scores does not hold for these.

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The changed scores."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__.")


class LogitsProcessorList(list[ScoreFunction]):
    """Processors that are applied in order. One that takes more than two arguments gets them by name."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """The scores after the last processor. Raises `ConfigError` if a further argument is not there."""
        for processor in self:
            further = further_arguments(processor)
            missing = [name for name in further if name not in kwargs]
            if missing:
                raise ConfigError(
                    f"The logits processor {processor!r} also takes {', '.join(missing)}.", "Call the list with them."
                )
            scores = processor(input_ids, scores, **{name: kwargs[name] for name in further})
        return scores


def further_arguments(processor: ScoreFunction) -> tuple[str, ...]:
    """The arguments that a processor needs beyond `input_ids` and `scores`."""
    if isinstance(processor, LogitsProcessor):
        return needed_names(type(processor).__call__, 3)
    return needed_names.__wrapped__(processor, 2)


@functools.lru_cache(maxsize=256)
def needed_names(function: ScoreFunction, skipped: int) -> tuple[str, ...]:
    """Parameters without a default after the first ones."""
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


def token_tensor(tokens: int | Sequence[int] | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """One or several token ids as a vector. Raises `ConfigError` for ids below 0."""
    ids = torch.as_tensor(tokens, device=device).reshape(-1)
    if ids.is_floating_point() or (ids.numel() and int(ids.min()) < 0):
        raise ConfigError(
            f"Token ids must be whole numbers from 0, got {ids.tolist()}.", "Take them from the tokenizer."
        )
    return ids


class ForbidTokens(LogitsProcessor):
    """Base of processors that now and then set the scores of some tokens to -inf."""

    by_itself = True

    def __init__(self, tokens: int | Sequence[int] | Tensor, device: torch.device | str = "cpu") -> None:
        self.tokens = token_tensor(tokens, device)

    def applies(self, length: int) -> bool:
        """Whether the tokens are forbidden after `length` tokens."""
        return True

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self.applies(input_ids.shape[-1]):
            return scores
        self.tokens = self.tokens.to(scores.device)
        return scores.index_fill(-1, self.tokens, -torch.inf)


class ForceTokens(LogitsProcessor):
    """Base of processors that at one length leave only some tokens, with equal scores of 0."""

    by_itself = True

    def __init__(self, tokens: int | Sequence[int] | Tensor, device: torch.device | str = "cpu") -> None:
        self.tokens = token_tensor(tokens, device)

    def applies(self, length: int) -> bool:
        """Whether the tokens are forced after `length` tokens."""
        return True

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self.applies(input_ids.shape[-1]):
            return scores
        self.tokens = self.tokens.to(scores.device)
        return torch.full_like(scores, -torch.inf).index_fill_(-1, self.tokens, 0.0)
