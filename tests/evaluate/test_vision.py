"""Maps and boxes: random data measured by the library directly, crowds and sizes, and wrong input by row."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samovar.evaluate import MetricError, load

NAMES = "map map_50 map_75 map_small map_medium map_large mar_1 mar_10 mar_100 mar_small mar_medium mar_large".split()  # noqa: SIM905
ONE = {"boxes": [[10, 10, 60, 60]], "labels": [0]}
FOUND = ONE | {"scores": [0.9]}


def scenes(images: int = 12) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Images with boxes of all sizes, found with errors: shifted, missed, doubled, of another class."""
    rng = np.random.default_rng(3)
    found, wanted = [], []
    for _ in range(images):
        count = int(rng.integers(0, 6))
        corner, size = (
            rng.random((count, 2)) * 300,
            rng.choice([15, 60, 150], (count, 1)) * (0.6 + rng.random((count, 2))),
        )
        labels = rng.integers(0, 3, count)
        boxes = np.concatenate([corner, corner + size], axis=1)
        wanted.append({"boxes": boxes, "labels": labels, "iscrowd": (rng.random(count) < 0.15).astype(int)})
        chosen = rng.integers(0, count, count + 1) if count else np.zeros(0, dtype=int)
        shift = rng.normal(size=(len(chosen), 2)) * 6
        guesses = np.where(rng.random(len(chosen)) < 0.8, labels[chosen], 1) if count else chosen
        found.append(
            {
                "boxes": boxes[chosen] + np.concatenate([shift, shift], axis=1),
                "labels": guesses,
                "scores": rng.random(len(chosen)),
            }
        )
    return found, wanted


def directly(found: list[dict[str, Any]], wanted: list[dict[str, Any]], folder: Path) -> np.ndarray:
    """What the library's own way over files gives."""

    def rows(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "image_id": image + 1,
                "category_id": int(row["labels"][k]) + 1,
                "bbox": [float(x), float(y), float(a - x), float(b - y)],
                "area": float((a - x) * (b - y)),
                "iscrowd": int(row["iscrowd"][k]) if "iscrowd" in row else 0,
                **({"score": float(row["scores"][k])} if "scores" in row else {}),
            }
            for image, row in enumerate(images)
            for k, (x, y, a, b) in enumerate(row["boxes"])
        ]

    truth = [one | {"id": k} for k, one in enumerate(rows(wanted), 1)]
    content = {
        "images": [{"id": image + 1} for image in range(len(wanted))],
        "annotations": truth,
        "categories": [{"id": label} for label in (1, 2, 3)],
        "info": {},
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(rows(found)))
    with contextlib.redirect_stdout(io.StringIO()):
        truth_side = COCO(str(folder / "truth.json"))
        run = COCOeval(truth_side, truth_side.loadRes(str(folder / "found.json")), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def test_random_boxes_as_by_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, wanted = scenes()
    expected = directly(found, wanted, tmp_path)
    result = load("mean_average_precision").compute(predictions=found, references=wanted)
    assert list(result) == NAMES
    np.testing.assert_allclose(list(result.values()), expected, rtol=0, atol=1e-9)
    assert 0.1 < result["map"] < 0.9
    assert capsys.readouterr().out == ""


def test_boxes_added_one_by_one_by_corner_and_size() -> None:
    found, wanted = scenes()
    expected = load("mean_average_precision").compute(predictions=found, references=wanted)

    def sized(row: dict[str, Any]) -> dict[str, Any]:
        boxes = np.asarray(row["boxes"]).reshape(-1, 4)
        return row | {"boxes": np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)}

    metric = load("mean_average_precision")
    for prediction, reference in zip(found, wanted, strict=True):
        metric.add(prediction=sized(prediction), reference=sized(reference))
    assert metric.compute(box_format="xywh") == pytest.approx(expected, abs=1e-9)


def test_crowds_areas_and_other_keys() -> None:
    crowd = {"boxes": [[10, 10, 60, 60], [90, 90, 200, 200]], "labels": [0, 0]}
    guess = {"boxes": [[10, 10, 60, 60], [100, 100, 120, 120]], "labels": [0, 0], "scores": [0.9, 0.95]}
    metric = load("mean_average_precision")
    assert metric.compute(predictions=[guess], references=[crowd])["map"] < 0.5
    assert metric.compute(predictions=[guess], references=[crowd | {"iscrowd": [0, 1]}])["map"] == pytest.approx(1)
    small = metric.compute(predictions=[FOUND | {"image_id": 7}], references=[ONE | {"area": [100], "id": 7}])
    assert small["map_small"] == pytest.approx(1)
    assert small["map_large"] == -1
    named = {"boxes": [[10, 10, 60, 60]], "labels": ["cat"]}
    assert metric.compute(predictions=[named | {"scores": [1]}], references=[named])["map"] == pytest.approx(1)


def test_nothing_found_is_zero() -> None:
    nothing = {"boxes": np.zeros((0, 4)), "labels": [], "scores": []}
    assert load("mean_average_precision").compute(predictions=[nothing], references=[ONE])["map"] == 0


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        ({"boxes": [["a", 1, 2, 3]]}, r"predictions\[1\] has no finite number: 'a'"),
        ({"boxes": [[float("nan"), 1, 2, 3]]}, r"predictions\[1\] has no finite number: nan"),
        ({"scores": [float("inf")]}, r"predictions\[1\] has no finite number: inf"),
        ({"scores": ["0.9"]}, r"predictions\[1\] has no finite number: '0.9'"),
        ({"scores": 0.9}, r"predictions\[1\] has no list of scores: 0.9"),
        ({"boxes": None}, r"predictions\[1\] has no list of boxes: None"),
        ({"boxes": [1, 2, 3, 4], "scores": [1] * 4, "labels": [0] * 4}, "has a box that is not four numbers: 1"),
        ({"labels": [0.5]}, r"predictions\[1\] has a label that is none: 0.5"),
        ({"labels": ["cat"]}, "Some labels are text, others numbers"),
        ({"boxes": [[60, 60, 10, 10]]}, "Image 1 has a box of negative size"),
    ],
)
def test_wrong_boxes_are_named_by_row(prediction: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load("mean_average_precision").compute(predictions=[FOUND, FOUND | prediction], references=[ONE, ONE])


def test_box_formats_that_there_are_not() -> None:
    with pytest.raises(MetricError, match="no box format 'yxyx'"):
        load("mean_average_precision").compute(predictions=[FOUND], references=[ONE], box_format="yxyx")


def test_maps_by_hand() -> None:
    rng = np.random.default_rng(0)
    wanted = [rng.integers(0, 6, (7, 9)) for _ in range(5)]
    found = [np.where(rng.random(one.shape) < 0.7, one, rng.integers(0, 6, one.shape)) for one in wanted]
    # Class 0 is the background, 4 counts as 2, 6 is nowhere.
    both: dict[int, int] = dict.fromkeys(range(5), 0)
    either, true = dict(both), dict(both)
    for predicted, reference in zip(found, wanted, strict=True):
        for guess, label in zip(predicted.ravel().tolist(), reference.ravel().tolist(), strict=True):
            label = 2 if label == 4 else label
            if label == 0:
                continue
            label, guess = label - 1, guess % 5
            both[label] += label == guess
            true[label] += 1
            for one in {label, guess}:
                either[one] += 1
    result = load("mean_iou").compute(
        predictions=[one % 5 for one in found], references=wanted, num_labels=6, label_map={"4": 2}, reduce_labels=True
    )
    iou = [both[k] / either[k] for k in range(5)]
    np.testing.assert_allclose(result["per_category_iou"], [*iou, np.nan], rtol=0, atol=1e-9)
    assert result["mean_iou"] == pytest.approx(np.mean(iou), abs=1e-9)
    recalls = [both[k] / true[k] for k in range(5) if true[k]]
    assert result["mean_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-9)
    assert result["overall_accuracy"] == pytest.approx(sum(both.values()) / sum(true.values()), abs=1e-9)


def test_maps_may_be_images() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 1]], dtype=np.uint8))
    result = load("mean_iou").compute(predictions=[image], references=[[[0, 1], [1, 0]]], num_labels=2)
    assert result["overall_accuracy"] == 0.75


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs num_labels, got None"),
        ({"num_labels": "2"}, "needs num_labels, got '2'"),
        ({"num_labels": 0}, "needs num_labels, got 0"),
        ({"num_labels": 2, "label_map": {"a": 1}}, "label_map={'a': 1}"),
        ({"num_labels": 2, "label_map": [0, 1]}, r"label_map=\[0, 1\]"),
    ],
)
def test_options_of_maps_that_mean_nothing(options: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load("mean_iou").compute(predictions=[[[0, 1]]], references=[[[0, 1]]], **options)
