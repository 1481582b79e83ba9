"""Results as JSON and as a model card: what they cannot hold is null or left out, never something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

from samovar.evaluate import MetricError, Results, evaluator, load


def refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def test_json_is_strict() -> None:
    found = load("mean_iou").compute(predictions=[[[0, 1]]], references=[[[0, 1]]], num_labels=3)
    read = json.loads(found.to_json(), parse_constant=refuse_constant)
    assert read["per_category_iou"] == [1.0, 1.0, None]
    assert read["mean_iou"] == 1.0
    odd = Results(a=float("inf"), b={"c": [float("nan"), 1]}, d="чай")
    assert json.loads(odd.to_json(), parse_constant=refuse_constant) == {"a": None, "b": {"c": [None, 1]}, "d": "чай"}
    assert "чай" in odd.to_json()


def test_model_cards_hold_scores_with_their_data_set() -> None:
    data = {"text": list("aabb"), "label": ["x", "y", "x", "x"]}
    found = evaluator("text-classification").compute(
        lambda texts, **options: [{"label": "x"} for _ in texts], data, strategy="bootstrap", n_resamples=20
    )
    block = found.to_model_card(
        "kettle", "text-classification", "Reviews", dataset_type="reviews", dataset_config="en", dataset_split="test"
    )
    name, rows = model_index_to_eval_results(yaml.safe_load(block)["model-index"])
    assert name == "kettle"
    [row] = [row for row in rows if row.metric_type == "accuracy"]
    assert row.metric_value == 0.75
    assert (row.task_type, row.dataset_name, row.dataset_type) == ("text-classification", "Reviews", "reviews")
    assert (row.dataset_config, row.dataset_split) == ("en", "test")


def test_model_cards_leave_out_what_is_no_number() -> None:
    block = Results(a=0.5, b=float("nan"), c=[1], d={"f1": 1.0}).to_model_card("kettle", "t", "d")
    _, rows = model_index_to_eval_results(yaml.safe_load(block)["model-index"])
    assert [(row.metric_type, row.metric_value) for row in rows] == [("a", 0.5)]
    with pytest.raises(MetricError, match="None of these results is a number"):
        Results(b=float("nan")).to_model_card("kettle", "t", "d")
