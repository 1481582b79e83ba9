"""The text tasks give what the reference library's pipelines give for the same checkpoints and inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from learned_models import SMALL, teach, word_tokenizer
from tiny_checkpoints import TAGS, TEXTS, Build, labels, plain, same

import samovar
from samovar import pipeline
from samovar.errors import InputError

TOXIC = labels("neutral", "toxic", "spam")


def both(folder: str, task: str, **settings: Any) -> tuple[Any, Any]:
    """Our pipeline and the reference's, on the same folder."""
    ours = pipeline(task, model=folder, device="cpu", **settings)
    return ours, transformers.pipeline(task, model=folder, device="cpu", **settings)


def one_by_one(theirs: Any, inputs: list[Any], **options: Any) -> list[Any]:
    """The reference's answers without batches, on which padding has no influence."""
    return plain([theirs([value], **options)[0] for value in inputs])


@pytest.mark.parametrize("options", [{}, {"top_k": None}, {"top_k": 2}, {"top_k": 1}, {"top_k": 9}])
def test_text_classification_equals_the_reference(build: Build, options: dict[str, Any]) -> None:
    ours, theirs = both(build("bert", "BertForSequenceClassification", **TOXIC), "text-classification")
    assert same(ours(TEXTS, **options), plain(theirs(TEXTS, **options)))
    assert same(ours(TEXTS[0], **options), plain(theirs(TEXTS[0], **options)))
    assert same(ours(TEXTS[:1], **options), plain(theirs(TEXTS[:1], **options)))


def test_options_of_the_constructor_hold_for_every_call(build: Build) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    ours, theirs = both(folder, "sentiment-analysis", top_k=None)
    assert same(ours(TEXTS), plain(theirs(TEXTS)))
    assert same(ours(TEXTS[0]), plain(theirs(TEXTS[0])))
    assert sum(row["score"] for row in ours(TEXTS)[0]) == pytest.approx(1, abs=1e-5)
    assert len(ours(TEXTS[0], top_k=2)) == 2


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none", "SIGMOID"])
def test_the_function_on_the_logits_can_be_chosen(build: Build, function: str) -> None:
    ours, theirs = both(build("bert", "BertForSequenceClassification", **TOXIC), "text-classification")
    options = {"top_k": None, "function_to_apply": function}
    assert same(ours(TEXTS, **options), plain(theirs(TEXTS, **options)))


@pytest.mark.parametrize(
    "settings",
    [
        {"problem_type": "multi_label_classification", **TOXIC},
        {"problem_type": "regression", **labels("stars")},
        {"problem_type": "single_label_classification", **TOXIC},
        labels("only"),
    ],
)
def test_the_configuration_chooses_the_function(build: Build, settings: dict[str, Any]) -> None:
    ours, theirs = both(build("bert", "BertForSequenceClassification", **settings), "text-classification")
    assert same(ours(TEXTS, top_k=None), plain(theirs(TEXTS, top_k=None)))


def test_pairs_of_texts(build: Build) -> None:
    ours, theirs = both(build("bert", "BertForSequenceClassification", **TOXIC), "text-classification")
    pairs = [{"text": first, "text_pair": second} for first, second in zip(TEXTS, TEXTS[3:] + ["dog"] * 3, strict=True)]
    expected = plain(theirs(pairs))
    assert same(ours(pairs), expected)
    assert same(ours([(pair["text"], pair["text_pair"]) for pair in pairs]), expected)
    assert same(ours(pairs[1]), plain(theirs(pairs[1])))
    mixed = ours([pairs[1], TEXTS[3], pairs[4]])
    assert same(mixed, [expected[1], plain(theirs(TEXTS[3]))[0], expected[4]])


def test_rows_of_a_table_may_have_more_columns(build: Build) -> None:
    ours = pipeline("text-classification", model=build("bert", "BertForSequenceClassification", **TOXIC))
    assert same(ours([{"text": text, "label": 1} for text in TEXTS]), ours(TEXTS))


def test_a_model_without_a_padding_token_answers_lists(build: Build) -> None:
    folder = build("gpt2", "GPT2ForSequenceClassification", **TOXIC)
    ours, theirs = both(folder, "text-classification")
    texts = [text for text in TEXTS if text]
    assert same(ours(texts), one_by_one(theirs, texts))
    assert ours([""]) == ours(["<|endoftext|>"])


def test_positions_that_belong_to_padding_do_not_count(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = both(build("roberta", "RobertaForSequenceClassification", **TOXIC), "text-classification")
    assert ours.limit == 38
    assert same(ours(TEXTS), one_by_one(theirs, TEXTS, truncation=True, max_length=38))
    assert not caplog.records
    long = "the cat and the dog " * 40
    assert same(ours([long]), plain(theirs([long], truncation=True, max_length=38)))


def test_long_texts_are_cut_with_one_warning(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = both(build("bert", "BertForSequenceClassification", **TOXIC), "text-classification")
    long = ["the cat and the dog " * count for count in (20, 30, 1)]
    with caplog.at_level("WARNING", logger="samovar"):
        found = ours(long)
        ours(long)
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("samovar")]
    assert len(messages) == 1
    assert "152 tokens" in messages[0]
    assert "reads 48" in messages[0]
    assert same(found, plain(theirs(long, truncation=True)))
    caplog.clear()
    again = pipeline("text-classification", model=ours.model, tokenizer=ours.tokenizer)
    assert same(again(long, truncation=True), found)
    assert same(again(long, truncation=True, max_length=8), plain(theirs(long, truncation=True, max_length=8)))
    assert same(again(TEXTS, padding="max_length", truncation=True), ours(TEXTS))
    assert not [record for record in caplog.records if record.name.startswith("samovar.pipelines")]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_token_classification_equals_the_reference(build: Build, strategy: str) -> None:
    folder = build("bert", "BertForTokenClassification", **labels(*TAGS))
    ours, theirs = both(folder, "token-classification", aggregation_strategy=strategy)
    assert same(ours(TEXTS), one_by_one(theirs, TEXTS))
    assert same(ours(TEXTS[1]), plain(theirs(TEXTS[1])))
    assert any(ours(TEXTS))
    for ignored in ([], ["O", "PER", "B-PER"]):
        assert same(ours(TEXTS, ignore_labels=ignored), one_by_one(theirs, TEXTS, ignore_labels=ignored))


def test_entities_point_into_the_text(build: Build) -> None:
    ours = pipeline("ner", model=build("bert", "BertForTokenClassification", **labels(*TAGS)))
    text = "Anna likes Paris"
    found = ours(text, aggregation_strategy="first", ignore_labels=[])
    assert found
    for entity in found:
        assert text[entity["start"] : entity["end"]].lower() == entity["word"]


def test_tokens_without_a_mark_of_their_own_belong_to_words_by_spaces(build: Build) -> None:
    folder = build("roberta", "RobertaForTokenClassification", **labels(*TAGS))
    ours, theirs = both(folder, "token-classification")
    texts = TEXTS[:2]
    assert same(ours(texts, ignore_labels=[]), one_by_one(theirs, texts, ignore_labels=[]))
    with pytest.warns(UserWarning, match="does not support real words"):
        expected = one_by_one(theirs, texts, aggregation_strategy="average")
    assert same(ours(texts, aggregation_strategy="average"), expected)


def test_a_text_that_fits_is_read_at_once_whatever_the_stride(build: Build) -> None:
    folder = build("bert", "BertForTokenClassification", **labels(*TAGS))
    ours, theirs = both(folder, "token-classification", aggregation_strategy="simple", stride=8)
    assert same(ours(TEXTS), one_by_one(theirs, TEXTS))
    long = "anna and jean likes paris in moscow. " * 12
    found = ours(long, ignore_labels=[])
    assert found[0]["start"] == 0
    assert found[-1]["end"] == len(long.rstrip())
    assert all(one["end"] <= other["start"] for one, other in pairwise(found))


def test_texts_that_are_split_into_words(build: Build) -> None:
    folder = build("bert", "BertForTokenClassification", **labels(*TAGS))
    ours, theirs = both(folder, "token-classification", aggregation_strategy="first", ignore_labels=[])
    words = [["anna", "likes", "moscow"], ["jean", "was", "playing"]]
    assert same(ours(words, is_split_into_words=True), plain(theirs(words, is_split_into_words=True)))
    assert same(ours(words[0], is_split_into_words=True), plain(theirs(words[0], is_split_into_words=True)))


MASKED = ["the [MASK] sat on the mat", "anna likes [MASK] and [MASK]", "a very [MASK] film, it was good work"]


@pytest.mark.parametrize(("family", "head"), [("bert", "BertForMaskedLM"), ("roberta", "RobertaForMaskedLM")])
def test_fill_mask_equals_the_reference(build: Build, family: str, head: str) -> None:
    ours, theirs = both(build(family, head), "fill-mask")
    texts = [text.replace("[MASK]", ours.tokenizer.mask_token) for text in MASKED]
    assert same(ours(texts), one_by_one_masks(theirs, texts))
    for text in texts:
        assert same(ours(text), plain(theirs(text)))
        assert same(ours(text, top_k=2), plain(theirs(text, top_k=2)))
        # The reference gives the result of a list of one text without its list.
        assert same(ours([text]), plain(theirs([text])))


def one_by_one_masks(theirs: Any, texts: list[str]) -> list[Any]:
    return [plain(theirs(text)) for text in texts]


def test_fill_mask_among_targets(build: Build) -> None:
    ours, theirs = both(build("bert", "BertForMaskedLM"), "fill-mask")
    for targets in ("cat", ["cat", "dog", "film"]):
        assert same(ours(MASKED, targets=targets), [plain(theirs(text, targets=targets)) for text in MASKED])


@pytest.mark.parametrize("targets", ["dog", ["cat", "dog", "film"], ["playing", "dog"], ["cat", "cat", "mat"]])
@pytest.mark.parametrize("top_k", [None, 2])
def test_fill_mask_among_targets_equals_the_reference(build: Build, targets: Any, top_k: int | None) -> None:
    ours, theirs = both(build("bert", "BertForMaskedLM"), "fill-mask")
    options = {"targets": targets} | ({} if top_k is None else {"top_k": top_k})
    expected = [plain(theirs(text, **options)) for text in MASKED]
    assert same(ours(MASKED, **options), expected)
    # Two masks give two lists.
    assert [len(row) for row in ours(MASKED[1], **options)] == [len(row) for row in expected[1]]


def test_targets_that_cannot_be(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    ours = pipeline("fill-mask", model=build("bert", "BertForMaskedLM"))
    assert [row["token_str"] for row in ours(MASKED[0], targets=["", "dog"])] == ["dog"]
    assert "The target '' has no tokens" in caplog.text
    with pytest.raises(InputError, match="None of the targets has a token"):
        ours(MASKED[0], targets=[])
    with pytest.raises(InputError, match="A target expected, got int"):
        ours(MASKED[0], targets=["dog", 3])


GENRES = {"love": ["kiss", "heart"], "war": ["tank", "sword"], "space": ["rocket", "planet"]}


@pytest.mark.slow
def test_a_trained_model_gives_several_labels() -> None:
    """Each word stands for a genre; a text may have none, one or all of them."""
    words = [word for members in GENRES.values() for word in members]
    texts = [f"a film with {one} and {other}" for one in [*words, "tea"] for other in [*words, "tea"]]
    goal = torch.tensor([[float(any(w in text.split() for w in m)) for m in GENRES.values()] for text in texts])
    tokenizer = word_tokenizer(texts, pair=True)
    config = samovar.BertConfig(
        vocab_size=len(tokenizer),
        initializer_range=0.1,
        problem_type="multi_label_classification",
        **SMALL,
        **labels(*GENRES),
    )
    model = samovar.AutoModelForSequenceClassification.from_config(config)
    assert teach(model, [{**tokenizer(texts, return_tensors="pt"), "labels": goal}], 80) < 0.1
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    for row, wanted in zip(classify(texts), goal.tolist(), strict=True):
        found = {entry["label"] for entry in row if entry["score"] > 0.5}
        assert found == {name for name, value in zip(GENRES, wanted, strict=True) if value}
    shares = classify(texts[:1], function_to_apply="softmax")[0]
    assert sum(entry["score"] for entry in shares) == pytest.approx(1, abs=1e-5)


def test_a_target_of_several_tokens_is_told_of(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    ours = pipeline("fill-mask", model=build("bert", "BertForMaskedLM"))
    found = ours(MASKED[0], targets=["playing", "dog"])
    assert {row["token_str"] for row in found} == {"play", "dog"}
    assert "'playing' is no single token" in caplog.text


def test_fill_mask_takes_a_model_of_pre_training(build: Build) -> None:
    folder = build("bert", "BertForPreTraining")
    ours = pipeline("fill-mask", model=folder)
    from samovar import BertForPreTraining

    whole = pipeline("fill-mask", model=BertForPreTraining.from_pretrained(folder), tokenizer=ours.tokenizer)
    reference = transformers.BertForPreTraining.from_pretrained(folder)
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(MASKED[0], return_tensors="pt")
    with torch.no_grad():
        scores = reference(**inputs).prediction_logits[0, 2].softmax(-1)
    assert ours(MASKED[0])[0]["token"] == int(scores.argmax())
    assert ours(MASKED[0])[0]["score"] == pytest.approx(float(scores.max()), abs=1e-5)
    assert same(whole(MASKED), ours(MASKED))


def test_feature_extraction_equals_the_reference(build: Build) -> None:
    ours, theirs = both(build("bert", "BertModel"), "feature-extraction")
    assert same(ours(TEXTS), [theirs(text) for text in TEXTS])
    tensors = ours(TEXTS, return_tensors=True)
    for text, found in zip(TEXTS, tensors, strict=True):
        assert torch.allclose(found, theirs(text, return_tensors=True), atol=1e-4)
        assert found.untyped_storage().nbytes() == found.numel() * 4


def test_features_of_a_model_with_a_head_are_its_backbones(build: Build) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    ours, theirs = both(folder, "feature-extraction")
    assert same(ours(TEXTS[1]), theirs(TEXTS[1]))
