"""Bad input gets an error that names the input, what was given, and what to do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_checkpoints import TAGS, Build, labels

from samovar import pipeline
from samovar.errors import ImageError, InputError, InputTypeError, NumericError

TEXT_TASKS = [
    ("text-classification", "BertForSequenceClassification"),
    ("token-classification", "BertForTokenClassification"),
    ("fill-mask", "BertForMaskedLM"),
    ("feature-extraction", "BertModel"),
]
GOOD = "the [MASK] sat"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "head"), TEXT_TASKS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected, got NoneType"),
        (b"cat", r"expected, got bytes \(b'cat'\)"),
        (42, r"expected, got int \(42\)"),
        (math.nan, "how tables mark missing text"),
        ({"label": 1}, "dict"),
    ],
)
def test_what_is_no_text_is_named_with_its_type(build: Build, task: str, head: str, value: Any, message: str) -> None:
    pipe = pipeline(task, model=build("bert", head))
    with pytest.raises(InputTypeError, match=message) as alone:
        pipe(value)
    assert "Input" not in str(alone.value)
    for values in ([GOOD, GOOD, value], iter([GOOD, GOOD, value])):
        with pytest.raises(InputTypeError, match=rf"^Input 2: .*{message}|^Input 2: [\s\S]*{message}"):
            list(pipe(values))


def test_a_list_inside_a_list_is_no_text(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForSequenceClassification"))
    with pytest.raises(InputTypeError, match="Input 1: A list of 3 was given where one text is due"):
        pipe(["cat", ["cat", "dog", "film"]])


@pytest.mark.parametrize(("task", "head"), TEXT_TASKS)
def test_an_empty_list_is_legal(build: Build, task: str, head: str) -> None:
    assert pipeline(task, model=build("bert", head))([]) == []


@pytest.mark.parametrize(("task", "head"), [pair for pair in TEXT_TASKS if pair[0] != "fill-mask"])
def test_an_empty_text_is_legal(build: Build, task: str, head: str) -> None:
    pipe = pipeline(task, model=build("bert", head))
    assert len(pipe(["", "cat", ""])) == 3
    assert pipe("") is not None


def test_a_text_without_a_mask(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForMaskedLM"))
    with pytest.raises(InputError, match=r"^Input 1: There is no mask in this text \(3 characters\)"):
        pipe([GOOD, "cat"])
    with pytest.raises(InputError, match=r"no mask left after the text was cut"):
        pipe("cat " * 80 + "[MASK]")


def test_truncation_that_is_forbidden(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForSequenceClassification"))
    with pytest.raises(InputError, match=r"^Input 1: An input has 102 tokens; this model reads 48"):
        pipe(["cat", "cat " * 100], truncation=False)


def test_a_length_without_room_for_special_tokens(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForSequenceClassification"))
    with pytest.raises(InputError, match="max_length=1 has no room: 2 special tokens"):
        pipe("cat", max_length=1)
    with pytest.raises(InputError, match="max_length must be an int, got 'long'"):
        pipe("cat", max_length="long")


@pytest.mark.parametrize(("task", "head"), TEXT_TASKS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite(build: Build, task: str, head: str, bad: float) -> None:
    pipe = pipeline(task, model=build("bert", head))
    if task == "fill-mask":
        # Otherwise the projection to the vocabulary has the same numbers, and every text is affected.
        pipe.model.head.decoder.weight = torch.nn.Parameter(pipe.model.head.decoder.weight.clone())
    # One row of the word embedding: only inputs with this word are affected.
    with torch.no_grad():
        pipe.model.get_input_embeddings().weight[pipe.tokenizer.convert_tokens_to_ids("dog")] = bad
    assert len(pipe([GOOD, GOOD.replace("sat", "cat")])) == 2
    with pytest.raises(NumericError, match=r"^Input 1: The model's \w+ are not finite[\s\S]*dtype='float32'"):
        pipe([GOOD, "the dog [MASK]", GOOD])
    with pytest.raises(NumericError, match=r"^The model's"):
        pipe("the dog [MASK]")


def test_a_tokenizer_with_more_words_than_the_model(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForSequenceClassification"))
    pipe.tokenizer.add_tokens(["zebra"])
    with pytest.raises(InputError, match=r"^Input 1: The tokenizer gave the id \d+, but the model's vocabulary ends"):
        pipe(["cat", "a zebra"])


def test_a_stride_without_room(build: Build) -> None:
    pipe = pipeline(model=build("bert", "BertForTokenClassification", **labels(*TAGS)))
    with pytest.raises(InputError, match="stride=46 leaves no room"):
        pipe("cat", stride=46, aggregation_strategy="simple")
    with pytest.raises(InputError, match="Did you mean 'first'"):
        pipe("cat", aggregation_strategy="frist")


def test_broken_images(build: Build, tmp_path: Path) -> None:
    pipe = pipeline(model=build("vit", "ViTForImageClassification"))
    good = Image.new("RGB", (40, 30), "red")
    good.save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:60])
    with pytest.raises(ImageError, match=r"^Input 1: "):
        pipe([good, str(tmp_path / "cut.png")])
    with pytest.raises(ImageError):
        pipe(str(tmp_path / "cut.png"))
    with pytest.raises(ImageError, match=r"^Input 2: "):
        list(pipe(iter([good, good, str(tmp_path / "nothing.png")])))
    with pytest.raises(InputTypeError, match=r"^Input 0: "):
        pipe([None])
    with pytest.raises(InputError):
        pipe(np.zeros((3,), dtype=np.uint8))


@pytest.mark.parametrize("head", ["ViTForImageClassification", "ViTModel"])
def test_images_whose_numbers_are_not_finite(build: Build, head: str) -> None:
    pipe = pipeline(model=build("vit", head))
    with torch.no_grad():
        next(pipe.model.parameters()).fill_(math.nan)
    with pytest.raises(NumericError, match=r"^Input 0: "):
        pipe([Image.new("RGB", (32, 32))])
