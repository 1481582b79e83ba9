"""Question answering: answers as texts, the best of several counts; and the columns of records that it takes."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from samovar.evaluate.columns import Column, MetricError, is_number, refuse, shown, to_records
from samovar.evaluate.spec import metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


# Records: what each key must hold ---------------------------------------------------------------------------------

Part = tuple[Callable[[Any], bool], str]


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def numbers_under(*keys: str) -> Part:
    """Numbers under these keys."""
    return (
        lambda value: isinstance(value, dict) and all(is_whole(value.get(key)) for key in keys),
        f"a dictionary with whole numbers under {' and '.join(map(repr, keys))}",
    )


TEXT: Part = (lambda value: isinstance(value, str), "text")
TEXTS: Part = (is_texts, "a list of texts")
ID: Part = (lambda value: isinstance(value, str) or is_whole(value), "text or a whole number")
BIT: Part = (lambda value: value in (0, 1), "0 or 1")
NUMBER: Part = (lambda value: is_number(value) and math.isfinite(value), "a finite number")
ANSWERS: Part = (is_texts, '{"text": [texts], …}')


def checked(describes: str, **parts: Part) -> Column:
    """A column of dictionaries, each of whose values is checked; answers become the list of their texts."""
    read = to_records(*parts)

    def convert(values: Any, name: str, first: int) -> list[dict[str, Any]]:
        rows = read(values, name, first)
        for row, record in enumerate(rows, first):
            if parts.get("answers") is ANSWERS:
                record["answers"] = texts_of(record["answers"])
            for key, (fits, due) in parts.items():
                if not fits(record[key]):
                    raise MetricError(f"{name}[{row}][{key!r}] is {shown(record[key])}.", f"It is to be {due}.")
        return rows

    return Column(describes, convert)


def texts_of(answers: Any) -> Any:
    """`{"text": […]}`, one text there, or a list of `{"text": …}` → texts; anything else as it is."""
    if isinstance(answers, list) and all(isinstance(one, dict) and "text" in one for one in answers):
        return [one["text"] for one in answers]
    texts = answers.get("text", answers) if isinstance(answers, dict) else answers
    return [texts] if isinstance(texts, str) and texts is not answers else texts


# Answers ----------------------------------------------------------------------------------------------------------


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces: how the benchmark compares answers."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def word_f1(prediction: str, answer: str, empty: float = 0.0) -> float:
    """F1 of shared words; `empty` where neither has any."""
    found, wanted = normalised(prediction).split(), normalised(answer).split()
    if not found and not wanted:
        return empty
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted))


def best_matches(pairs: list[tuple[str, list[str]]], empty: float = 0.0) -> dict[str, float]:
    """Exact match and F1, by the best of each question's answers, averaged; `empty` is the F1 without any word."""
    exact = [any(normalised(text) == normalised(answer) for answer in answers) for text, answers in pairs]
    shared = [max(word_f1(text, answer, empty) for answer in answers) for text, answers in pairs]
    return {"exact_match": float(np.mean(exact)), "f1": float(np.mean(shared))}


def by_id(predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> list[tuple[Any, list[str]]]:
    """Each question's prediction and answers, in the order of the predictions.

    Raises `MetricError` for ids that are missing or there twice.
    """
    places = {row["id"]: place for place, row in enumerate(predictions)}
    if len(places) < len(predictions):
        raise MetricError("Some ids are predicted twice.", "Give one prediction a question.")
    found = []
    for row, question in enumerate(references):
        if question["id"] not in places:
            raise refuse("references", row, question["id"], "an id without a prediction", "Predict every question.")
        found.append((places[question["id"]], question["answers"]))
    return [(predictions[place], answers) for place, answers in sorted(found, key=lambda pair: pair[0])]


QUESTIONS = checked('{"id", "answers": {"text": […], …}}', id=ID, answers=ANSWERS)


@metric(
    columns={
        "predictions": checked('{"id", "prediction_text"}', id=ID, prediction_text=TEXT),
        "references": QUESTIONS,
    },
    kind="question-answering",
    range="0 … 100",
    formula="exact_match: equal answers; f1: shared words; the best of each question's answers; mean · 100",
    source="Rajpurkar et al., SQuAD, EMNLP 2016",
    library="this package, by the benchmark's definition",
)
def squad(predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, Any]:
    """Spans of text as answers: case, punctuation and English articles do not count.

    Where neither text has another word, F1 is 1, as in squad_v2 (the script of the first SQuAD gives 0).

    >>> predictions = [{"id": "1", "prediction_text": "the Eiffel tower"}]
    >>> references = [{"id": "1", "answers": {"text": ["Eiffel Tower", "tower"], "answer_start": [4, 11]}}]
    >>> load("squad").compute(predictions=predictions, references=references)
    {'exact_match': 100.0, 'f1': 100.0}
    """
    pairs = by_id(predictions, references)
    for prediction, answers in pairs:
        if not answers:
            raise MetricError(f"Question {prediction['id']!r} has no answer.", "Use squad_v2, which knows such.")
    found = best_matches([(prediction["prediction_text"], answers) for prediction, answers in pairs], empty=1.0)
    return {name: 100 * value for name, value in found.items()}


@metric(
    columns={
        "predictions": checked(
            '{"id", "prediction_text", "no_answer_probability"}',
            id=ID,
            prediction_text=TEXT,
            no_answer_probability=NUMBER,
        ),
        "references": QUESTIONS,
    },
    kind="question-answering",
    range="0 … 100",
    formula="as squad; a question without answer is right when the prediction is empty",
    source="Rajpurkar et al., Know what you don't know, ACL 2018",
    library="this package, by the benchmark's definition",
)
def squad_v2(
    predictions: list[dict[str, Any]], references: list[dict[str, Any]], *, no_answer_threshold: float = 1.0
) -> dict[str, Any]:
    """As squad, where some questions have no answer: one whose `no_answer_probability` is above the threshold counts
    as empty. The values named best are those at the best threshold.

    >>> predictions = [{"id": "1", "prediction_text": "", "no_answer_probability": 0.9}]
    >>> result = load("squad_v2").compute(predictions=predictions, references=[{"id": "1", "answers": {"text": []}}])
    >>> result["exact"], result["NoAns_f1"]
    (100.0, 100.0)
    """
    if not is_number(no_answer_threshold):
        raise MetricError(f"no_answer_threshold={shown(no_answer_threshold)}.", "Give a number, such as 0.5.")
    pairs = by_id(predictions, references)
    answered = np.array([bool(answers) for _, answers in pairs])
    silent = np.array([float(p["no_answer_probability"]) for p, _ in pairs])
    # Answers that are nothing but articles or punctuation equal an empty prediction.
    wanted = [[a for a in answers if normalised(a)] or [""] for _, answers in pairs]
    texts = [p["prediction_text"] for p, _ in pairs]
    both_of = list(zip(texts, wanted, strict=True))
    raw = {
        "exact": np.array([max(float(normalised(t) == a) for a in map(normalised, w)) for t, w in both_of]),
        "f1": np.array([max(word_f1(t, a, empty=1.0) for a in w) for t, w in both_of]),
    }
    results: dict[str, Any] = {}
    scores = {name: np.where(silent > no_answer_threshold, ~answered, values) for name, values in raw.items()}
    groups = [("", np.ones(len(pairs), dtype=bool)), ("HasAns_", answered), ("NoAns_", ~answered)]
    for prefix, chosen in groups:
        if chosen.any():
            results |= {f"{prefix}{name}": 100 * float(values[chosen].mean()) for name, values in scores.items()}
            results[f"{prefix}total"] = int(chosen.sum())
    for name, values in raw.items():
        best, threshold = best_threshold(values, silent, answered, np.array([bool(text) for text in texts]))
        results |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
    return results


def best_threshold(
    scores: np.ndarray, silent: np.ndarray, answered: np.ndarray, spoken: np.ndarray
) -> tuple[float, float]:
    """The best mean score when questions are answered in the order of rising silence, and where to stop."""
    order = np.argsort(silent, kind="stable")
    # Answering adds a right answer's score; to a question without answer it takes away the point for silence.
    gains = np.where(answered, scores, np.where(spoken, -1.0, 0.0))[order]
    totals = np.cumsum(np.concatenate([[(~answered).sum()], gains]))
    place = int(totals.argmax())
    return 100 * float(totals[place]) / len(scores), float(silent[order[place - 1]]) if place else 0.0
