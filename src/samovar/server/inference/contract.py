"""Requests and answers of each task as clients of the inference API write and read them (one JSON form per task)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samovar.server.errors import BadRequestError, UnprocessableError
from samovar.server.inference.inputs import (
    choices,
    labelled_picture,
    labelled_sound,
    labelled_text,
    mapping,
    pair,
    picture,
    question_on_picture,
    sound,
    text,
)
from samovar.server.inference.parameters import options_of

# Tasks whose pipelines write text, piece by piece where they are asked to.
WRITING = frozenset({"text-generation", "text2text-generation", "summarization", "translation"})


@dataclass(frozen=True)
class Call:
    """One call of a pipeline: its input and its options; `stream` asks for the answer in pieces."""

    inputs: Any
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    details: bool = False
    """Whether the client wants to know how the writing ended."""


@dataclass(frozen=True)
class Contract:
    """One task: from a request's JSON or bytes to a call, and from its answer to JSON."""

    read: Callable[[Any, dict[str, Any], dict[str, Any]], Any]
    """(inputs, parameters, whole body) → what the pipeline is given."""
    phrase: Callable[[Any], Any] = lambda answer: answer
    kind: str = "text"
    """What the widget asks for, a key of `samovar.server.web.asking.FIELDS`."""
    options: dict[str, Any] = field(default_factory=dict)
    media: str = ""
    """The type of an answer that is no JSON but a file; its bytes come in base64 under `file`."""


def listed(answer: Any) -> Any:
    """As a list, also where there is one result."""
    return answer if isinstance(answer, list) else [answer]


def doubly_listed(answer: Any) -> Any:
    """Results of one text in a list of its own."""
    return [answer] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else [[answer]] if (
        isinstance(answer, dict)
    ) else answer  # fmt: skip


def ranked(answer: Any) -> Any:
    """`{labels, scores}` as a list of `{label, score}`; of several texts a list of lists."""
    if isinstance(answer, list):
        return answer if answer and "label" in answer[0] else [ranked(one) for one in answer]
    return [{"label": label, "score": score} for label, score in zip(answer["labels"], answer["scores"], strict=True)]


def scores(answer: Any) -> Any:
    """The scores alone, in the order of the sentences."""
    return [one["score"] if isinstance(one, dict) else one for one in answer]


def file_of(answer: Any) -> Any:
    """The file that is the answer: of several, the first."""
    one = answer[0] if isinstance(answer, list) and answer else answer
    return one if isinstance(one, dict) and "file" in one else {"file": one}


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
    "text-generation": Contract(text, listed, kind="writing"),
    "feature-extraction": Contract(text),
    "sentence-similarity": Contract(pair, scores, kind="pair"),
    "multiple-choice": Contract(choices, listed, kind="choices"),
    "image-classification": Contract(picture, listed, kind="image"),
    "image-feature-extraction": Contract(picture, kind="image"),
    "image-segmentation": Contract(picture, listed, kind="image"),
    "object-detection": Contract(picture, listed, kind="image"),
    "depth-estimation": Contract(picture, kind="image"),
    "keypoint-detection": Contract(picture, listed, kind="image"),
    "mask-generation": Contract(picture, kind="image"),
    "image-to-image": Contract(picture, file_of, kind="image", media="image/png"),
    "image-to-text": Contract(picture, listed, kind="image"),
    "zero-shot-image-classification": Contract(labelled_picture, ranked, kind="image-labels"),
    "zero-shot-object-detection": Contract(labelled_picture, listed, kind="image-labels"),
    "visual-question-answering": Contract(question_on_picture, listed, kind="image-question"),
    "document-question-answering": Contract(question_on_picture, listed, kind="image-question"),
    "audio-classification": Contract(sound, listed, kind="audio"),
    "zero-shot-audio-classification": Contract(labelled_sound, ranked, kind="audio-labels"),
    "automatic-speech-recognition": Contract(sound, kind="audio"),
    "text-to-audio": Contract(text, file_of, media="audio/wav"),
}
"""Every task that the API has a form for; which of them run is the library's to say (`Library.runs`)."""


def read_call(task: str, body: Any) -> Call:
    """The call that a request asks for. `body` is parsed JSON, or the bytes of a file.

    Raises `BadRequestError` for what does not have the task's form, `UnprocessableError` for what is not done here.
    """
    contract = CONTRACTS.get(task)
    if contract is None:
        raise UnprocessableError(f"This Hub runs no models for {task}.", f"It runs {', '.join(sorted(CONTRACTS))}.")
    if isinstance(body, bytes):
        return Call(contract.read(body, {}, {}), dict(contract.options))
    if not isinstance(body, dict) or "inputs" not in body:
        raise BadRequestError("There are no `inputs`.", 'Send {"inputs": …, "parameters": {…}}.')
    given = body.get("parameters")
    parameters = dict(given) if isinstance(given, dict) else {}
    inputs = contract.read(body["inputs"], parameters, body)
    options = contract.options | options_of(task, parameters, body, task in WRITING)
    return Call(inputs, options, bool(body.get("stream")), bool(parameters.get("details")))
