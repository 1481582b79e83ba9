"""Calling a pipeline: one input, lists, streams, datasets; batched answers equal single ones."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import TEXTS, Build, labels, same

from samovar import pipeline

TOXIC = labels("neutral", "toxic", "spam")
MANY = [" ".join(TEXTS[:k]) for k in (1, 2, 1, 3, 2, 2, 1)] + [f"cat {'dog ' * (n % 30)}" for n in range(120)]


@pytest.fixture
def classify(build: Build) -> Any:
    return pipeline("text-classification", model=build("bert", "BertForSequenceClassification", **TOXIC), top_k=None)


def test_the_import_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from samovar import pipeline, AutoModelForSequenceClassification\n"
        "from samovar.pipelines import PIPELINE_REGISTRY\n"
        "assert 'sentiment-analysis' in PIPELINE_REGISTRY.get_supported_tasks()\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'tokenizers', 'PIL', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [None, 1, 3, 64])
def test_batched_answers_equal_single_ones(classify: Any, batch_size: int | None) -> None:
    single = [classify({"text": text}) for text in MANY]
    assert same(classify(MANY, batch_size=batch_size), single, tolerance=1e-5)
    assert same(list(classify(iter(MANY), batch_size=batch_size)), single, tolerance=1e-5)


def test_batches_are_formed_behind_the_scenes(classify: Any) -> None:
    shapes: list[tuple[int, ...]] = []
    masks: list[bool] = []

    def watch(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        shapes.append(tuple(kwargs["input_ids"].shape))
        masks.append(kwargs.get("attention_mask") is not None)
        assert torch.is_inference_mode_enabled()

    hook = classify.model.register_forward_pre_hook(watch, with_kwargs=True)
    classify(MANY)
    assert len(shapes) < len(MANY) / 4
    assert sum(rows for rows, _ in shapes) == len(MANY)
    shapes.clear()
    masks.clear()
    classify(MANY, batch_size=2)
    assert max(rows for rows, _ in shapes) == 2
    masks.clear()
    classify(["good film"] * 9)
    assert masks == [False]
    masks.clear()
    classify(["good film", "dog"] * 9)
    assert True in masks or len(masks) == 2
    hook.remove()


def test_a_generator_streams_lazily_and_in_order(classify: Any) -> None:
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        for number in count():
            read += 1
            yield MANY[number % len(MANY)]

    results = classify(source())
    assert read == 0
    first = list(islice(results, 150))
    assert same(first, classify([MANY[number % len(MANY)] for number in range(150)]), tolerance=1e-5)
    assert read <= 150 + 2 * classify.limits(None).window
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("samovar")]


def test_batch_size_1_reads_one_input_at_a_time(classify: Any) -> None:
    asked = ["cat"]

    def dialogue() -> Iterator[str]:
        while len(asked) < 4:
            yield asked[-1]

    for result in classify(dialogue(), batch_size=1):
        asked.append(result[0]["label"])
    assert len(asked) == 4


class Rows(torch.utils.data.Dataset[str]):
    def __len__(self) -> int:
        return len(TEXTS)

    def __getitem__(self, index: int) -> str:
        return TEXTS[index]


def test_datasets_and_loaders_are_streams(classify: Any) -> None:
    import datasets

    expected = classify(TEXTS)
    table = datasets.Dataset.from_dict({"text": TEXTS, "label": [0] * len(TEXTS)})
    loader = torch.utils.data.DataLoader(Rows(), batch_size=2)
    by_column = torch.utils.data.DataLoader(table, batch_size=3)
    for source in (Rows(), table, table["text"], loader, by_column):
        results = classify(source)
        assert not isinstance(results, list)
        assert len(results) == len(TEXTS)
        assert same(list(results), expected, tolerance=1e-5)
    with pytest.raises(TypeError):
        len(classify(iter(TEXTS)))


def test_plain_containers_give_lists(classify: Any) -> None:
    expected = classify(TEXTS)
    assert same(classify(tuple(TEXTS)), expected)
    assert same(classify(np.array(TEXTS)), expected)
    assert classify([]) == []
    assert list(classify(iter([]))) == []


def test_a_short_list_needs_no_thread(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread.name), start(thread))[1])
    classify("cat")
    classify(TEXTS)
    assert not started
    classify(MANY)
    assert any(name.startswith("samovar-prepare") for name in started)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_list_that_takes_long_shows_a_bar_on_a_terminal(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, stream, shown in ((60, Terminal(), False), (0, Terminal(), True), (0, io.StringIO(), False)):
        monkeypatch.setattr("samovar.pipelines.base.BAR_AFTER", seconds)
        monkeypatch.setattr("sys.stderr", stream)
        assert len(classify(MANY)) == len(MANY)
        assert (f"{len(MANY)}/{len(MANY)}" in stream.getvalue()) is shown


def test_the_model_is_ready_for_use_and_named_where_it_runs(classify: Any) -> None:
    assert not classify.model.training
    assert "BertForSequenceClassification" in repr(classify)
    assert str(classify.device) in repr(classify)
    assert classify.predict("cat") == classify.transform("cat") == classify("cat")


def test_saving_makes_a_folder_that_answers_alike(classify: Any, tmp_path: Any) -> None:
    classify.save_pretrained(tmp_path / "saved")
    again = pipeline(model=tmp_path / "saved", top_k=None)
    assert same(again(TEXTS), classify(TEXTS), tolerance=1e-6)
