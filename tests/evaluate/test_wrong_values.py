"""Ranking, regression and speech at the edges: wrong options and values are refused, odd ones have a stated value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samovar.evaluate import MetricError, load


@pytest.mark.parametrize(
    ("name", "rows", "options", "words"),
    [
        ("mrr", {"predictions": [["a"]], "references": [["a"]]}, {"k": 0}, r"k=\[0\]"),
        ("mrr", {"predictions": [["a"]], "references": [["a"]]}, {"k": -1}, r"k=\[-1\]"),
        ("mrr", {"predictions": [["a"]], "references": [["a"]]}, {"k": [1, 2]}, "k="),
        ("mrr", {"predictions": [["1"]], "references": [[1]]}, {}, "Some identifiers are text, others numbers"),
        ("recall_at_k", {"predictions": [["a"]], "references": [["a"]]}, {"k": 1.5}, "k=1.5"),
        ("recall_at_k", {"predictions": [["a"]], "references": [["a"]]}, {"k": "3"}, "k='3'"),
        ("recall_at_k", {"predictions": [["a"]], "references": [["a"]]}, {"k": []}, r"k=\[\]"),
        ("recall_at_k", {"predictions": [["a"]], "references": [["a"]]}, {"k": True}, "k=True"),
        ("recall_at_k", {"predictions": [[1]], "references": [["1"]]}, {}, "Some identifiers are text, others numbers"),
        ("recall_at_k", {"predictions": [["a"]] * 2, "references": [["a"], []]}, {}, r"references\[1\] is empty"),
        ("ndcg", {"predictions": [[0.1, 0.2]], "references": [[-1, 0]]}, {}, "negative"),
        ("ndcg", {"predictions": [[0.1]], "references": [[1]]}, {}, "more than 1 document"),
        ("ndcg", {"predictions": [0.1, 0.2], "references": [1, 0]}, {}, "rows of scores and of relevances"),
        ("ndcg", {"predictions": [[0.1, 0.2]], "references": [[1, 0]]}, {"k": 0}, "'k' parameter"),
        ("mse", {"predictions": [1, 2], "references": [1, 2]}, {"sample_weight": [1]}, "inconsistent numbers"),
        ("mase", {"predictions": [1], "references": [2]}, {"training": [1, 2], "periodicity": "1"}, "periodicity='1'"),
        ("mase", {"predictions": [1], "references": [2]}, {"training": [1, 2], "periodicity": 0}, "periodicity=0"),
        ("mase", {"predictions": [1], "references": [2]}, {"training": [1, "2"]}, r"training\[1\] is text"),
        (
            "mase",
            {"predictions": [[1, 2]], "references": [[2, 2]]},
            {"training": [1, 2]},
            r"training has rows of shape",
        ),
        ("wer", {"predictions": ["a", "b"], "references": ["a", "\u00a0"]}, {}, r"references\[1\] is empty"),
        ("cer", {"predictions": ["a"], "references": [" \n\t"]}, {}, r"references\[0\] is empty"),
        ("wer", {"predictions": ["", ""], "references": ["", ""]}, {"concatenate_texts": True}, "is empty"),
    ],
)
def test_refused(name: str, rows: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load(name).compute(**rows, **options)


def test_stated_values() -> None:
    # Nothing relevant in one of two rows.
    rows = {"predictions": [[0.9, 0.1], [0.9, 0.1]], "references": [[0, 0], [1, 0]]}
    assert load("ndcg").compute(**rows) == {"ndcg": 0.5}
    assert load("mrr").compute(predictions=[["a"], []], references=[["a"], ["b"]]) == {"mrr": 0.5}
    # An item that is ranked twice counts once.
    twice = {"predictions": [["a", "a", "b"]], "references": [["a", "b"]]}
    assert load("recall_at_k").compute(**twice, k=np.array([2, 3])) == {"recall_at_2": 0.5, "recall_at_3": 1.0}
    assert load("recall_at_k").compute(predictions=[[1]], references=[{1, 2}], k=np.int64(5)) == {"recall_at_5": 0.5}
    assert load("r_squared").compute(predictions=[1, 2], references=[2, 2]) == {"r_squared": 0.0}
    assert load("r_squared").compute(predictions=[2, 2], references=[2, 2]) == {"r_squared": 1.0}
    assert load("smape").compute(predictions=[0, 0], references=[0, 4]) == {"smape": 1.0}
    assert load("mape").compute(predictions=[1.0], references=[0.0])["mape"] > 1e15
    assert load("wer").compute(predictions=["a b c d"], references=["a"]) == {"wer": 3.0}
    assert load("wer").compute(predictions=["чай tea 茶"], references=["чай tea 水"]) == {"wer": pytest.approx(1 / 3)}
    assert load("wer").compute(predictions=["a", ""], references=["a", ""], concatenate_texts=True) == {"wer": 0.0}


def test_outputs_are_weighed_as_scikit_learn_weighs_them() -> None:
    rng = np.random.default_rng(0)
    wanted, found, series = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)), rng.normal(size=(12, 2))
    rows = {"predictions": found, "references": wanted}
    error = np.abs(found - wanted).mean(0)
    naive = np.abs(series[3:] - series[:-3]).mean(0)
    share = (2 * np.abs(found - wanted) / (np.abs(found) + np.abs(wanted))).mean(0)
    options = {"multioutput": "raw_values"}
    scaled = load("mase").compute(**rows, training=series, periodicity=3, **options)["mase"]
    np.testing.assert_allclose(scaled, error / naive, rtol=0, atol=1e-9)
    np.testing.assert_allclose(load("smape").compute(**rows, **options)["smape"], share, rtol=0, atol=1e-9)
    weighed = load("mae").compute(**rows, multioutput=[0.3, 0.7])["mae"]
    assert weighed == pytest.approx(error @ [0.3, 0.7], abs=1e-9)


@pytest.mark.slow
def test_a_hundred_thousand_words() -> None:
    words = [f"w{k % 97}" for k in range(100_000)]
    heard = ["x" if k % 10 == 0 else word for k, word in enumerate(words)]
    assert load("wer").compute(predictions=[" ".join(heard)], references=[" ".join(words)]) == {"wer": 0.1}
