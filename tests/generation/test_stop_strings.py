"""Texts that end at a string, wherever the tokens cut it."""

from __future__ import annotations

import pytest
import torch
from byte_tokenizer import byte_tokenizer, ids_of
from toy_generators import PAD, pair, prompts

from samovar.errors import ConfigError, InputTypeError
from samovar.generation import StopStringCriteria


@pytest.mark.parametrize(
    ("text", "stops", "token"),
    [
        ("two cups of tea", ["cup"], "p"),
        ("two cups of tea", ["of t"], " tea"),
        ("two cups of tea", ["of ", "s o"], "o"),
        ("чай с мёдом", ["ёд"], None),
        ("一杯茶", ["茶"], None),
        ("nothing here", ["tea"], ""),
    ],
)
def test_the_first_token_that_completes_a_stop_string_ends_the_row(
    text: str, stops: list[str], token: str | None
) -> None:
    ids, criterion = ids_of(text), StopStringCriteria(byte_tokenizer(), stops)
    ends = [bool(criterion(torch.tensor([ids[: end + 1]]), None)) for end in range(len(ids))]
    if token == "":
        assert not any(ends)
        return
    first = ends.index(True)
    written = byte_tokenizer().decode(ids[: first + 1])
    assert any(stop in written for stop in stops)
    assert not any(stop in byte_tokenizer().decode(ids[:first]) for stop in stops)
    assert sum(ends) == sum(1 for end in range(len(ids)) if completes(ids, end, stops))
    if token is not None:
        assert byte_tokenizer().decode([ids[first]]) == token


def completes(ids: list[int], end: int, stops: list[str]) -> bool:
    before, after = (byte_tokenizer().decode(ids[:stop]) for stop in (end, end + 1))
    return any(after.count(stop) > before.count(stop) for stop in stops)


def test_rows_end_by_themselves_and_a_string_in_the_prompt_ends_nothing() -> None:
    _, model = pair()
    prompt = prompts(padded=0)["input_ids"]
    options = {"max_new_tokens": 10, "eos_token_id": None, "tokenizer": byte_tokenizer()}
    free = model.generate(prompt, max_new_tokens=10, eos_token_id=None)
    # In text, since one row may hold the same characters in other tokens.
    texts = [byte_tokenizer().decode(row[6:].tolist()) for row in free]
    stop = texts[0][3:5]
    out = model.generate(prompt, stop_strings=[stop], **options)
    for row, text in zip(out, texts, strict=True):
        written = byte_tokenizer().decode(row[6:][row[6:] != PAD].tolist())
        end = text.find(stop)
        assert written == (text if end < 0 else text[: end + len(stop)])
    in_prompt = byte_tokenizer().decode(prompt[0, 1:6].tolist())
    assert torch.equal(model.generate(prompt, stop_strings=in_prompt, **options), free)


def test_beams_end_at_stop_strings_too() -> None:
    _, model = pair()
    prompt = torch.tensor([[20, 30, 40]])
    free = model.generate(prompt, max_new_tokens=10, eos_token_id=None, num_beams=3)
    stop = byte_tokenizer().decode(free[0, 4:6].tolist())
    out = model.generate(
        prompt, max_new_tokens=10, num_beams=3, stop_strings=stop, tokenizer=byte_tokenizer(), length_penalty=-5.0
    )
    assert byte_tokenizer().decode(out[0][out[0] != 3].tolist()).endswith(stop) or out.shape[1] == 13


def test_stop_strings_need_a_tokenizer_and_text() -> None:
    _, model = pair()
    with pytest.raises(ConfigError, match="tokenizer=tokenizer"):
        model.generate(torch.tensor([[5]]), stop_strings="x")
    with pytest.raises(InputTypeError):
        StopStringCriteria(byte_tokenizer(), ["", "x"])
