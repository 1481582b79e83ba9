"""Data sets as columns: every form, splits, lazy reading, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from samovar.evaluate import MetricError
from samovar.evaluate.table import Table

COLUMNS = {"text": ["tea", "milk", "rain"], "label": [1, 0, 1]}
ROWS = [{"text": "tea", "label": 1}, {"text": "milk", "label": 0}, {"text": "rain", "label": 1}]
FORMS = {
    "dataset": lambda: datasets.Dataset.from_dict(COLUMNS),
    "iterable dataset": lambda: datasets.Dataset.from_dict(COLUMNS).to_iterable_dataset(),
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "rows": lambda: ROWS,
    "generator": lambda: iter(ROWS),
    "columns": lambda: COLUMNS,
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    table = Table(FORMS[form]())
    assert table.names == ["text", "label"]
    assert table.rows == 3
    assert table.column("text") == ["tea", "milk", "rain"]
    assert table.column("label") == [1, 0, 1]
    assert all(type(value) is int for value in table.column("label"))
    assert table.class_names("label") is None


def test_splits() -> None:
    parts = {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("train", "validation", "test", "extra")}
    every = datasets.DatasetDict(parts)
    assert Table(every).column("text") == ["test"]
    assert Table(every, split="extra").column("text") == ["extra"]
    assert Table(datasets.DatasetDict(train=parts["train"], validation=parts["validation"])).column("text") == [
        "validation"
    ]
    with pytest.raises(MetricError, match=r"no split 'dev'.[^I]*It has train, validation, test, extra"):
        Table(every, split="dev")


def test_a_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reviews").mkdir()
    for name in ("train", "test"):
        pd.DataFrame({"text": [name, name]}).to_csv(tmp_path / "reviews" / f"{name}.csv", index=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert Table(str(tmp_path / "reviews")).column("text") == ["test", "test"]
    assert Table(str(tmp_path / "reviews"), split="train[:1]").column("text") == ["train"]


@pytest.mark.parametrize("iterable", [False, True])
def test_the_data_may_name_its_classes(iterable: bool) -> None:
    names = datasets.ClassLabel(names=["good", "bad"])
    features = datasets.Features({"label": names, "tags": datasets.List(names)})
    data = datasets.Dataset.from_dict({"label": [0, 1], "tags": [[0], [1, 1]]}, features=features)
    table = Table(data.to_iterable_dataset() if iterable else data)
    assert table.class_names("label") == ["good", "bad"]
    assert table.class_names("tags") == ["good", "bad"]


def test_values_are_made_when_they_are_asked_for() -> None:
    seen = []

    class Reader:
        """A column whose values are costly."""

        def __len__(self) -> int:
            return 1000

        def __iter__(self) -> Any:
            for row in range(1000):
                seen.append(row)
                yield row

    stream = iter(Table({"image": Reader()}).stream("image"))
    assert [next(stream), next(stream)] == [0, 1]
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "holds no rows"),
        ([1, 2], "holds no rows"),
        (5, "holds no rows"),
        (None, "holds no rows"),
        ({}, "no columns"),
        ({"text": []}, "has no rows"),
        (pd.DataFrame({"text": []}), "has no rows"),
        ({"text": ["a", "b"], "label": [1]}, r"unequal lengths: \[1, 2\]"),
        ([{"text": "a", "label": 1}, {"text": "b"}], r"data\[1\] has no 'label', which data\[0\] has"),
    ],
)
def test_what_is_no_table(data: Any, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        Table(data)
