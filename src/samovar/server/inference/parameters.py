"""Parameters of a request as options of a pipeline: renamed where the field's names differ, bounded, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samovar.server.errors import BadRequestError, UnprocessableError

MOST_TOKENS = 1024
# Parameters that no visitor may set: they would load code, other files, or more than was asked for.
NOT_FOR_VISITORS = frozenset(
    {"trust_remote_code", "device", "model", "tokenizer", "batch_size", "num_workers", "logits_processor",
     "assistant_model", "streamer", "stopping_criteria", "timeout", "return_tensors", "cache_config"}
)  # fmt: skip
# Of what multiplies the work, at most so much.
BOUNDS = {
    "max_new_tokens": MOST_TOKENS, "max_length": MOST_TOKENS, "min_new_tokens": MOST_TOKENS, "num_beams": 8,
    "num_return_sequences": 8, "top_k": 10_000,
}  # fmt: skip
RENAMED = {"stop": "stop_sequence"}
# What servers of the field know and pipelines do not: harmless when it changes nothing.
NOT_HERE = (
    "best_of", "decoder_input_details", "frequency_penalty", "presence_penalty", "grammar", "top_n_tokens", "watermark",
    "adapter_id", "logit_bias", "logprobs", "top_logprobs", "response_format",
)  # fmt: skip
# Of old, parameters of some tasks stood beside the inputs.
BESIDE = ("normalize", "truncate", "truncation_direction", "prompt_name", "dimensions", "encoding_format")


def options_of(
    task: str, parameters: Mapping[str, Any], body: Mapping[str, Any], writes: bool = False
) -> dict[str, Any]:
    """The options that a request's parameters mean. Raises `BadRequestError`, `UnprocessableError`."""
    given = {**parameters, **{name: body[name] for name in BESIDE if name in body}}
    written = given.pop("generate_parameters", None)
    if isinstance(written, Mapping):
        given |= written
    for name in NOT_FOR_VISITORS & set(given):
        raise BadRequestError(f"`{name}` cannot be set by a request.", "Leave it out.")
    options = {RENAMED.get(name, name): bounded(name, value) for name, value in given.items() if value is not None}
    if task == "feature-extraction":
        return of_features(options)
    if writes:
        return of_writing(options)
    return options


def bounded(name: str, value: Any) -> Any:
    """A number within what a visitor may ask for."""
    if name in BOUNDS and isinstance(value, int | float) and not isinstance(value, bool):
        return max(1, min(int(value), BOUNDS[name])) if value == value and abs(value) != float("inf") else 1
    return value


def of_writing(options: dict[str, Any]) -> dict[str, Any]:
    """Options of text that is written."""
    for name in NOT_HERE:
        # 1 of `best_of` and 0 of a penalty change nothing.
        if (value := options.pop(name, None)) not in (None, False, 0, 1, "none", {}, []):
            raise UnprocessableError(f"`{name}={value!r}` is not done here.", "Leave it out.")
    options.pop("details", None)
    options.pop("truncate", None)
    if options.get("temperature") == 0:
        options.pop("temperature")
        options["do_sample"] = False
    elif any(options.get(name) is not None for name in ("temperature", "top_p", "top_k", "typical_p")):
        options.setdefault("do_sample", True)
    return options


def of_features(options: dict[str, Any]) -> dict[str, Any]:
    """Options of vectors: whether they have length 1, and how many numbers they keep."""
    if options.pop("encoding_format", "float") != "float":
        raise UnprocessableError("Vectors are written as numbers here.", 'Leave `encoding_format` at "float".')
    if options.pop("truncation_direction", "right").lower() != "right":
        raise UnprocessableError("Long texts are cut at their end here.", "Leave `truncation_direction` out.")
    options.pop("truncate", None)  # Long texts are always cut.
    if not isinstance(options.get("dimensions", 1), int) or options.get("dimensions", 1) < 1:
        raise BadRequestError("`dimensions` must be a positive number.", "Leave it out for all.")
    return options
