"""Requests and answers of each task as clients of the inference API write and read them (one JSON form per task)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samovar.server.errors import BadRequestError, UnprocessableError

LARGEST_TEXT = 100_000
MOST_TOKENS = 1024
# Parameters that no visitor may set: they would load code, other files, or more than was asked for.
NOT_FOR_VISITORS = frozenset(
    {"trust_remote_code", "device", "model", "tokenizer", "batch_size", "num_workers", "logits_processor"}
)


@dataclass(frozen=True)
class Call:
    """One call of a pipeline: its input, its options, and how the answer is phrased."""

    inputs: Any
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False


@dataclass(frozen=True)
class Contract:
    """One task: from a request's JSON or bytes to a call, and from its answer to JSON."""

    read: Callable[[Any, dict[str, Any]], Any]
    phrase: Callable[[Any], Any] = lambda answer: answer
    kind: str = "text"
    """What the widget asks for: `text`, `pair`, `question`, `table`, `labels`, `image`, `choices`, `chat`."""
    options: dict[str, Any] = field(default_factory=dict)


def text(inputs: Any, parameters: dict[str, Any]) -> Any:
    """A text, or several."""
    many = inputs if isinstance(inputs, list) else [inputs]
    if not many or not all(isinstance(one, str) for one in many):
        raise BadRequestError("`inputs` must be a text, or a list of texts.", 'Send {"inputs": "…"}.')
    if sum(map(len, many)) > LARGEST_TEXT:
        raise BadRequestError("The text is too long.", f"Send at most {LARGEST_TEXT:,} characters.")
    return inputs


def mapping(*names: str) -> Callable[[Any, dict[str, Any]], Any]:
    """A mapping with these keys."""

    def read(inputs: Any, parameters: dict[str, Any]) -> Any:
        if not isinstance(inputs, dict) or any(name not in inputs for name in names):
            raise BadRequestError(f"`inputs` must have {' and '.join(names)}.", "See the example on the model's page.")
        return {name: inputs[name] for name in inputs}

    return read


def labelled_text(inputs: Any, parameters: dict[str, Any]) -> Any:
    """A text, with the labels to choose from among the parameters."""
    if not parameters.get("candidate_labels"):
        raise BadRequestError("There are no labels to choose from.", 'Send {"parameters": {"candidate_labels": […]}}.')
    return text(inputs, parameters)


def picture(inputs: Any, parameters: dict[str, Any]) -> Any:
    """An image: the bytes of a file, in base64 when in JSON."""
    if isinstance(inputs, bytes):
        return inputs
    try:
        plain = inputs.partition("base64,")[2] or inputs if isinstance(inputs, str) else ""
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            "`inputs` is no image in base64.", "Send the file itself, or its bytes in base64."
        ) from error


def listed(answer: Any) -> Any:
    """As a list, also where there is one result."""
    return answer if isinstance(answer, list) else [answer]


def doubly_listed(answer: Any) -> Any:
    """Results of one text in a list of its own."""
    return [answer] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else [[answer]] if (
        isinstance(answer, dict)
    ) else answer  # fmt: skip


def ranked(answer: Any) -> Any:
    """`{labels, scores}` as a list of `{label, score}`."""
    return [{"label": label, "score": score} for label, score in zip(answer["labels"], answer["scores"], strict=True)]


def scores(answer: Any) -> Any:
    """The scores alone, in the order of the sentences."""
    return [one["score"] if isinstance(one, dict) else one for one in answer]


CONTRACTS: dict[str, Contract] = {
    "text-classification": Contract(text, doubly_listed, options={"top_k": None}),
    "token-classification": Contract(text, listed, options={"aggregation_strategy": "simple"}),
    "question-answering": Contract(mapping("question", "context"), kind="question"),
    "table-question-answering": Contract(mapping("query", "table"), kind="table"),
    "zero-shot-classification": Contract(labelled_text, ranked, kind="labels"),
    "fill-mask": Contract(text, listed),
    "summarization": Contract(text, listed),
    "translation": Contract(text, listed),
    "text2text-generation": Contract(text, listed),
    "text-generation": Contract(text, listed, kind="chat"),
    "feature-extraction": Contract(text),
    "sentence-similarity": Contract(mapping("source_sentence", "sentences"), scores, kind="pair"),
    "multiple-choice": Contract(mapping("prompt", "choices"), kind="choices"),
    "image-classification": Contract(picture, listed, kind="image"),
    "image-feature-extraction": Contract(picture, kind="image"),
}


def read_call(task: str, body: Any) -> Call:
    """The call that a request asks for. `body` is parsed JSON, or the bytes of a file. Raises `BadRequestError`."""
    contract = CONTRACTS.get(task)
    if contract is None:
        raise UnprocessableError(f"This Hub runs no models for {task}.", f"It runs {', '.join(sorted(CONTRACTS))}.")
    if isinstance(body, bytes):
        return Call(contract.read(body, {}), dict(contract.options))
    if not isinstance(body, dict) or "inputs" not in body:
        raise BadRequestError("There are no `inputs`.", 'Send {"inputs": …, "parameters": {…}}.')
    given = body.get("parameters")
    parameters = dict(given) if isinstance(given, dict) else {}
    # Of old, parameters of some tasks stood beside the inputs.
    parameters |= {
        name: value for name, value in body.items() if name in ("normalize", "truncate") and value is not None
    }
    for name in NOT_FOR_VISITORS & set(parameters):
        raise BadRequestError(f"`{name}` cannot be set by a request.", "Leave it out.")
    options = contract.options | {name: value for name, value in parameters.items() if value is not None}
    for name in ("max_new_tokens", "max_length"):
        if isinstance(options.get(name), int | float):
            options[name] = max(1, min(int(options[name]), MOST_TOKENS))
    if task == "feature-extraction":
        options = {
            name: value for name, value in options.items() if name not in ("normalize", "truncate", "prompt_name")
        }
    return Call(contract.read(body["inputs"], parameters), options, bool(body.get("stream")))
