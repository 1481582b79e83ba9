"""How long a text may and must become: what the caller, the files and the model's window say, made into two numbers."""

from __future__ import annotations

import logging
from typing import Any

from samovar.errors import ConfigError, InputError
from samovar.generation.config import DEFAULT_NEW_TOKENS, GenerationConfig
from samovar.nn.positions import LearnedPositions, PaddingAwarePositions

logger = logging.getLogger(__name__)


def window(model: Any) -> tuple[int | None, bool]:
    """How many tokens a model was made for, and whether it has no positions beyond them.

    Models with a table of learned positions end where it ends; others only get worse.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    tables = [module for module in model.modules() if isinstance(module, LearnedPositions)]
    if not tables:
        return limit, False
    rows = min(
        table.num_embeddings - ((table.padding_idx or 0) + 1 if isinstance(table, PaddingAwarePositions) else 0)
        for table in tables
    )
    return rows if limit is None else min(rows, limit), True


def set_lengths(
    config: GenerationConfig, chosen: frozenset[str], prompt: int, limit: int | None, hard: bool, encoder_decoder: bool
) -> None:
    """Put the total lengths into `config.max_length` and `config.min_length`.

    `chosen` are the keys that this call set; they win over what a file says. `prompt` is the prompt's length in tokens,
    padding counted. Raises `InputError` for a prompt that leaves no room, `ConfigError` for a minimum above the
    maximum.
    """
    if hard and limit is not None and prompt >= limit:
        raise InputError(
            f"The prompt has {prompt} tokens; this model has {limit} positions, which leaves no room to write.",
            "Shorten it: tokenize with truncation=True and a max_length below that.",
        )
    set_maximum(config, chosen, prompt)
    if limit is not None and config.max_length > limit:
        if hard:
            config.max_length = limit
        logger.log(
            logging.WARNING if chosen & {"max_length", "max_new_tokens"} or not hard else logging.INFO,
            "The model was made for %d tokens: %s.",
            limit,
            "the text ends there" if hard else "what is written beyond them may be worse",
        )
    if prompt >= config.max_length:
        name = "decoder_input_ids have" if encoder_decoder else "prompt has"
        raise InputError(
            f"The {name} {prompt} tokens, and max_length={config.max_length} counts them: nothing can be written.",
            "Raise max_length, or set max_new_tokens, which does not count the prompt.",
        )
    set_minimum(config, chosen, prompt)


def set_maximum(config: GenerationConfig, chosen: frozenset[str], prompt: int) -> None:
    """The total length at which every text ends."""
    if config.max_new_tokens is not None:
        if config.max_length is not None and {"max_length", "max_new_tokens"} <= chosen:
            logger.warning(
                "max_new_tokens=%d and max_length=%d were both given: max_new_tokens counts.",
                config.max_new_tokens,
                config.max_length,
            )
        config.max_length = prompt + config.max_new_tokens
    elif config.max_length is None:
        config.max_length = prompt + DEFAULT_NEW_TOKENS


def set_minimum(config: GenerationConfig, chosen: frozenset[str], prompt: int) -> None:
    """The total length before which no text ends."""
    if config.min_new_tokens is not None:
        if {"min_length", "min_new_tokens"} <= chosen:
            logger.warning("min_new_tokens and min_length were both given: min_new_tokens counts.")
        config.min_length = prompt + config.min_new_tokens
    if config.min_length <= config.max_length:
        return
    minimum = next((key for key in ("min_new_tokens", "min_length") if key in chosen), None)
    maximum = next((key for key in ("max_new_tokens", "max_length") if key in chosen), None)
    if minimum and maximum:
        raise ConfigError(
            f"{minimum}={getattr(config, minimum)} asks for {config.min_length} tokens with the prompt, "
            f"{maximum} allows {config.max_length}.",
            "Lower the minimum or raise the maximum.",
        )
    logger.warning(
        "The minimum of %d tokens is above the maximum of %d: every text gets the maximum.",
        config.min_length,
        config.max_length,
    )
    config.min_length = config.max_length
    config.min_new_tokens = None
