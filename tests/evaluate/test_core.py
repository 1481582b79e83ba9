"""Metrics as objects: adding, computing, combining, results; and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCardData

from samovar import evaluate
from samovar.evaluate import MetricError, combine, list_metrics, load


def test_batches_rows_and_one_call_are_alike() -> None:
    rng = np.random.default_rng(0)
    predictions, references = rng.integers(0, 3, 100), rng.integers(0, 3, 100)
    expected = load("f1").compute(predictions=predictions, references=references, average="macro")
    metric = load("f1")
    for start in range(0, 90, 15):
        metric.add_batch(predictions=predictions[start : start + 15], references=references[start : start + 15])
    for prediction, reference in zip(predictions[90:95], references[90:95], strict=True):
        metric.add(prediction=prediction, reference=reference)
    assert len(metric) == 95
    assert metric.compute(predictions=predictions[95:], references=references[95:], average="macro") == expected
    assert len(metric) == 0


@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor, pd.Series, iter])
def test_columns_come_in_many_forms(form: Callable[[list[int]], Any]) -> None:
    column = form([0, 1, 1])
    assert load("accuracy").compute(predictions=column, references=[0, 1, 0]) == {"accuracy": pytest.approx(2 / 3)}


def test_a_million_rows_leave_memory_flat() -> None:
    metric = load("accuracy")
    texts = load("exact_match")
    rng = np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(100):
        rows = rng.integers(0, 5, 10_000)
        metric.add_batch(predictions=rows, references=rows)
    for _ in range(20):
        lines = ["some words of a sentence that is long enough to be seen in memory"] * 1000
        texts.add_batch(predictions=lines, references=lines)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(metric) == 1_000_000
    assert kept < 1 << 20
    assert peak < 4 << 20
    assert metric.compute() == {"accuracy": 1.0}
    assert texts.compute() == {"exact_match": 1.0}


def test_a_failure_loses_no_row() -> None:
    metric = load("f1")
    metric.add_batch(predictions=[0, 1, 2], references=[0, 1, 1])
    for options in ({}, {"average": "most"}, {"averag": "macro"}):
        with pytest.raises(MetricError):
            metric.compute(predictions=[1], references=[2], **options)
    with pytest.raises(MetricError):
        metric.add_batch(predictions=[1, 2], references=[1])
    assert len(metric) == 3
    assert metric.compute(average="micro") == {"f1": pytest.approx(2 / 3)}
    both = combine(["accuracy", "f1"])
    both.add_batch(predictions=[0, 1, 2], references=[0, 1, 1])
    with pytest.raises(MetricError, match="needs an average"):
        both.compute(predictions=[2], references=[2])
    assert both.compute(average="micro") == {"accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("f1", {"predictions": [], "references": []}, "nothing to compute: no rows"),
        ("f1", {}, "nothing to compute: no rows"),
        ("f1", {"predictions": [1]}, "lacks references"),
        ("f1", {"predictions": [1, 0], "references": [1]}, "unequal lengths: 2 predictions, 1 references"),
        ("f1", {"predictions": [1, "0"], "references": [1, 0]}, r"predictions\[0\] is no text, while others are: 1"),
        ("f1", {"predictions": ["1", "0"], "references": [1, 0]}, "predictions are text, references are numbers"),
        ("f1", {"predictions": [0.5, 1], "references": [1, 0]}, r"predictions\[0\] is a score, not a class: 0.5"),
        ("f1", {"predictions": [1, float("nan")], "references": [1, 0]}, r"predictions\[1\] is not finite: nan"),
        ("f1", {"predictions": "10", "references": [1, 0]}, "predictions is str, a list is due"),
        ("f1", {"predictions": 1, "references": [1, 0]}, "predictions is int, a list is due"),
        ("f1", {"prediction": [1], "references": [1]}, r"no option 'prediction'.[^A]*Did you mean 'predictions'"),
        ("mse", {"predictions": [1, "2"], "references": [1, 2]}, r"predictions\[1\] is text, not a number: '2'"),
        ("mse", {"predictions": [1, None], "references": [1, 2]}, r"predictions\[1\] is NoneType, not a number"),
        ("mse", {"predictions": [[1, 2], [1]], "references": [[1, 2], [1, 2]]}, "rows of unequal lengths"),
        ("rouge", {"predictions": [5], "references": ["text"]}, r"predictions\[0\] is int, not text: 5"),
        ("bleu", {"predictions": ["text"], "references": [[]]}, r"references\[0\] is neither a text nor a list"),
        ("bleu", {"predictions": ["text"], "references": [None]}, r"references\[0\] is neither a text nor a list"),
        ("seqeval", {"predictions": ["O"], "references": [["O"]]}, r"predictions\[0\] is no list of tags"),
        ("squad", {"predictions": [{"id": 1}], "references": [{}]}, r"predictions\[0\] lacks 'prediction_text'"),
        ("mean_iou", {"predictions": [[0.5]], "references": [[0]]}, r"predictions\[0\] is no array of whole numbers"),
        ("mrr", {"predictions": [[1.5]], "references": [[1]]}, r"predictions\[0\] is no identifier: 1.5"),
    ],
)
def test_inputs_that_do_not_fit(name: str, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load(name).compute(**inputs)


def test_kinds_do_not_change_between_batches() -> None:
    metric = load("accuracy")
    metric.add_batch(predictions=[1], references=[1])
    with pytest.raises(MetricError, match="held numbers before, and now text"):
        metric.add_batch(predictions=["a"], references=["a"])
    with pytest.raises(MetricError, match=r"rows of shape \(\) before, and now \(2,\)"):
        metric.add_batch(predictions=[[1, 0]], references=[[1, 0]])
    assert metric.compute() == {"accuracy": 1.0}


def test_names_that_there_are_not() -> None:
    with pytest.raises(MetricError, match="Did you mean 'accuracy'"):
        load("acuracy")
    with pytest.raises(MetricError, match="glue needs a configuration"):
        load("glue")
    with pytest.raises(MetricError, match="glue has no configuration 'mprc'"):
        load("glue", "mprc")
    with pytest.raises(MetricError, match="no kind 'sound'"):
        list_metrics("sound")
    with pytest.raises(MetricError, match="nothing to combine"):
        combine([])
    with pytest.raises(MetricError, match="its own process"):
        load("f1", num_process=2)
    assert {"accuracy", "f1", "precision", "recall"} <= set(list_metrics("classification"))
    details = list_metrics("regression", with_details=True)
    assert all(row["description"] and row["range"] for row in details)


def test_combining() -> None:
    rows = {"predictions": [0, 1, 0], "references": [0, 1, 1]}
    assert list(combine(["accuracy", "f1"]).compute(**rows)) == ["accuracy", "f1"]
    assert list(combine(["accuracy", "accuracy"]).compute(**rows)) == ["accuracy_0_accuracy", "accuracy_1_accuracy"]
    assert list(combine({"a": "accuracy", "b": load("f1")}).compute(**rows)) == ["a_accuracy", "b_f1"]
    mixed = combine(["f1", "roc_auc"])
    assert mixed.compute(**rows, prediction_scores=[0.1, 0.9, 0.4]).keys() == {"f1", "roc_auc"}
    one = combine(["precision", "recall"])
    for prediction, reference in zip(*rows.values(), strict=True):
        one.add(prediction=prediction, reference=reference)
    assert one.compute() == {"precision": 1.0, "recall": 0.5}
    with pytest.raises(MetricError, match="has an option 'averge'"):
        one.compute(averge="macro")
    with pytest.raises(MetricError, match="no column 'predicted'"):
        one.add_batch(predicted=[1], references=[1])


def test_a_metric_describes_itself() -> None:
    metric = load("roc_auc")
    assert metric.name == "roc_auc"
    assert set(metric.features) == {"references", "prediction_scores"}
    assert "Fawcett" in metric.citation
    for part in ("**Range**", "**Formula**", "`prediction_scores`", "`max_fpr=None`", ">>> load("):
        assert part in metric.inputs_description
    assert repr(metric).startswith("Metric('roc_auc'): The area under")


def test_results_become_json_and_model_cards(tmp_path: Path) -> None:
    results = load("confusion_matrix").compute(predictions=[0, 1], references=[0, 1])
    assert json.loads(results.to_json(tmp_path / "new" / "results.json")) == {"confusion_matrix": [[1, 0], [0, 1]]}
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == {"confusion_matrix": [[1, 0], [0, 1]]}
    with pytest.raises(MetricError, match="None of these results is a number"):
        results.to_model_card("kettle", "text-classification", "reviews")
    scores = combine(["accuracy", "f1"]).compute(predictions=[0, 1], references=[0, 1])
    import yaml

    block = yaml.safe_load(scores.to_model_card("kettle", "text-classification", "reviews", dataset_split="test"))
    read = ModelCardData(**block, ignore_metadata_errors=False).eval_results
    assert [(row.metric_type, row.metric_value, row.dataset_split) for row in read] == [
        ("accuracy", 1.0, "test"),
        ("f1", 1.0, "test"),
    ]
    path = evaluate.save(tmp_path, **scores, hyperparameters={"lr": 2e-5})
    saved = json.loads(path.read_text("utf-8"))
    assert saved["accuracy"] == 1.0
    assert saved["hyperparameters"] == {"lr": 2e-5}
    assert "_timestamp" in saved
    assert evaluate.save(tmp_path / "own.json", **scores) == tmp_path / "own.json"


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from samovar import evaluate; evaluate.list_metrics();"
        "print(sorted(m for m in ('torch', 'sklearn', 'scipy', 'nltk', 'sacrebleu', 'pandas') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
