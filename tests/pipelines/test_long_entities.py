"""Entities in texts that are longer than the model: none is cut where two parts of the text meet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from learned_models import SMALL, teach, word_tokenizer
from tiny_checkpoints import labels, wordpiece_vocabulary

import samovar
from samovar import pipeline

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
FILL = ["so", "then", "we", "went", "home", "and", "said"]
PERSON, PLACE = ["anna", "maria", "petrova"], ["saint", "maria", "petrova"]
WINDOW, STRIDE = 18, 6
STRATEGIES = ["none", "simple", "first", "average", "max"]


@pytest.fixture(scope="module")
def tagger() -> Any:
    """Taught "anna maria petrova" as a person, "saint maria petrova" as a place: the first word tells them apart."""
    tokenizer = word_tokenizer([" ".join([*FILL, *PERSON, *PLACE])], pair=True, model_max_length=WINDOW)
    torch.manual_seed(1)
    texts, goals = [], []
    for number in range(240):
        words = [FILL[int(i)] for i in torch.randint(len(FILL), (WINDOW - 2,))]
        tags = [0] * len(words)
        name, first = (PERSON, 1) if number % 2 else (PLACE, 3)
        place = number // 2 % (len(words) - 2)
        words[place : place + 3], tags[place : place + 3] = name, [first, first + 1, first + 1]
        texts.append(" ".join(words))
        goals.append([-100, *tags, -100])
    config = samovar.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=WINDOW, initializer_range=0.1, **SMALL, **labels(*TAGS)
    )
    model = samovar.AutoModelForTokenClassification.from_config(config)
    batch = {**tokenizer(texts, return_tensors="pt"), "labels": torch.tensor(goals)}
    parts = [{name: value[start::3] for name, value in batch.items()} for start in range(3)]
    assert teach(model, parts, 200) < 0.05
    return pipeline("token-classification", model=model, tokenizer=tokenizer, stride=STRIDE)


# With an overlap of 3 only one of two neighbouring parts sees an entity of 3 tokens whole, wherever it stands.
@pytest.mark.slow
@pytest.mark.parametrize("stride", [STRIDE, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_entity_at_every_place_around_a_seam_is_found_whole(tagger: Any, strategy: str, stride: int) -> None:
    texts, expected = [], []
    for offset in range(60):
        words = [FILL[(3 * offset + i) % len(FILL)] for i in range(64)]
        name, kind = (PERSON, "PER") if offset % 2 else (PLACE, "LOC")
        words[offset : offset + 3] = name
        start = len(" ".join(words[:offset])) + (offset > 0)
        texts.append(" ".join(words))
        expected.append((kind, start, start + len(" ".join(name)), " ".join(name), offset))
    found = tagger(texts, aggregation_strategy=strategy, stride=stride)
    for text, row, (kind, start, end, name, offset) in zip(texts, found, expected, strict=True):
        if strategy == "none":
            assert [one["entity"] for one in row] == [f"B-{kind}", f"I-{kind}", f"I-{kind}"], (offset, text)
            # Counted as if the model read the whole text at once: [CLS] is token 0.
            assert [one["index"] for one in row] == [offset + 1, offset + 2, offset + 3]
            assert (row[0]["start"], row[-1]["end"]) == (start, end)
        else:
            assert [(one["entity_group"], one["start"], one["end"], one["word"]) for one in row] == [
                (kind, start, end, name)
            ], (offset, text)


def token_tagger(vocabulary: list[str], tag_of: dict[str, int], window: int) -> Any:
    """A model that judges each token by itself, so that the whole text's answer is known: no layer, no positions."""
    from tokenizers import BertWordPieceTokenizer

    backend = BertWordPieceTokenizer({word: index for index, word in enumerate(vocabulary)})
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = samovar.PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, model_max_length=window, **names)
    sizes = SMALL | {"num_hidden_layers": 0, "hidden_size": len(TAGS), "num_attention_heads": 1}
    config = samovar.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=window, **sizes, **labels(*TAGS))
    model = samovar.AutoModelForTokenClassification.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        words = model.get_input_embeddings().weight
        for index, word in enumerate(vocabulary):
            words[index, tag_of.get(word, 0)] = 1
        next(p for n, p in model.named_parameters() if n.endswith("classifier.weight")).copy_(3 * torch.eye(len(TAGS)))
    return pipeline("token-classification", model=model, tokenizer=tokenizer, ignore_labels=["O"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("window", "stride"), [(12, 4), (12, 0), (12, 1), (11, 8), (20, 7)])
def test_parts_give_what_the_whole_text_gives(strategy: str, window: int, stride: int) -> None:
    vocabulary = wordpiece_vocabulary()
    # "annaing" is "anna ##ing": two tokens of one word, of which only the first is a name.
    tags = {"anna": 1, "jean": 2, "paris": 3, "moscow": 4}
    whole = token_tagger(vocabulary, tags, 4096)
    parts = token_tagger(vocabulary, tags, window)
    for shift in range(14):
        text = "the " * shift + "anna jean jeaning sat in paris moscow moscowed and was annaing jean " * 3 + "dog"
        expected = whole(text, aggregation_strategy=strategy)
        found = parts(text, aggregation_strategy=strategy, stride=stride)
        assert len(expected) >= 9
        assert [{k: v for k, v in one.items() if k != "score"} for one in found] == [
            {k: v for k, v in one.items() if k != "score"} for one in expected
        ]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)


def test_words_given_as_a_list_are_read_in_parts_too(tagger: Any) -> None:
    words = [*FILL * 2, *PERSON, *FILL * 3, *PLACE, *FILL]
    found = tagger([words], is_split_into_words=True, aggregation_strategy="simple")[0]
    joined = " ".join(words)
    assert [(one["entity_group"], joined[one["start"] : one["end"]]) for one in found] == [
        ("PER", " ".join(PERSON)), ("LOC", " ".join(PLACE)),
    ]  # fmt: skip
