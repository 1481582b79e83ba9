"""Zero-shot labels, multiple choice and sentence similarity: many pairs of texts through one engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from learned_models import SMALL, teach, word_tokenizer
from tiny_checkpoints import TEXTS, Build, labels, plain, same

import samovar
from assets import minilm_folder, snippets
from samovar import pipeline
from samovar.errors import InputError, InputTypeError

NLI = labels("contradiction", "neutral", "entailment")
FULL = [text for text in TEXTS if text]


# Zero-shot classification ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nli(build: Build) -> str:
    return build("bert", "BertForSequenceClassification", **NLI)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"candidate_labels": ["cat", "good film", "work"]},
        {"candidate_labels": "cat, dog ,film"},
        {"candidate_labels": ["cat"]},
        {"candidate_labels": ["cat", "dog"], "multi_label": True},
        {"candidate_labels": ["cat", "dog"], "hypothesis_template": "it was {} in paris"},
    ],
)
def test_zero_shot_equals_the_reference(nli: str, options: dict[str, Any]) -> None:
    ours = pipeline("zero-shot-classification", model=nli)
    theirs = transformers.pipeline("zero-shot-classification", model=nli, device="cpu")
    expected = plain(theirs(FULL, **options))
    assert same(ours(FULL, **options), expected)
    assert same(ours(FULL[0], **options), plain(theirs(FULL[0], **options)))
    made = pipeline("zero-shot-classification", model=nli, **options)
    assert same(list(made(iter(FULL), batch_size=3)), expected)
    assert same(ours(FULL[0], options["candidate_labels"])["sequence"], FULL[0])


def test_all_pairs_share_batches(nli: str) -> None:
    ours = pipeline("zero-shot-classification", model=nli)
    rows: list[int] = []
    hook = ours.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    ours(FULL, ["cat", "dog", "film", "work"])
    hook.remove()
    assert sum(rows) == 4 * len(FULL)
    assert len(rows) <= 4


def test_a_long_text_is_cut_and_its_hypothesis_is_not(nli: str) -> None:
    ours = pipeline("zero-shot-classification", model=nli)
    theirs = transformers.pipeline("zero-shot-classification", model=nli, device="cpu")
    long = "the cat and the dog " * 40
    assert same(ours(long, ["cat", "film"]), plain(theirs(long, ["cat", "film"])))


def test_labels_without_entailment_are_told_of(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    folder = build("bert", "BertForSequenceClassification", **labels("no", "yes"))
    pipeline("zero-shot-classification", model=folder)
    assert "None of this model's labels (no, yes) says 'entailment'" in caplog.text
    first = build("bert", "BertForSequenceClassification", **labels("ENTAILMENT", "other"))
    ours, theirs = pipeline("zero-shot-classification", model=first), None
    theirs = transformers.pipeline("zero-shot-classification", model=first, device="cpu")
    options: dict[str, Any] = {"candidate_labels": ["cat", "dog"], "multi_label": True}
    assert same(ours(FULL, **options), plain(theirs(FULL, **options)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "No candidate labels were given"),
        ({"candidate_labels": []}, "candidate_labels is empty"),
        ({"candidate_labels": " , "}, "candidate_labels is empty"),
        ({"candidate_labels": 3}, "must be a list or a str, got int"),
        ({"candidate_labels": ["cat", None]}, "A candidate label expected, got NoneType"),
        ({"candidate_labels": ["cat"], "hypothesis_template": "a text"}, "has no place for a label"),
        ({"candidate_labels": ["cat"], "hypothesis_template": "{} {} {}{"}, "has no place for a label"),
        ({"candidate_label": ["cat"]}, "Did you mean 'candidate_labels'"),
    ],
)
def test_bad_labels(nli: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pipeline("zero-shot-classification", model=nli)("the cat", **options)


ANSWERS = labels("contradiction", "entailment")
TOPICS = {"food": ["soup", "bread", "tea"], "sport": ["tennis", "chess", "rugby"], "music": ["violin", "opera", "jazz"]}


@pytest.mark.slow
def test_a_trained_model_finds_the_topic() -> None:
    words = {word: topic for topic, members in TOPICS.items() for word in members}
    pairs = [(f"i like {word}", f"This example is {topic}.", topic) for word in words for topic in TOPICS]
    tokenizer = word_tokenizer([part for first, second, _ in pairs for part in (first, second)], pair=True)
    config = samovar.BertConfig(
        vocab_size=len(tokenizer), initializer_range=0.1, **SMALL, **labels("contradiction", "entailment")
    )
    model = samovar.AutoModelForSequenceClassification.from_config(config)
    batch = tokenizer([pair[0] for pair in pairs], [pair[1] for pair in pairs], return_tensors="pt")
    goal = torch.tensor([int(words[first.split()[-1]] == topic) for first, _, topic in pairs])
    assert teach(model, [{**batch, "labels": goal}], 100) < 0.1
    classify = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    found = classify([f"i like {word}" for word in words], list(TOPICS))
    assert [row["labels"][0] for row in found] == list(words.values())
    both = classify("i like soup", list(TOPICS), multi_label=True)
    assert both["scores"][0] > 0.8
    assert both["scores"][1] < 0.2


# Multiple choice ------------------------------------------------------------------------------------------------------

ASKED = [
    {"question": "who likes the cat?", "choices": ["the dog", "anna", "a very bad film", "jean in paris"]},
    {"context": "the cat sat on the mat", "question": "was it", "choices": ["good", "bad"]},
    {"context": "jean likes", "choices": ["moscow"]},
]


def by_hand(folder: str, pairs: list[tuple[str, str]]) -> list[float]:
    """The reference model's scores of one question's choices."""
    model = transformers.AutoModelForMultipleChoice.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer([a for a, _ in pairs], [b for _, b in pairs], padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**{name: value[None] for name, value in batch.items()}).logits[0].softmax(-1).tolist()


def test_choices_equal_the_reference_model(build: Build) -> None:
    folder = build("bert", "BertForMultipleChoice")
    choose = pipeline("multiple-choice", model=folder)
    found = choose(ASKED)
    expected = [
        by_hand(folder, [("who likes the cat?", choice) for choice in ASKED[0]["choices"]]),
        by_hand(folder, [("the cat sat on the mat", f"was it {choice}") for choice in ASKED[1]["choices"]]),
        [1.0],
    ]
    for row, scores, asked in zip(found, expected, ASKED, strict=True):
        assert [entry["score"] for entry in row] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
        assert [entry["index"] for entry in row] == np.argsort([-score for score in scores]).tolist()
        assert [entry["choice"] for entry in row] == [asked["choices"][entry["index"]] for entry in row]
    assert same(choose(**ASKED[0]), found[0], 1e-6)
    assert same(pipeline(model=folder)(ASKED[0], top_k=2), found[0][:2], 1e-6)
    assert same(list(choose(iter(ASKED), batch_size=2)), found, 1e-6)


@pytest.mark.slow
def test_a_trained_model_chooses(build: Build) -> None:
    words = {word: topic for topic, members in TOPICS.items() for word in members}
    tokenizer = word_tokenizer([f"what is {word} ? {topic}" for word, topic in words.items()], pair=True)
    config = samovar.BertConfig(vocab_size=len(tokenizer), initializer_range=0.1, **SMALL)
    model = samovar.AutoModelForMultipleChoice.from_config(config)
    flat = tokenizer(
        [f"what is {word} ?" for word in words for _ in TOPICS], list(TOPICS) * len(words), return_tensors="pt"
    )
    batch = {name: value.view(len(words), len(TOPICS), -1) for name, value in flat.items()}
    goal = torch.tensor([list(TOPICS).index(topic) for topic in words.values()])
    assert teach(model, [{**batch, "labels": goal}], 100) < 0.1
    choose = pipeline("multiple-choice", model=model, tokenizer=tokenizer)
    asked = [{"question": f"what is {word} ?", "choices": list(TOPICS)[::-1]} for word in words]
    assert [row[0]["choice"] for row in choose(asked)] == list(words.values())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("who?", "A dict with a question and its choices expected, got str"),
        ({"question": "who?"}, "the dict has 'question'"),
        ({"question": "who?", "choice": ["a"]}, "Did you mean 'choices'"),
        ({"choices": ["a"]}, "A question or context and choices are needed"),
        ({"question": "who?", "choices": []}, "choices is empty"),
        ({"question": "who?", "choices": "cat"}, "choices must be a list, got str"),
        ({"question": "who?", "choices": ["cat", 3]}, "A choice expected, got int"),
        ({"question": None, "context": 3, "choices": ["cat"]}, "A context expected, got int"),
        ({"question": None, "choices": ["cat"]}, "A question or context and choices are needed"),
    ],
)
def test_bad_choices(build: Build, value: Any, message: str) -> None:
    choose = pipeline("multiple-choice", model=build("bert", "BertForMultipleChoice"))
    with pytest.raises(InputError, match=message):
        choose(value)
    with pytest.raises(InputError, match=rf"^Input 1: [\s\S]*{message}"):
        choose([ASKED[0], value])


# Sentence similarity --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_similarity_of_a_sentence_transformer() -> None:
    alike = pipeline("sentence-similarity", model=minilm_folder())
    asked = {
        "source_sentence": "The actors are wonderful.",
        "sentences": ["The acting is superb.", "The battery died after a week.", "The cast plays badly."],
    }
    encoder = samovar.sentence.SentenceTransformer(str(minilm_folder()))
    vectors = encoder.encode([asked["source_sentence"], *asked["sentences"]], normalize_embeddings=True)
    scores = alike(asked)
    assert scores == pytest.approx((vectors[1:] @ vectors[0]).tolist(), abs=1e-5)
    assert scores[0] > 0.5 > scores[1]
    assert alike(**asked) == scores
    assert all(type(score) is float for score in scores)
    reviews = [text for _, text in snippets("movies")[:15]]
    batch = [{"source_sentence": text, "sentences": reviews[:5]} for text in reviews]
    found = alike(batch)
    assert [row[index] for index, row in enumerate(found[:5])] == pytest.approx([1] * 5, abs=1e-5)
    assert same(list(alike(iter(batch), batch_size=7)), found)


def test_similarity_of_a_plain_encoder_is_that_of_its_mean(build: Build) -> None:
    folder = build("bert", "BertModel")
    texts = FULL
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        means = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in texts]
    expected = [torch.cosine_similarity(means[0], mean, dim=0).item() for mean in means[1:]]
    asked = {"source_sentence": texts[0], "sentences": texts[1:]}
    assert pipeline("sentence-similarity", model=folder)(asked) == pytest.approx(expected, abs=1e-5)
    ours = samovar.AutoModel.from_pretrained(folder)
    given = pipeline("sentence-similarity", model=ours, tokenizer=samovar.AutoTokenizer.from_pretrained(folder))
    assert given([asked])[0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="without its tokenizer"):
        pipeline("sentence-similarity", model=ours)


def test_similarity_is_saved_as_a_sentence_transformer(tmp_path: Path) -> None:
    alike = pipeline("sentence-similarity", model=minilm_folder())
    alike.save_pretrained(tmp_path / "saved")
    asked = {"source_sentence": "tea", "sentences": ["coffee", "a car"]}
    assert pipeline("sentence-similarity", model=tmp_path / "saved")(asked) == pytest.approx(alike(asked), abs=1e-6)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tea", "A source sentence and sentences expected, got str"),
        ({"source": "tea", "sentences": ["tea"]}, "Did you mean 'source_sentence'"),
        ({"source_sentence": "tea"}, "got a dict with 'source_sentence'"),
        ({"source_sentence": "tea", "sentences": "tea"}, "sentences must be a list, got str"),
        ({"source_sentence": "tea", "sentences": []}, "sentences is empty"),
        ({"source_sentence": 3, "sentences": ["tea"]}, "A source sentence expected, got int"),
        ({"source_sentence": "tea", "sentences": [None]}, "A sentence expected, got NoneType"),
    ],
)
def test_bad_sentences(build: Build, value: Any, message: str) -> None:
    alike = pipeline("sentence-similarity", model=build("bert", "BertModel"))
    with pytest.raises(InputTypeError if "empty" not in message else InputError, match=message):
        alike(value)
