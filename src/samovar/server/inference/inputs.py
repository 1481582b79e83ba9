"""What a request gives a task, checked and bounded: texts, mappings, pictures and sounds (as bytes or in base64)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from samovar.server.errors import BadRequestError

LARGEST_TEXT = 100_000
MOST_LABELS = 1000
Read = Callable[[Any, dict[str, Any], dict[str, Any]], Any]


@dataclass(frozen=True)
class File:
    """The bytes of a picture or sound; `kind` says to the worker what to make of them."""

    kind: str
    data: bytes


def text(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A text, or several."""
    many = inputs if isinstance(inputs, list) else [inputs]
    if not many or not all(isinstance(one, str) for one in many):
        raise BadRequestError("`inputs` must be a text, or a list of texts.", 'Send {"inputs": "…"}.')
    within(sum(map(len, many)))
    return inputs


def mapping(*names: str) -> Read:
    """A mapping with these keys."""

    def read(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
        if not isinstance(inputs, dict) or any(name not in inputs for name in names):
            raise BadRequestError(f"`inputs` must have {' and '.join(names)}.", "See the example on the model's page.")
        within(length_of(inputs))
        return dict(inputs)

    return read


def pair(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A sentence and those to compare it with."""
    found = mapping("source_sentence", "sentences")(inputs, parameters, body)
    if not isinstance(found["sentences"], list) or not 0 < len(found["sentences"]) <= MOST_LABELS:
        raise BadRequestError("`sentences` must be a list of texts.", f"Send 1 to {MOST_LABELS:,} of them.")
    return found


def choices(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A question, a context or both, and the choices."""
    found = mapping("choices")(inputs, parameters, body)
    if "prompt" in found:  # As cards write it.
        found["question"] = found.pop("prompt")
    if not isinstance(found["choices"], list) or len(found["choices"]) > MOST_LABELS:
        raise BadRequestError("`choices` must be a list of texts.", f"Send 1 to {MOST_LABELS:,} of them.")
    return found


def labels_of(parameters: dict[str, Any]) -> None:
    """Check the labels to choose from."""
    given = parameters.get("candidate_labels")
    if not given:
        raise BadRequestError("There are no labels to choose from.", 'Send {"parameters": {"candidate_labels": […]}}.')
    if isinstance(given, list) and len(given) > MOST_LABELS:
        raise BadRequestError("There are too many labels to choose from.", f"Send at most {MOST_LABELS:,}.")


def labelled_text(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A text, with the labels to choose from among the parameters."""
    labels_of(parameters)
    return text(inputs, parameters, body)


def picture(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """An image: the bytes of a file, in base64 when in JSON."""
    return File("image", decoded(inputs, "image"))


def sound(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A sound: the bytes of a file, in base64 when in JSON."""
    return File("audio", decoded(inputs, "sound"))


def labelled_picture(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """An image, with the labels to choose from among the parameters."""
    labels_of(parameters)
    return picture(inputs, parameters, body)


def labelled_sound(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A sound, with the labels to choose from among the parameters."""
    labels_of(parameters)
    return sound(inputs, parameters, body)


def question_on_picture(inputs: Any, parameters: dict[str, Any], body: dict[str, Any]) -> Any:
    """A question on an image: both in `inputs`, or the question beside them."""
    both = inputs if isinstance(inputs, dict) else {"image": inputs, "question": body.get("question")}
    if not isinstance(both.get("question"), str) or not both["question"].strip():
        raise BadRequestError("There is no question.", 'Send {"inputs": {"image": …, "question": "…"}}.')
    return {"image": File("image", decoded(both.get("image"), "image")), "question": both["question"][:LARGEST_TEXT]}


def decoded(inputs: Any, what: str) -> bytes:
    """The bytes of a file that came bare, in base64 or as a `data:` address."""
    if isinstance(inputs, bytes):
        return inputs
    try:
        plain = inputs.partition("base64,")[2] or inputs if isinstance(inputs, str) else ""
        data = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            f"`inputs` is no {what} in base64.", "Send the file itself, or its bytes in base64."
        ) from error
    if not data:
        raise BadRequestError(f"There is no {what}.", "Send the file itself, or its bytes in base64.")
    return data


def within(characters: int) -> None:
    """Raise `BadRequestError` for more text than a visitor may send."""
    if characters > LARGEST_TEXT:
        raise BadRequestError("The text is too long.", f"Send at most {LARGEST_TEXT:,} characters.")


def length_of(value: Any) -> int:
    """Characters of all texts inside a value; each part counts at least one, so that empty ones are bounded too."""
    if isinstance(value, dict):
        return sum(length_of(key) + length_of(one) for key, one in value.items())
    if isinstance(value, list):
        return sum(map(length_of, value)) + 1
    return len(value) + 1 if isinstance(value, str) else 1
