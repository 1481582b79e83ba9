"""Confidence intervals: scipy's own on the same draws, and what they are where scipy's is not defined."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

from samovar.evaluate import MetricError, combine, evaluator

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 40)
GUESSES = np.where(RNG.random(40) < 0.6, CLASSES, RNG.integers(0, 3, 40))
DATA = {"text": [str(guess) for guess in GUESSES], "label": CLASSES.tolist()}


def echo(texts: Any, **options: Any) -> list[dict[str, Any]]:
    """A pipeline whose label is the text."""
    return [{"label": text} for text in texts]


def measured(data: Any = DATA, **options: Any) -> dict[str, Any]:
    mapping = {str(one): one for one in range(3)}
    chosen = {"strategy": "bootstrap", "n_resamples": 60, "random_state": 5, "label_mapping": mapping} | options
    return evaluator("text-classification").compute(echo, data, **chosen)


def by_scipy(statistic: Callable[[np.ndarray], float], **options: Any) -> Any:
    return scipy.stats.bootstrap((np.arange(40),), statistic, vectorized=False, rng=5, n_resamples=60, **options)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_every_value_has_the_interval_of_scipy(level: float) -> None:
    found = measured(
        metric=combine(["accuracy", "f1"]), metric_options={"average": "macro"}, confidence_level=level
    )  # fmt: skip
    scores = {
        "accuracy": lambda rows: sk.accuracy_score(CLASSES[rows], GUESSES[rows]),
        "f1": lambda rows: sk.f1_score(CLASSES[rows], GUESSES[rows], average="macro"),
    }
    for name, statistic in scores.items():
        expected = by_scipy(statistic, confidence_level=level)
        assert found[name]["confidence_interval"] == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)
        assert found[name]["standard_error"] == pytest.approx(expected.standard_error, abs=1e-9)
        assert found[name]["score"] == pytest.approx(statistic(np.arange(40)), abs=1e-9)
    assert isinstance(found["latency_in_seconds"], float)


@pytest.mark.slow
def test_draws_are_equal_for_equal_seeds_and_differ_without() -> None:
    assert measured()["accuracy"] == measured()["accuracy"]
    assert measured()["accuracy"] != measured(random_state=6)["accuracy"]
    assert measured(random_state=None)["accuracy"] != measured(random_state=None)["accuracy"]


def test_a_model_that_is_always_right_has_no_error() -> None:
    data = {"text": ["0", "1", "2", "1"], "label": [0, 1, 2, 1]}
    found = measured(data)["accuracy"]
    assert found == {"score": 1.0, "confidence_interval": (1.0, 1.0), "standard_error": 0.0}


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert "confusion_matrix" not in measured(metric="confusion_matrix")
    tags = {"tokens": [["tea"], ["milk"], ["rain"]], "ner_tags": [["B-X"], ["O"], ["B-X"]]}
    found = evaluator("token-classification").compute(
        lambda texts, **options: [
            [{"start": 0, "end": len(text), "entity": "B-X" if text == "tea" else "O"}] for text in texts
        ],
        tags, strategy="bootstrap", n_resamples=30, random_state=0, label_mapping={"B-X": "B-X", "O": "O"},
    )  # fmt: skip
    assert "X" not in found
    assert found["overall_recall"]["score"] == 0.5


def test_questions_may_be_drawn_twice() -> None:
    right = [True, False, True, True, False, True, False, True]
    data = [
        {"id": f"q{k}", "question": "?", "context": "tea", "answers": {"text": ["tea" if good else "milk"]}}
        for k, good in enumerate(right)
    ]
    found = evaluator("question-answering").compute(
        lambda rows, **options: [{"answer": row["context"]} for row in rows],
        data, strategy="bootstrap", n_resamples=60, random_state=5,
    )  # fmt: skip
    points = 100.0 * np.array(right)
    expected = scipy.stats.bootstrap((points,), np.mean, vectorized=False, rng=5, n_resamples=60)
    for name in ("exact_match", "f1"):
        assert found[name]["score"] == points.mean()
        assert found[name]["confidence_interval"] == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)


def test_a_value_that_some_draws_do_not_have_has_no_interval() -> None:
    data = [{"question": "?", "context": "tea", "answers": {"text": texts}} for texts in ([], ["tea"], ["tea"])]
    found = evaluator("question-answering").compute(
        lambda rows, **options: [{"answer": row["context"]} for row in rows],
        data, strategy="bootstrap", n_resamples=60, random_state=5,
    )  # fmt: skip
    assert found["NoAns_exact"]["score"] == 0
    assert all(math.isnan(end) for end in found["NoAns_exact"]["confidence_interval"])
    assert not any(math.isnan(end) for end in found["exact"]["confidence_interval"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confidence_level": 95}, "confidence_level=95"),
        ({"confidence_level": 1.0}, "confidence_level=1.0"),
        ({"n_resamples": 0}, "n_resamples=0"),
        ({"n_resamples": 9.5}, "n_resamples=9.5"),
        ({"data": {"text": ["0"], "label": [0]}}, "draws among rows, and there is one"),
        ({"metric_options": {"averag": "macro"}, "metric": "f1"}, "f1 has no option 'averag'"),
        ({"metric_options": {"averag": "macro"}, "metric": combine(["f1", "recall"])}, "an option 'averag'"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        measured(**options)
