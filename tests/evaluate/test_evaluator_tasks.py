"""How each task reads a data set: names of classes, tags of words, questions without answer, and tasks to come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
import torch

from assets import minilm_folder, snippets
from samovar import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)
from samovar.evaluate import Evaluator, MetricError, combine, evaluator, load
from samovar.evaluate.evaluators import word_tags

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def lively(auto: Any, **settings: Any) -> Any:
    """A small model over MiniLM's tokens whose answers differ between inputs."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    config = AutoConfig.for_model("bert", vocab_size=len(tokenizer), **SIZES, **settings)
    model = auto.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5)
    task = {"AutoModelForTokenClassification": "token-classification"}.get(auto.__name__, "question-answering")
    return pipeline(task, model=model, tokenizer=tokenizer, device="cpu")


def says(*labels: str) -> Any:
    """A pipeline with these answers."""
    return lambda inputs, **options: [{"label": label} for label, _ in zip(labels, inputs, strict=True)]


# Classes ----------------------------------------------------------------------------------------------------------


def test_the_names_that_the_data_gives_its_classes_decide() -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features=features)
    assert evaluator("text-classification").compute(says("pos", "neg", "pos"), data)["accuracy"] == pytest.approx(2 / 3)
    mapping = {"LABEL_0": 1, "LABEL_1": 0}
    own = says("LABEL_0", "LABEL_0", "LABEL_0")
    found = evaluator("text-classification").compute(own, data, label_mapping=mapping)
    assert found["accuracy"] == pytest.approx(2 / 3)
    with pytest.raises(MetricError, match="predictions are text, references are numbers"):
        evaluator("text-classification").compute(own, data)
    with pytest.raises(MetricError, match="The model's label 'LABEL_0' is not mapped"):
        evaluator("text-classification").compute(own, data, label_mapping={})


def test_metrics_with_options_and_several_metrics() -> None:
    data = {"text": ["a", "b", "c"], "label": ["x", "y", "z"]}
    pipe = says("x", "y", "x")
    with pytest.raises(MetricError, match="f1 of 3 classes needs an average"):
        evaluator("text-classification").compute(pipe, data, metric="f1")
    found = evaluator("text-classification").compute(
        pipe, data, metric=combine({"micro": "f1", "all": "accuracy"}), metric_options={"average": "micro"}
    )
    assert found["micro_f1"] == found["all_accuracy"] == pytest.approx(2 / 3)
    waiting = load("accuracy")
    waiting.add(prediction=1, reference=0)
    assert evaluator("text-classification").compute(pipe, data, metric=waiting)["accuracy"] == pytest.approx(2 / 3)
    assert len(waiting) == 1


def test_inputs_are_handed_on_one_by_one() -> None:
    asked: list[int] = []
    at_first: list[int] = []

    class Images:
        """Costly values."""

        def __len__(self) -> int:
            return 50

        def __iter__(self) -> Iterator[int]:
            for row in range(50):
                asked.append(row)
                yield row

    def see(images: Iterable[int], **options: Any) -> Iterator[Any]:
        assert options == {"top_k": 1, "batch_size": 8}
        for image in images:
            at_first.append(len(asked))
            yield [{"label": str(image % 2), "score": 1.0}]

    data = {"image": Images(), "label": [str(k % 2) for k in range(50)]}
    assert evaluator("image-classification").compute(see, data, batch_size=8)["accuracy"] == 1
    assert at_first == list(range(1, 51))


def test_arguments_that_mean_nothing() -> None:
    data = {"text": ["a"], "label": ["x"]}
    task = evaluator("text-classification")
    with pytest.raises(MetricError, match=r"no argument 'secnd_input_column'[^D]*Did you mean 'second_input_column'"):
        task.compute(says("x"), data, secnd_input_column="text")
    with pytest.raises(MetricError, match="no argument 'squad_v2_format'"):
        task.compute(says("x"), data, squad_v2_format=True)
    with pytest.raises(MetricError, match="no column 'other'; it has 'text', 'label'"):
        task.compute(says("x"), data, second_input_column="other")
    with pytest.raises(MetricError, match="metric is list"):
        task.compute(says("x"), data, metric=["accuracy"])
    with pytest.raises(MetricError, match="Did you mean 'accuracy'"):
        task.compute(says("x"), data, metric="acuracy")


def test_a_pipeline_has_its_own_parts() -> None:
    reader = lively(AutoModelForQuestionAnswering)
    data = {"question": ["What?"], "context": ["tea"], "answers": [{"text": ["tea"]}]}
    with pytest.warns(UserWarning, match="The pipeline has its own: tokenizer given here means nothing"):
        evaluator("question-answering").compute(reader, data, tokenizer=reader.tokenizer)


@pytest.mark.slow
def test_real_weights_as_in_a_plain_loop() -> None:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm_folder(), id2label={0: "bad", 1: "good"})
    for name, parameter in model.named_parameters():
        if name.startswith("head."):
            torch.nn.init.normal_(parameter)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    reviews = snippets("movies")[:40]
    labels = [int(rating > 0) for rating, _ in reviews]
    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    predicted = [["bad", "good"].index(pipe(text)[0]["label"]) for _, text in reviews]
    assert 0 < sum(predicted) < 40
    data = {"text": [text for _, text in reviews], "label": labels}
    found = evaluator("text-classification").compute(
        model, data, tokenizer=tokenizer, device="cpu", batch_size=8, metric=combine(["accuracy", "f1"])
    )
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-9)
    assert found["f1"] == pytest.approx(sk.f1_score(labels, predicted), abs=1e-9)


# Tags -------------------------------------------------------------------------------------------------------------

TAGS = {0: "O", 1: "B-TEA", 2: "I-TEA"}
WORDS = [["Unbelievably", "hot", "tea", "!"], ["milk"], ["the", "samovar's", "lid", "rattled"]]


def by_loop(tagger: Any, rows: list[list[str]]) -> list[list[str]]:
    """The label of each word's first token, straight from the model's scores and the tokenizer's word numbers."""
    found = []
    for words in rows:
        batch = tagger.tokenizer([words], is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            best = tagger.model(**batch).logits[0].argmax(-1).tolist()
        places = batch.word_ids(0)
        found.append([TAGS[best[places.index(word)]] for word in range(len(words))])
    return found


@pytest.mark.parametrize("form", ["names", "numbers of the model", "numbers of the data", "pandas"])
def test_tags_by_word(form: str) -> None:
    tagger = lively(AutoModelForTokenClassification, id2label=TAGS)
    predicted = by_loop(tagger, WORDS)
    assert len({tag for row in predicted for tag in row}) > 1
    rng = np.random.default_rng(0)
    wanted = [[tag if rng.random() < 0.6 else "B-TEA" for tag in row] for row in predicted]
    expected = load("seqeval").compute(predictions=predicted, references=wanted)
    data: Any = {"tokens": WORDS, "ner_tags": wanted}
    if form != "names":
        order = ["I-TEA", "O", "B-TEA"] if form == "numbers of the data" else list(TAGS.values())
        data["ner_tags"] = [[order.index(tag) for tag in row] for row in wanted]
        if form == "numbers of the data":
            tags = datasets.List(datasets.ClassLabel(names=order))
            words = datasets.List(datasets.Value("string"))
            data = datasets.Dataset.from_dict(data, features=datasets.Features({"tokens": words, "ner_tags": tags}))
        if form == "pandas":
            data = pd.DataFrame({name: [np.array(row) for row in column] for name, column in data.items()})
    found = evaluator("token-classification").compute(tagger, data)
    for name in ("overall_f1", "overall_accuracy", "overall_precision"):
        assert found[name] == expected[name]


def test_tokens_that_hold_the_space_before_a_word_and_words_without_any() -> None:
    words = ["hot", "tea", "\u200b", "now"]  # at 0–3, 4–7, 8–9, 10–13
    with_spaces = [
        {"start": 0, "end": 3, "entity": "A"},
        {"start": 3, "end": 6, "entity": "B"},
        {"start": 6, "end": 7, "entity": "C"},
        {"start": 9, "end": 13, "entity": "D"},
    ]
    assert word_tags(words, with_spaces, 1) == ["A", "B", "O", "D"]
    assert word_tags(words, with_spaces[:2], 1) == ["A", "B", "O", "O"]
    letters = [{"start": 0, "end": 1, "entity": "A"}, {"start": 1, "end": 2, "entity": "B"}]
    assert word_tags(["茶", "热"], letters, 0) == ["A", "B"]
    assert word_tags([], [], 1) == []


def test_tags_under_other_names_and_rows_of_unequal_length() -> None:
    def tag(texts: Iterable[str], **options: Any) -> list[Any]:
        return [[{"start": k, "end": k + 1, "entity": "T"} for k in range(len(text))] for text in texts]

    task = evaluator("token-classification")
    data = {"tokens": [["热", "茶"]], "ner_tags": [["B-TEA", "I-TEA"]]}
    found = task.compute(tag, data, label_mapping={"T": "I-TEA"}, join_by="")
    assert found["overall_accuracy"] == 0.5
    with pytest.raises(MetricError, match="'T' is not mapped"):
        task.compute(tag, data, label_mapping={"S": "O"})
    with pytest.raises(MetricError, match="Row 0 has 2 words and 1 tags"):
        task.compute(tag, {"tokens": [["a", "b"]], "ner_tags": [["O"]]})


# Questions --------------------------------------------------------------------------------------------------------

# Without punctuation and articles, which are no answers.
CONTEXTS = ["Anna drinks hot tea in her kitchen", "That samovar stands on our table", "It rains in Riga today"]


def questions(*texts: list[str]) -> dict[str, list[Any]]:
    answers = [{"text": text, "answer_start": [0] * len(text)} for text in texts]
    return {"question": ["What is there?"] * 3, "context": CONTEXTS, "answers": answers}


def test_questions_as_in_a_plain_loop() -> None:
    reader = lively(AutoModelForQuestionAnswering)
    said = [reader(question="What is there?", context=context)["answer"] for context in CONTEXTS]
    data = questions([said[0]], [said[1], "x"], ["samovar"])
    references = [{"id": str(k), "answers": {"text": row["text"]}} for k, row in enumerate(data["answers"])]
    predictions = [{"id": str(k), "prediction_text": text} for k, text in enumerate(said)]
    expected = load("squad").compute(predictions=predictions, references=references)
    task = evaluator("question-answering")
    found = task.compute(reader, data)
    assert {name: found[name] for name in expected} == expected
    assert expected["exact_match"] == pytest.approx(200 / 3)
    other = {"ask": data["question"], "where": CONTEXTS, "truth": data["answers"], "key": ["a", "b", "c"]}
    named = {"question_column": "ask", "context_column": "where", "label_column": "truth", "id_column": "key"}
    assert task.compute(reader, other, **named)["f1"] == expected["f1"]
    second = task.compute(reader, data, metric="squad_v2")
    assert second["f1"] == expected["f1"]
    assert second["total"] == 3


def test_questions_without_answer_choose_the_metric_and_let_the_pipeline_be_silent() -> None:
    asked: list[dict[str, Any]] = []

    def read(rows: Iterable[Any], **options: Any) -> list[Any]:
        asked.append(options)
        return [{"answer": "" if "rains" in row["context"] else "tea"} for row in rows]

    task = evaluator("question-answering")
    found = task.compute(read, questions(["hot tea"], ["table"], []))
    assert (found["NoAns_exact"], found["HasAns_exact"], found["total"]) == (100, 0, 3)
    task.compute(read, questions(["hot tea"], ["table"], ["rain"]))
    task.compute(read, questions(["hot tea"], ["table"], ["rain"]), squad_v2_format=True)
    assert [options["handle_impossible_answer"] for options in asked] == [True, False, True]
    with pytest.raises(MetricError, match="Question '2' has no answer"):
        task.compute(read, questions(["hot tea"], ["table"], []), metric="squad")


# Tasks to come ----------------------------------------------------------------------------------------------------


class SummarizationEvaluator(Evaluator):
    """A task whose pipeline answers with text."""

    task = "summarization"
    default_metric = "rouge"
    answer_key = "summary_text"


def test_a_task_of_ones_own_is_a_few_lines() -> None:
    def shorten(texts: Iterable[str], **options: Any) -> Iterator[dict[str, str]]:
        return ({"summary_text": " ".join(text.split()[:3])} for text in texts)

    data = {"text": ["tea is hot today", "the samovar hums loudly"], "label": ["tea is hot", "the samovar hums"]}
    found = SummarizationEvaluator().compute(shorten, data)
    assert found["rouge1"] == found["rougeL"] == 1
    worse = SummarizationEvaluator().compute(shorten, data | {"label": ["tea", "it hums"]}, metric="bleu")
    assert worse["bleu"] < 1
    both = SummarizationEvaluator().compute(shorten, data, metric="rouge", metric_options={"rouge_types": ["rouge2"]})
    assert "rouge1" not in both
