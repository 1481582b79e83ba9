"""Classes that are rare, missing or large: values are stated, and warnings say which class and what decides."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from samovar.evaluate import MetricError, load
from samovar.evaluate.classification import MetricWarning

NEVER = {"predictions": [0, 0, 1, 0], "references": [0, 2, 1, 0]}


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@pytest.mark.parametrize("average", ["macro", "weighted", None])
@pytest.mark.parametrize("value", [0, 1, float("nan")])
def test_a_class_that_is_never_predicted_has_the_value_that_was_chosen(name: str, average: Any, value: float) -> None:
    function = getattr(sk, f"{name}_score")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load(name).compute(**NEVER, average=average, zero_division=value)[name]
    expected = function(NEVER["references"], NEVER["predictions"], average=average, zero_division=value)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "rows", "options", "words", "value"),
    [
        ("precision", NEVER, {"average": "macro"}, r"never predicted: 2\); `zero_division` states the value, 0", 5 / 9),
        (
            "balanced_accuracy",
            {"predictions": [0, 1, 2], "references": [0, 0, 1]},
            {},
            r"not in the references: 2\); the value is scikit-learn's convention",
            0.25,
        ),
        ("matthews_correlation", {"predictions": [1, 1], "references": [1, 1]}, {}, "scikit-learn's convention", 0.0),
    ],
)
def test_the_warning_says_what_decides(
    name: str, rows: dict[str, Any], options: dict[str, Any], words: str, value: float
) -> None:
    with pytest.warns(MetricWarning, match=words):
        found = load(name).compute(**rows, **options)
    assert found[name] == pytest.approx(value)


def test_agreement_of_one_class_is_not_defined() -> None:
    with pytest.warns(MetricWarning, match="cohen_kappa divides by zero"):
        assert math.isnan(load("cohen_kappa").compute(predictions=[1, 1], references=[1, 1])["cohen_kappa"])


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "samples", None])
def test_several_labels_a_row(average: Any) -> None:
    rng = np.random.default_rng(0)
    wanted, found = rng.integers(0, 2, (80, 4)), rng.integers(0, 2, (80, 4))
    for name in ("precision", "recall", "f1"):
        options = {"average": average, "zero_division": 0}
        value = load(name).compute(predictions=found, references=wanted, **options)[name]
        expected = getattr(sk, f"{name}_score")(wanted, found, **options)
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-9)
    exact = load("accuracy").compute(predictions=found, references=wanted)["accuracy"]
    assert exact == pytest.approx((wanted == found).all(1).mean())


@pytest.mark.parametrize("options", [{"weights": "linear"}, {"weights": "quadratic"}, {"labels": [0, 1, 2]}])
def test_kappa(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    wanted, found = rng.integers(0, 3, 90), rng.integers(0, 3, 90)
    value = load("cohen_kappa").compute(predictions=found, references=wanted, **options)["cohen_kappa"]
    assert value == pytest.approx(sk.cohen_kappa_score(wanted, found, **options), abs=1e-9)


def test_yes_and_no_are_classes() -> None:
    assert load("f1").compute(predictions=[True, False], references=[True, True]) == {"f1": pytest.approx(2 / 3)}


def test_classes_are_compared_to_the_last_digit() -> None:
    large = 2**60
    rows = {"predictions": [large, large + 1], "references": [large, large]}
    assert load("accuracy").compute(**rows) == {"accuracy": 0.5}
    arrays = {name: np.array(values) for name, values in rows.items()}
    assert load("accuracy").compute(**arrays) == {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("accuracy", {"predictions": [[1, 0]], "references": [1]}, "accuracy: .*mix of"),
        ("accuracy", {"predictions": [2.0**60], "references": [1]}, "predictions has classes too large for float64"),
        ("accuracy", {"predictions": [2**64 - 1], "references": [1]}, "predictions has classes too large for uint64"),
        ("accuracy", {"predictions": [None], "references": [1]}, r"predictions\[0\] is NoneType, not a number"),
        ("f1", {"predictions": [1, 2], "references": [1, 0]}, "multiclass"),
        ("log_loss", {"references": [0, 1], "predictions": [0.5, 1.5]}, "greater than 1"),
        ("log_loss", {"references": [1, 1], "predictions": [0.5, 0.5]}, "only one label"),
        ("brier_score", {"references": ["a", "b"], "predictions": [0.5, 0.5]}, "pos_label"),
    ],
)
def test_refused(name: str, rows: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load(name).compute(**rows)
