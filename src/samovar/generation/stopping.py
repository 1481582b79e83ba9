"""When a row of text is finished: at a length, at a time, at an end token, at a string, or by the user's function."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputTypeError
from samovar.generation.processors import token_tensor


class StoppingCriteria:
    """A callable: `input_ids` (rows, length) and the `scores` recorded so far → (rows) of booleans, True: finished.

    `scores` is a tuple of the processed scores of each step with `output_scores=True`, else None. Any plain function
    with this signature does as well, and may return one boolean for all rows.
    """

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        """Which rows are finished."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__.")


Criterion = Callable[..., Any]


class MaxLengthCriteria(StoppingCriteria):
    """Finished at `max_length` tokens, the prompt counted."""

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = max_length
        self.max_position_embeddings = max_position_embeddings

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        return full(input_ids, input_ids.shape[-1] >= self.max_length)


class MaxTimeCriteria(StoppingCriteria):
    """Finished `max_time` seconds after `initial_timestamp` (of `time.time()`; now, when None)."""

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = max_time
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        return full(input_ids, time.time() - self.initial_timestamp > self.max_time)


class EosTokenCriteria(StoppingCriteria):
    """Finished when the last token is one of these."""

    def __init__(self, eos_token_id: int | Sequence[int] | Tensor) -> None:
        self.eos_token_id = token_tensor(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        self.eos_token_id = self.eos_token_id.to(input_ids.device)
        return (input_ids[:, -1:] == self.eos_token_id).any(-1)


class StopStringCriteria(StoppingCriteria):
    """Finished when the last token completes one of these strings, inside the token or at its end.

    Only the tokens that can reach into the string are decoded, so a step costs the same however long the text is.
    A string that ends inside the prompt stops nothing.
    """

    def __init__(self, tokenizer: Any, stop_strings: str | Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.stop_strings = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
        if not self.stop_strings or not all(isinstance(one, str) and one for one in self.stop_strings):
            raise InputTypeError(f"stop_strings must be texts, got {stop_strings!r}.", "Leave empty ones out.")
        # A token holds at least one byte, but for special ones, which decode to their names.
        self.reach = max(len(one.encode()) for one in self.stop_strings) + 8

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        tails = input_ids[:, -self.reach :].tolist()
        return torch.tensor([self.completed(tail) for tail in tails], device=input_ids.device)

    def completed(self, tail: list[int]) -> bool:
        """Whether the last of these tokens completes a stop string."""
        # Bytes of an unfinished character are shown as U+FFFD, and belong to what the last token completes.
        before = len(self.decode(tail[:-1]).rstrip("\ufffd"))
        text = self.decode(tail)
        return any(text.find(one, max(0, before - len(one) + 1)) >= 0 for one in self.stop_strings)

    def decode(self, ids: list[int]) -> str:
        """The text of these tokens as it is, special ones included."""
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) if ids else ""


class StoppingCriteriaList(list[Criterion]):
    """Criteria of which any one finishes a row."""

    def __call__(self, input_ids: Tensor, scores: tuple[Tensor, ...] | None, **kwargs: Any) -> Tensor:
        """Which rows are finished, (rows)."""
        done = full(input_ids, False)
        for criterion in self:
            done = done | torch.as_tensor(criterion(input_ids, scores, **kwargs), device=input_ids.device).bool()
        return done

    @property
    def max_length(self) -> int | None:
        """The length of the first `MaxLengthCriteria`."""
        return next((one.max_length for one in self if isinstance(one, MaxLengthCriteria)), None)


def full(input_ids: Tensor, value: bool) -> Tensor:
    """One boolean for every row."""
    return torch.full((input_ids.shape[0],), value, dtype=torch.bool, device=input_ids.device)
