"""`evaluator(task)` on real pipelines: the values of a plain loop over them, from data in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics as sk
import torch
from PIL import Image

from assets import minilm_folder, snippets
from samovar import AutoConfig, AutoModelForImageClassification, AutoTokenizer, ViTImageProcessor, pipeline
from samovar.evaluate import MetricError, combine, evaluator, load

TEXTS = [text for _, text in snippets("movies")[:50]]
LABELS = [int(rating > 0) for rating, _ in snippets("movies")[:50]]


def classifier(task: str, **labels: Any) -> Any:
    """A pipeline of the real encoder under a head with random weights."""
    torch.manual_seed(0)
    from samovar import (
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    kinds = {
        "text-classification": AutoModelForSequenceClassification,
        "token-classification": AutoModelForTokenClassification,
        "question-answering": AutoModelForQuestionAnswering,
    }
    model = kinds[task].from_pretrained(minilm_folder(), **labels)
    for name, parameter in model.named_parameters():
        if name.startswith("head."):
            torch.nn.init.normal_(parameter)
    return pipeline(task, model=model, tokenizer=AutoTokenizer.from_pretrained(minilm_folder()), device="cpu")


@pytest.fixture(scope="module")
def sentiment() -> Any:
    return classifier("text-classification", id2label={0: "bad", 1: "good"})


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dataset", "rows", "columns", "pandas"])
def test_text_classification(sentiment: Any, form: str) -> None:
    columns = {"text": TEXTS, "label": LABELS}
    data = {
        "dataset": lambda: datasets.Dataset.from_dict(columns),
        "rows": lambda: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
        "columns": lambda: columns,
        "pandas": lambda: pd.DataFrame(columns),
    }[form]()
    found = evaluator("text-classification").compute(sentiment, data, metric="f1")
    predicted = [{"bad": 0, "good": 1}[answer["label"]] for answer in sentiment(TEXTS)]
    assert found["f1"] == pytest.approx(sk.f1_score(LABELS, predicted), abs=1e-9)
    assert found["samples_per_second"] == pytest.approx(50 / found["total_time_in_seconds"])
    assert found["latency_in_seconds"] == pytest.approx(found["total_time_in_seconds"] / 50)


@pytest.mark.slow
def test_labels_columns_and_metrics_of_ones_own(sentiment: Any) -> None:
    words = ["good" if label else "bad" for label in LABELS]
    task = evaluator("sentiment-analysis")
    plain = task.compute(sentiment, {"review": TEXTS, "verdict": words}, input_column="review", label_column="verdict")
    mapping = {"bad": "thumbs down", "good": "thumbs up"}
    mapped = task.compute(
        sentiment, {"text": TEXTS, "label": [mapping[word] for word in words]}, label_mapping=mapping,
        metric=load("accuracy"), batch_size=4,
    )  # fmt: skip
    assert plain["accuracy"] == mapped["accuracy"]
    pairs = task.compute(sentiment, {"text": TEXTS, "other": TEXTS[::-1], "label": LABELS}, second_input_column="other")
    answers = sentiment([{"text": a, "text_pair": b} for a, b in zip(TEXTS, TEXTS[::-1], strict=True)])
    expected = np.mean([(answer["label"] == "good") == label for answer, label in zip(answers, LABELS, strict=True)])
    assert pairs["accuracy"] == pytest.approx(expected)


@pytest.mark.slow
def test_models_are_made_into_pipelines(sentiment: Any, tmp_path: Path) -> None:
    sentiment.save_pretrained(tmp_path)
    data = {"text": TEXTS[:9], "label": LABELS[:9]}
    task = evaluator("text-classification")
    by_name = task.compute(str(tmp_path), data, device="cpu")
    by_object = task.compute(sentiment.model, data, tokenizer=sentiment.tokenizer)
    by_call = task.compute(lambda texts, **options: [{"label": "good"} for _ in texts], data, label_mapping={"good": 1})
    assert by_name["accuracy"] == by_object["accuracy"]
    assert by_call["accuracy"] == pytest.approx(np.mean(LABELS[:9]))


@pytest.mark.slow
def test_the_bootstrap_is_that_of_scipy(sentiment: Any) -> None:
    data = {"text": TEXTS, "label": LABELS}
    found = evaluator("text-classification").compute(
        sentiment, data, strategy="bootstrap", n_resamples=200, random_state=3, confidence_level=0.9
    )
    predicted = [answer["label"] == "good" for answer in sentiment(TEXTS)]
    right = np.equal(predicted, LABELS).astype(float)
    expected = scipy.stats.bootstrap((right,), np.mean, n_resamples=200, confidence_level=0.9, rng=3, vectorized=False)
    low, high = found["accuracy"]["confidence_interval"]
    assert found["accuracy"]["score"] == pytest.approx(right.mean())
    assert low < right.mean() < high
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=1e-9)
    assert found["accuracy"]["standard_error"] == pytest.approx(expected.standard_error, abs=1e-9)


def test_token_classification() -> None:
    tags = {0: "O", 1: "B-TEA", 2: "I-TEA"}
    tagger = classifier("token-classification", id2label=tags)
    words = [text.split()[:12] for text in TEXTS[:20]]
    rng = np.random.default_rng(0)
    wanted = [rng.integers(0, 3, len(row)).tolist() for row in words]
    found = evaluator("ner").compute(tagger, {"tokens": words, "ner_tags": wanted})
    predicted = []
    for row in words:
        batch = tagger.tokenizer(" ".join(row), return_tensors="pt", return_offsets_mapping=True)
        offsets = batch.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            best = tagger.model(**batch).logits[0].argmax(-1).tolist()
        starts = [sum(len(word) + 1 for word in row[:k]) for k in range(len(row))]
        first = {start: tag for (start, end), tag in reversed(list(zip(offsets, best, strict=True))) if end > start}
        predicted.append([tags[first[start]] for start in starts])
    names = [[tags[tag] for tag in row] for row in wanted]
    expected = load("seqeval").compute(predictions=predicted, references=names)
    assert found["overall_f1"] == expected["overall_f1"]
    assert found["overall_accuracy"] == expected["overall_accuracy"]


@pytest.mark.slow
def test_question_answering() -> None:
    reader = classifier("question-answering")
    contexts = [f"{text} It was hot." for text in TEXTS[:12]]
    questions = ["What was it?"] * 12
    answers = reader([{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)])
    truth = [{"text": [a["answer"] if i % 2 else "hot"], "answer_start": [0]} for i, a in enumerate(answers)]
    data = {"question": questions, "context": contexts, "answers": truth, "id": [f"q{i}" for i in range(12)]}
    found = evaluator("question-answering").compute(reader, data)
    assert found["exact_match"] >= 50
    assert found["f1"] >= found["exact_match"]
    truth[0] = {"text": [], "answer_start": []}
    second = evaluator("question-answering").compute(reader, {k: v for k, v in data.items() if k != "id"})
    assert {"HasAns_f1", "NoAns_f1", "best_f1"} <= set(second)
    assert second["NoAns_total"] == 1


def test_image_classification() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "vit", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32,
        patch_size=8, num_labels=3,
    )  # fmt: skip
    model = AutoModelForImageClassification.from_config(config)
    eyes = ViTImageProcessor(size={"height": 32, "width": 32})
    see = pipeline("image-classification", model=model, image_processor=eyes, device="cpu")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)) for _ in range(6)]
    predicted = [model.config.label2id[see(image, top_k=1)[0]["label"]] for image in images]
    labels = [(one + i % 2) % 3 for i, one in enumerate(predicted)]
    rows = [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]
    assert evaluator("image-classification").compute(see, rows)["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": {"review": ["a"], "label": [1]}}, "no column 'text'; it has 'review', 'label'"),
        ({"data": []}, "holds no rows"),
        ({"data": {"text": [], "label": []}}, "The data has no rows"),
        ({"data": {"text": ["a"], "label": [1]}, "strategy": "jackknife"}, "no strategy 'jackknife'"),
        (
            {"data": {"text": ["a"], "label": [1]}, "label_mapping": {"x": 1}},
            "The model's label '(good|bad)' is not mapped",
        ),
        ({"data": 5}, "holds no rows"),
    ],
)
def test_data_that_does_not_fit(sentiment: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        evaluator("text-classification").compute(sentiment, **options)


def test_tasks_and_pipelines_that_do_not_fit(sentiment: Any) -> None:
    with pytest.raises(MetricError, match="no evaluator for 'text-clasification'"):
        evaluator("text-clasification")
    with pytest.raises(MetricError, match="is for token-classification, the pipeline for text-classification"):
        evaluator("token-classification").compute(sentiment, {"tokens": [["a"]], "ner_tags": [["O"]]})
    with pytest.raises(MetricError, match="int is no model"):
        evaluator("text-classification").compute(5, {"text": ["a"], "label": [1]})


def test_a_combination_is_no_obstacle(sentiment: Any) -> None:
    data = {"text": TEXTS, "label": LABELS}
    found = evaluator("text-classification").compute(sentiment, data, metric=combine(["accuracy", "f1"]))
    assert {"accuracy", "f1"} <= set(found)
