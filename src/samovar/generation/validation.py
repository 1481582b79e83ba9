"""Checks of decoding options that need no model: one line per rule, the cause and the way out in each."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

from samovar.errors import ConfigError


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


Rule = tuple[Callable[[Any], bool], str]

POSITIVE: Rule = (lambda v: is_number(v) and v > 0, "a number above 0")
UNIT: Rule = (lambda v: is_number(v) and 0 <= v <= 1, "a number from 0 to 1")
COUNT: Rule = (lambda v: is_count(v) and v >= 0, "a whole number, 0 or more")
AT_LEAST_ONE: Rule = (lambda v: is_count(v) and v >= 1, "a whole number, 1 or more")
NUMBER: Rule = (is_number, "a number")
TOKENS: Rule = (
    lambda v: is_count(v) or (isinstance(v, list | tuple) and len(v) > 0 and all(is_count(one) for one in v)),
    "a token id or a list of token ids",
)
TOKEN: Rule = (is_count, "a token id")
TOKEN_LIST: Rule = (
    lambda v: isinstance(v, list | tuple) and all(is_count(one) for one in v),
    "a list of token ids",
)

RULES: dict[str, Rule] = {
    "max_length": AT_LEAST_ONE,
    "max_new_tokens": AT_LEAST_ONE,
    "min_length": COUNT,
    "min_new_tokens": COUNT,
    "max_time": POSITIVE,
    "early_stopping": (lambda v: v is True or v is False or v == "never", "True, False or 'never'"),
    "stop_strings": (
        lambda v: (
            (isinstance(v, str) and v != "")
            or (isinstance(v, list | tuple) and len(v) > 0 and all(isinstance(one, str) and one for one in v))
        ),
        "a text or a list of texts, none of them empty",
    ),
    "num_beams": AT_LEAST_ONE,
    "num_return_sequences": AT_LEAST_ONE,
    "temperature": (lambda v: is_number(v) and v >= 0, "a number above 0"),
    "top_k": COUNT,
    "top_p": UNIT,
    "min_p": UNIT,
    "top_h": (lambda v: is_number(v) and 0 < v <= 1, "a number above 0, up to 1"),
    "typical_p": (lambda v: is_number(v) and 0 < v <= 1, "a number above 0, up to 1"),
    "epsilon_cutoff": (lambda v: is_number(v) and 0 <= v < 1, "a number from 0, below 1"),
    "eta_cutoff": (lambda v: is_number(v) and 0 <= v < 1, "a number from 0, below 1"),
    "repetition_penalty": POSITIVE,
    "encoder_repetition_penalty": POSITIVE,
    "length_penalty": NUMBER,
    "no_repeat_ngram_size": COUNT,
    "encoder_no_repeat_ngram_size": COUNT,
    "eos_token_id": TOKENS,
    "pad_token_id": TOKEN,
    "bos_token_id": TOKEN,
    "forced_bos_token_id": TOKENS,
    "forced_eos_token_id": TOKENS,
    "suppress_tokens": TOKEN_LIST,
    "begin_suppress_tokens": TOKEN_LIST,
    "exponential_decay_length_penalty": (
        lambda v: isinstance(v, list | tuple) and len(v) == 2 and all(is_number(one) for one in v),
        "a pair: after how many tokens, and the factor",
    ),
    "prompt_lookup_num_tokens": AT_LEAST_ONE,
    "max_matching_ngram_size": AT_LEAST_ONE,
    "num_assistant_tokens": AT_LEAST_ONE,
    "seed": TOKEN,
}


def check(config: Any) -> None:
    """Raise `ConfigError` for a value of the wrong kind, or for values that exclude each other."""
    for key, (holds, expected) in RULES.items():
        value = getattr(config, key)
        if value is not None and not holds(value):
            raise ConfigError(f"{key} must be {expected}, got {value!r}.", "Change it, or leave it out.")
    if config.do_sample and config.temperature == 0:
        raise ConfigError("temperature=0 leaves nothing to sample.", "Pass do_sample=False for the most likely token.")
    beams, wanted = config.num_beams or 1, config.num_return_sequences or 1
    if wanted > 1 and beams == 1 and not config.do_sample:
        raise ConfigError(
            f"num_return_sequences={wanted}, but greedy decoding has one answer.",
            "Pass do_sample=True, or num_beams of at least as many.",
        )
    if beams > 1 and wanted > beams:
        raise ConfigError(
            f"num_return_sequences={wanted} is more than num_beams={beams}.", "Raise num_beams, or ask for fewer."
        )
    suppressed = set(config.suppress_tokens or ())
    for key in ("forced_bos_token_id", "forced_eos_token_id"):
        value = getattr(config, key)
        forced = set() if value is None else {value} if isinstance(value, int) else set(value)
        if forced and forced <= suppressed:
            raise ConfigError(
                f"{key}={value} is also in suppress_tokens, which forbids it.", "Take it out of one of the two."
            )


def check_supported(config: Any) -> None:
    """Raise `ConfigError` for strategies that this library does not have, rather than decode otherwise."""
    absent = {
        "num_beam_groups": config.num_beam_groups not in (None, 1),
        "diversity_penalty": bool(config.diversity_penalty),
        "penalty_alpha": bool(config.penalty_alpha),
        "dola_layers": config.dola_layers is not None,
        "constraints": config.constraints is not None,
        "force_words_ids": config.force_words_ids is not None,
        "token_healing": bool(config.token_healing),
        "watermarking_config": config.watermarking_config is not None,
    }
    known = (None, "dynamic", "static", "hybrid", "sliding_window", "int8", "quantized")
    if config.cache_implementation not in known:
        raise ConfigError(
            f"Unknown cache_implementation {config.cache_implementation!r}.",
            "'int8' takes a quarter of the memory; every other cache is taken ahead, and slides where the model does.",
        )
    bits = (config.cache_config or {}).get("nbits", 8) if isinstance(config.cache_config, dict | None) else 8
    if config.cache_implementation == "quantized" and bits != 8:
        raise ConfigError(f"A cache of {bits} bits is not built.", "Use cache_implementation='int8'.")
    asked = [key for key, used in absent.items() if used]
    if asked:
        raise ConfigError(
            f"{', '.join(asked)}: this library has no such decoding strategy.",
            "Leave it out; `logits_processor` takes any callable that changes scores.",
        )
