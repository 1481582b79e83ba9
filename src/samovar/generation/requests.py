"""Requests to a batch that never ends: what is asked, how far it is, and what came of it."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from typing import Any

from samovar.errors import ConfigError


class RequestStatus(enum.IntEnum):
    """How far a request is; from FINISHED on nothing more comes."""

    PENDING = 0
    PREFILLING = 1
    DECODING = 2
    FINISHED = 3
    FAILED = 4


@dataclass
class ContinuousBatchingConfig:
    """How much is worked on at once. Raises `ConfigError` for numbers that make no sense.

    `block_size` tokens lie in a block of the cache, of which there are `num_blocks` (None: as many as the longest
    texts need, within `max_memory_percent` of the free memory). A step reads at most `max_batch_tokens` tokens, for
    at most `max_batch_size` texts. `allow_block_sharing` reads the common beginning of texts once;
    `return_logprobs` records the logarithm of each written token's probability.
    """

    block_size: int = 32
    num_blocks: int | None = None
    max_batch_tokens: int | None = None
    max_batch_size: int = 64
    max_memory_percent: float = 0.4
    allow_block_sharing: bool = True
    return_logprobs: bool = False

    def __post_init__(self) -> None:
        for name in ("block_size", "num_blocks", "max_batch_tokens", "max_batch_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} must be a positive int, got {value!r}.", "Leave it out for the default.")
        if not 0 < self.max_memory_percent <= 1:
            raise ConfigError(
                f"max_memory_percent must be above 0 and at most 1, got {self.max_memory_percent!r}.", "Use 0.4."
            )


@dataclass
class GenerationOutput:
    """What came of a request so far; `is_finished` once nothing more comes.

    `lifespan` is when it was admitted and when it ended, in seconds of `time.perf_counter()`; `timestamps` when each
    token was written, if that was asked for; `error` why it failed.
    """

    request_id: str
    prompt_ids: list[int] = field(default_factory=list)
    generated_tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    error: str | None = None
    status: RequestStatus = RequestStatus.PENDING
    created_time: float = field(default_factory=time.perf_counter)
    lifespan: tuple[float, float] = (-1.0, -1.0)
    timestamps: list[float] | None = None

    def is_finished(self) -> bool:
        """Whether it ended, well or not."""
        return self.status >= RequestStatus.FINISHED


@dataclass(eq=False)
class Request:
    """A text that is being written."""

    name: str
    tokens: list[int]  # the prompt, and what was written
    prompt: int  # how many of them are the prompt's
    longest: int  # tokens at which it ends
    ends: frozenset[int]
    processors: list[Any]
    criteria: list[Any]
    draws: Any = None
    streaming: bool = False
    timestamps: list[float] | None = None
    logprobs: list[float] = field(default_factory=list)
    status: RequestStatus = RequestStatus.PENDING
    error: str | None = None
    created: float = field(default_factory=time.perf_counter)
    began: float = -1.0
    ended: float = -1.0
    slot: int = -1
    read: int = 0  # tokens whose keys and values are in the cache
    blocks: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of its full blocks' contents

    def output(self) -> GenerationOutput:
        """What there is of it."""
        return GenerationOutput(
            self.name, self.tokens[: self.prompt], self.tokens[self.prompt :], list(self.logprobs), self.error,
            self.status, self.created, (self.began, self.ended),
            None if self.timestamps is None else list(self.timestamps),
        )  # fmt: skip
