"""Rows that wait on disk: what is written comes back, memory stays flat while adding and while reading."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest

from samovar.evaluate import MetricError, combine, load
from samovar.evaluate.core import Metric
from samovar.evaluate.store import Store


def bytes_on_disk(metric: Metric) -> int:
    """The size of the files of all columns."""
    total = 0
    for store in metric.stores.values():
        assert store.file is not None
        store.file.flush()
        total += os.fstat(store.file.fileno()).st_size
    return total


def test_rows_are_on_disk() -> None:
    metric = load("accuracy")
    metric.add_batch(predictions=np.arange(1000), references=np.arange(1000))
    assert bytes_on_disk(metric) == 2 * 1000 * 8
    metric.reset()
    assert all(store.file is None for store in metric.stores.values())


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", ">i4"])
def test_arrays_come_back_as_they_were(dtype: str) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 2, shape).astype(dtype) for shape in ((3, 4), (1, 7, 2), (0, 5), (5,))]
    maps.append(maps[0].T)
    store = Store("maps", streamed=True)
    store.append(maps)
    for _ in range(2):  # It can be gone through again.
        for found, given in zip(store.read(), maps, strict=True):
            assert found.dtype == given.dtype
            np.testing.assert_array_equal(found, given)


def test_maps_that_waited_are_measured_as_those_given_at_once() -> None:
    rng = np.random.default_rng(1)
    wanted = [rng.integers(0, 4, shape).astype(np.uint8) for shape in ((40, 30), (64, 64), (9, 2))]
    found = [np.where(rng.random(one.shape) < 0.8, one, 3) for one in wanted]
    metric = load("mean_iou")
    for prediction, reference in zip(found, wanted, strict=True):
        metric.add(prediction=prediction, reference=reference)
    assert bytes_on_disk(metric) < 2 * sum(one.nbytes + two.nbytes for one, two in zip(found, wanted, strict=True))
    waited = metric.compute(num_labels=4)
    at_once = load("mean_iou").compute(predictions=found, references=wanted, num_labels=4)
    assert waited["mean_iou"] == at_once["mean_iou"]
    np.testing.assert_array_equal(waited["per_category_iou"], at_once["per_category_iou"])


def peak_of(rows: int) -> int:
    """The most memory, in bytes, that adding and measuring so many rows takes."""
    metric = load("wer")
    tracemalloc.start()
    for _ in range(rows // 500):
        metric.add_batch(predictions=["a" * 300] * 500, references=["b" * 300] * 500)
    assert metric.compute() == {"wer": 1.0}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_error_rates_of_many_rows_leave_memory_flat() -> None:
    peak_of(1000)  # What is imported is no part of the rows.
    # 11,000 rows more are 6.6 MB of text.
    assert peak_of(13_000) - peak_of(2000) < 1 << 20


def test_a_failure_while_reading_loses_no_row() -> None:
    metric = load("wer")
    metric.add_batch(predictions=["a b"] * 3000, references=["a b"] * 2500 + [" "] + ["a b"] * 499)
    with pytest.raises(MetricError, match=r"references\[2500\] is empty"):
        metric.compute()
    with pytest.raises(MetricError, match=r"references\[2500\] is empty"):
        metric.compute(predictions=["c"], references=["c"])
    assert len(metric) == 3000
    metric.add(prediction="c", reference="d")
    assert len(list(metric.stores["references"].read())) == 3001
    assert metric.compute(concatenate_texts=True) == {"wer": pytest.approx(3 / 5999)}


def test_several_metrics_read_their_rows_in_turn() -> None:
    both = combine(["wer", "cer", "exact_match"])
    for _ in range(3):
        both.add_batch(predictions=["tea is hot", "milk"], references=["tea is hot", "silk"])
    assert both.compute() == {"wer": 0.25, "cer": pytest.approx(1 / 14), "exact_match": 0.5}


def test_rows_that_nobody_computes_leave_no_open_file() -> None:
    metric = load("accuracy")
    metric.add(prediction=1, reference=1)
    file = metric.stores["predictions"].file
    assert file is not None
    del metric
    assert file.closed
