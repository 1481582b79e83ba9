"""`GenerationConfig`: how a model decodes, as `generation_config.json` holds it.

A key that nobody set is `None`. What decoding runs with is laid together by `layered`: the call's own arguments, then
the `GenerationConfig` of the call, then the model's, then `DEFAULTS`.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from samovar.config import parse_config, source_options
from samovar.errors import ConfigError, did_you_mean
from samovar.generation.validation import check
from samovar.hub.publish import Shareable, shares

if TYPE_CHECKING:
    from samovar.config import Config

logger = logging.getLogger(__name__)

GENERATION_FILE = "generation_config.json"

# Key → what holds where nobody set it; every key of the file format that decoding reads stands here.
DEFAULTS: dict[str, Any] = {
    # Length
    "max_length": None,
    "max_new_tokens": None,
    "min_length": 0,
    "min_new_tokens": None,
    "early_stopping": False,
    "max_time": None,
    "stop_strings": None,
    # Strategy
    "do_sample": False,
    "num_beams": 1,
    "use_cache": True,
    "cache_implementation": None,
    "cache_config": None,
    "seed": None,
    # Scores
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "renormalize_logits": False,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "sequence_bias": None,
    "guidance_scale": None,
    # Outputs
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
    "return_dict_in_generate": False,
    # Special tokens
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "decoder_start_token_id": None,
    # Drafts
    "num_assistant_tokens": 20,
    "num_assistant_tokens_schedule": "constant",
    "assistant_confidence_threshold": 0.4,
    "prompt_lookup_num_tokens": None,
    "max_matching_ngram_size": 2,
    # Kept, because files hold them; a value that would change the result is refused when decoding starts.
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "penalty_alpha": None,
    "dola_layers": None,
    "constraints": None,
    "force_words_ids": None,
    "token_healing": None,
    "watermarking_config": None,
    "low_memory": None,
}
# How many tokens are written where no length was given at all.
DEFAULT_NEW_TOKENS = 20
OUTPUT_FLAGS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")
PAIRS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
# Bookkeeping of the programs that wrote the file.
TRANSIENT = ("_from_model_config", "_commit_hash", "transformers_version")


class GenerationConfig(Shareable):
    """The decoding options of a model or of one call; every key is an attribute, `None` where nobody set it.

    Keys beyond the known ones are kept and written back. `seed` is this library's own: it makes a sample repeatable
    without touching the global random state.

    Raises `ConfigError` for a value or a combination that no decoding can follow.
    """

    def __init__(self, **values: Any) -> None:
        for key in DEFAULTS:
            self.__dict__[key] = None
        self.__dict__.update({key: value for key, value in values.items() if key not in TRANSIENT})
        check(self)

    # Reading and writing ------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **overrides: Any) -> Any:
        """From a file's content; `overrides` win. With `return_unused_kwargs=True`: `(config, overrides not used)`."""
        return_unused = overrides.pop("return_unused_kwargs", False)
        config = cls(**config_dict)
        unused = config.update(**overrides)
        return (config, unused) if return_unused else config

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name: str | Path, config_file_name: str | None = None, **kwargs: Any
    ) -> Any:
        """Read `generation_config.json` of a folder or repository; other keyword arguments override its values.

        Raises `FileMissingError` where there is none, `CorruptFileError` where it is not JSON.
        """
        from samovar.hub.source import Source

        source = Source(pretrained_model_name, **source_options(kwargs))
        path = source.require(config_file_name or GENERATION_FILE, why="It holds the decoding options.")
        return cls.from_dict(parse_config(path), **kwargs)

    @classmethod
    def from_model_config(cls, model_config: Config | Mapping[str, Any]) -> Self:
        """The decoding options that stand in a model's configuration, as older checkpoints have them."""
        values = dict(model_config) if isinstance(model_config, Mapping) else model_config.to_dict()
        inner: dict[str, Any] = next(
            (values[name] for name in ("decoder", "generator", "text_config") if isinstance(values.get(name), dict)), {}
        )
        merged = drop_none({**inner, **drop_none(values)})
        config = cls(**{key: value for key, value in merged.items() if key in DEFAULTS and value != DEFAULTS[key]})
        if values.get("force_bos_token_to_be_generated"):
            config.forced_bos_token_id = config.bos_token_id
        if any(getattr(config, flag) for flag in OUTPUT_FLAGS):
            config.return_dict_in_generate = True
        return config

    def to_dict(self) -> dict[str, Any]:
        """Every key, those that nobody set as `None`."""
        return copy.deepcopy(self.__dict__)

    def to_diff_dict(self) -> dict[str, Any]:
        """The keys that are set."""
        return drop_none(self.to_dict())

    def to_json_string(self, use_diff: bool = True) -> str:
        """The keys that are set (or all of them) as JSON, sorted; token tuples become lists of pairs."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        if isinstance(values.get("sequence_bias"), dict):
            values["sequence_bias"] = [[list(ids), bias] for ids, bias in values["sequence_bias"].items()]
        try:
            return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        except TypeError as error:
            raise ConfigError(
                f"A value cannot be written as JSON: {error}.", "Use numbers, texts and lists."
            ) from error

    @shares
    def save_pretrained(self, save_directory: str | Path, config_file_name: str | None = None) -> None:
        """Write `generation_config.json` into a folder, beside the old one first, then renamed over it."""
        from samovar.hub.atomic import write_file

        Path(save_directory).mkdir(parents=True, exist_ok=True)
        write_file(Path(save_directory) / (config_file_name or GENERATION_FILE), self.to_json_string())

    # Use ----------------------------------------------------------------------------------------------------------

    def validate(self) -> None:
        """Raise `ConfigError` for values that no decoding can follow."""
        check(self)

    def update(self, **values: Any) -> dict[str, Any]:
        """Set known keys; returns the arguments that are no key of this configuration."""
        unused = {key: value for key, value in values.items() if key not in self.__dict__}
        self.__dict__.update({key: value for key, value in values.items() if key in self.__dict__})
        check(self)
        return unused

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"GenerationConfig has no key {name!r}. {did_you_mean(name, DEFAULTS)}".rstrip())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_diff_dict() == other.to_diff_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"GenerationConfig {self.to_json_string()}"


def drop_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are set."""
    return {key: value for key, value in values.items() if value is not None}


def layered(
    own: GenerationConfig, given: GenerationConfig | None, arguments: Mapping[str, Any]
) -> tuple[GenerationConfig, dict[str, Any], frozenset[str]]:
    """What one call decodes with, the arguments that are no decoding options, and the keys that the call set itself.

    `own` is the model's configuration, `given` the one of the call, `arguments` the call's keyword arguments.
    """
    call = {} if given is None else drop_none(given.__dict__)
    known = {**DEFAULTS, **own.__dict__, **call}
    options = {key: value for key, value in arguments.items() if key in known}
    rest = {key: value for key, value in arguments.items() if key not in known}
    values = dict(DEFAULTS)
    for layer in (drop_none(own.__dict__), call, options):
        for one, other in PAIRS:
            # Two ways to say the same: the one said nearer to the call counts.
            if layer.get(one) is not None:
                values[other] = DEFAULTS[other]
            if layer.get(other) is not None:
                values[one] = DEFAULTS[one]
        values.update(layer)
    merged = GenerationConfig(**copy.deepcopy(values))
    for key, value in DEFAULTS.items():
        # A call's None takes back what the model's file says; strategies still need their neutral value.
        if getattr(merged, key) is None and value is not None:
            setattr(merged, key, 0 if key == "top_k" else value)
    chosen = frozenset(drop_none({**call, **options}))
    if not merged.do_sample:
        idle = sorted(chosen & {"temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"})
        if idle:
            logger.warning("%s: without effect, because do_sample is not set.", ", ".join(idle))
    return merged, rest, chosen
