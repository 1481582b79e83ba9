"""Segmentation maps and boxes against the true ones."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samovar.evaluate.columns import MAPS, Column, MetricError, as_sequence, is_number, plain, refuse, shown
from samovar.evaluate.spec import metric
from samovar.extras import require


@metric(
    columns={"predictions": MAPS, "references": MAPS},
    kind="vision",
    range="0 … 1",
    formula="mean over classes of pixels in both / pixels in either",
    source="Everingham et al., The PASCAL visual object classes challenge, IJCV 111, 2015",
    library="numpy",
)
def mean_iou(
    predictions: list[np.ndarray],
    references: list[np.ndarray],
    *,
    num_labels: int | None = None,
    ignore_index: int = 255,
    nan_to_num: float | None = None,
    label_map: Mapping[int, int] | None = None,
    reduce_labels: bool = False,
) -> dict[str, Any]:
    """Semantic segmentation: how far predicted and true regions of a class overlap.

    Pixels whose reference is `ignore_index` do not count. `label_map` renames classes of the references;
    `reduce_labels` takes 0 for the background: it is ignored and all others move down by one. Classes that are in
    neither give NaN (or `nan_to_num`) and are left out of the means.

    >>> result = load("mean_iou").compute(predictions=[[[0, 1], [1, 1]]], references=[[[0, 0], [1, 1]]], num_labels=2)
    >>> result["per_category_iou"].round(3).tolist(), result["overall_accuracy"]
    ([0.5, 0.667], 0.75)
    """
    if not isinstance(num_labels, int | np.integer) or num_labels < 1:
        raise MetricError(f"mean_iou needs num_labels, got {num_labels!r}.", "Pass the number of classes.")
    try:
        # Text where a mapping came out of JSON.
        renamed = {int(old): int(new) for old, new in (label_map or {}).items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise MetricError(f"label_map={label_map!r}.", "Map whole numbers to whole numbers.") from error
    counts = np.zeros((num_labels, num_labels), dtype=np.int64)  # rows: true class, columns: predicted
    for row, (found, wanted) in enumerate(zip(predictions, references, strict=True)):
        if found.shape != wanted.shape:
            raise MetricError(f"Row {row}: maps of {found.shape} and of {wanted.shape}.", "Resize one to the other.")
        counts += overlap(row, found, wanted, num_labels, ignore_index, renamed, reduce_labels)
    true, predicted, same = counts.sum(1), counts.sum(0), np.diag(counts)
    union = true + predicted - same
    with np.errstate(invalid="ignore"):
        iou, correct = same / union, same / true
    if not counts.sum():
        raise MetricError("Every pixel is ignored.", "Check ignore_index and the references.")
    results: dict[str, Any] = {
        "mean_iou": float(np.nanmean(iou)),
        "mean_accuracy": float(np.nanmean(correct)),
        "overall_accuracy": float(same.sum() / true.sum()),
        "per_category_iou": iou,
        "per_category_accuracy": correct,
    }
    if nan_to_num is not None:
        results = {key: np.nan_to_num(value, nan=nan_to_num) for key, value in results.items()}
    return results


def overlap(
    row: int,
    found: np.ndarray,
    wanted: np.ndarray,
    classes: int,
    ignored: int,
    names: Mapping[int, int],
    reduce: bool,
) -> np.ndarray:
    """One image's pixels by true and predicted class."""
    wanted = wanted.astype(np.int64)
    if names:
        before = wanted.copy()
        for old, new in names.items():
            wanted[before == old] = new
    if reduce:
        wanted = np.where((wanted == 0) | (wanted == ignored), ignored, wanted - 1)
    kept = wanted != ignored
    true, predicted = wanted[kept], found[kept].astype(np.int64)
    for name, values in (("references", true), ("predictions", predicted)):
        outside = values[(values < 0) | (values >= classes)]
        if outside.size:
            raise refuse(name, row, int(outside[0]), f"a class outside 0 … {classes - 1}", "Check num_labels.")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


OPTIONAL = ("iscrowd", "area")


def to_boxes(*keys: str) -> Any:
    """A converter for images' boxes: dictionaries of equally long lists; other keys are left out."""

    def convert(values: Any, name: str, first: int) -> list[dict[str, Any]]:
        rows = []
        for row, value in enumerate(as_sequence(values, name), first):
            if not isinstance(value, Mapping) or any(key not in value for key in keys):
                raise refuse(name, row, value, "no dictionary of boxes", f"Its keys: {', '.join(keys)}.")
            lists = {key: plain(value[key]) for key in (*keys, *OPTIONAL) if key in value}
            for key, items in lists.items():
                if not isinstance(items, list):
                    raise MetricError(f"{name}[{row}] has no list of {key}: {shown(items)}.", "Give one entry a box.")
            if len({len(items) for items in lists.values()}) > 1:
                raise MetricError(f"{name}[{row}] has lists of unequal lengths.", "One entry a box in each.")
            check_boxes(name, row, lists)
            rows.append(lists)
        return rows

    return convert


def check_boxes(name: str, row: int, lists: Mapping[str, list[Any]]) -> None:
    """Raise `MetricError` for what is no box, number or label."""
    for box in lists["boxes"]:
        if not isinstance(box, list) or len(box) != 4:
            raise MetricError(f"{name}[{row}] has a box that is not four numbers: {shown(box)}.", "Give x, y, x, y.")
    numbers = [*lists["boxes"], *(lists[key] for key in ("scores", *OPTIONAL) if key in lists)]
    for number in itertools.chain.from_iterable(numbers):
        if not is_number(number) or not math.isfinite(number):
            raise MetricError(f"{name}[{row}] has no finite number: {shown(number)}.", "Leave such boxes out.")
    for label in lists["labels"]:
        if isinstance(label, bool) or not isinstance(label, int | str):
            raise MetricError(f"{name}[{row}] has a label that is none: {shown(label)}.", "Whole numbers, or strings.")


DETECTED = Column('{"boxes": (n, 4), "scores": (n), "labels": (n)} an image', to_boxes("boxes", "scores", "labels"))
TRUE = Column('{"boxes": (n, 4), "labels": (n)} an image; optional iscrowd, area', to_boxes("boxes", "labels"))


@metric(
    columns={
        "predictions": DETECTED,
        "references": TRUE,
    },
    kind="vision",
    range="0 … 1; -1 where nothing of a size is there",
    formula="mean over classes and overlaps (0.5, 0.55, …, 0.95) of the area under precision against recall",
    source="Lin et al., Microsoft COCO, ECCV 2014",
    library="pycocotools",
)
def mean_average_precision(
    predictions: list[dict[str, Any]], references: list[dict[str, Any]], *, box_format: str = "xyxy"
) -> dict[str, Any]:
    """Detection: `map`, at one overlap (`map_50`, `map_75`), by size of object, and recall (`mar_…`).

    `box_format`: `xyxy` (corners) or `xywh` (corner and size), in pixels. `iscrowd` marks a box around many objects,
    inside which found boxes neither help nor harm; `area` is the object's where it is not its box's.

    >>> boxes = {"boxes": [[10, 10, 60, 60]], "labels": [0]}
    >>> result = load("mean_average_precision").compute(predictions=[boxes | {"scores": [0.9]}], references=[boxes])
    >>> round(result["map"], 4), round(result["map_50"], 4)
    (1.0, 1.0)
    """
    if box_format not in ("xyxy", "xywh"):
        raise MetricError(f"There is no box format {box_format!r}.", "Use xyxy or xywh.")
    truth = as_annotations(references, box_format, crowds=True)
    if not truth:
        raise MetricError("The references hold no box.", "There is nothing to find.")
    labels = sorted({label for row in (*references, *predictions) for label in row["labels"]}, key=str)
    if len({type(label) for label in labels}) > 1:
        raise MetricError("Some labels are text, others numbers.", "Use either throughout.")
    coco = require("pycocotools.coco", "mean_average_precision").COCO
    evaluation = require("pycocotools.cocoeval", "mean_average_precision").COCOeval
    images = [{"id": index} for index in range(len(references))]
    with contextlib.redirect_stdout(io.StringIO()):  # The library reports on standard output.
        wanted = coco()
        wanted.dataset = {"images": images, "annotations": truth, "categories": [{"id": one} for one in labels]}
        wanted.createIndex()
        found = coco()
        detected = as_annotations(predictions, box_format, crowds=False)
        found.dataset = {"images": images, "annotations": detected, "categories": wanted.dataset["categories"]}
        found.createIndex()
        run = evaluation(wanted, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    names = "map map_50 map_75 map_small map_medium map_large mar_1 mar_10 mar_100 mar_small mar_medium mar_large"
    return {name: float(value) for name, value in zip(names.split(), run.stats, strict=True)}


def as_annotations(rows: Sequence[Mapping[str, Any]], box_format: str, crowds: bool) -> list[dict[str, Any]]:
    """Boxes as the library takes them: corner and size, numbered from 1."""
    found: list[dict[str, Any]] = []
    for image, row in enumerate(rows):
        for place, (box, label) in enumerate(zip(row["boxes"], row["labels"], strict=True)):
            x, y, w, h = (float(value) for value in box)
            if box_format == "xyxy":
                w, h = w - x, h - y
            if w < 0 or h < 0:
                raise MetricError(f"Image {image} has a box of negative size: {box}.", "Check box_format.")
            one = {"id": len(found) + 1, "image_id": image, "category_id": label, "bbox": [x, y, w, h]}
            one |= {"area": float(row["area"][place]) if "area" in row else w * h}
            one |= {"iscrowd": int(row["iscrowd"][place]) if crowds and "iscrowd" in row else 0}
            found.append(one if crowds else one | {"score": float(row["scores"][place])})
    return found
