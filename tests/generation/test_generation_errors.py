"""What cannot be followed is refused with its cause; what is only odd is said in a log line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from toy_generators import EOS, PAD, VOCABULARY, pair, prompts

from samovar.errors import ConfigError, InputError, InputTypeError, NumericError
from samovar.generation import GenerationConfig


def generate(*arguments: Any, **options: Any) -> Any:
    return pair()[1].generate(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"input_ids": torch.zeros(1, 0, dtype=torch.long)}, InputError, "prompt is empty"),
        ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, InputError, "prompt is empty"),
        ({"input_ids": torch.tensor([5, 6])}, InputError, r"\(rows, length\)"),
        ({"input_ids": [[5, 6]]}, InputTypeError, "return_tensors"),
        ({"input_ids": torch.ones(1, 3)}, InputTypeError, "whole numbers"),
        ({"inputs": {"input_ids": torch.ones(1, 3)}}, InputTypeError, r"\*\*inputs"),
        ({"inputs": torch.tensor([[5]]), "input_ids": torch.tensor([[5]])}, InputError, "twice"),
        ({"input_ids": torch.tensor([[5, 6]]), "attention_mask": torch.ones(1, 3)}, InputError, r"\(1, 3\)"),
        ({"input_ids": torch.tensor([[5], [6]]), "attention_mask": torch.tensor([[1], [0]])}, InputError, r"\[1\]"),
        ({"input_ids": torch.full((1, 64), 5)}, InputError, "64 positions"),
        ({"input_ids": torch.full((1, 70), 5)}, InputError, "64 positions"),
        ({"input_ids": torch.full((1, 9), 5), "max_length": 9}, InputError, "max_length=9"),
        ({"min_new_tokens": 9, "max_new_tokens": 4}, ConfigError, "min_new_tokens=9"),
        ({"min_length": 30, "max_length": 20}, ConfigError, "min_length=30"),
        ({"num_beams": VOCABULARY + 1}, InputError, f"{VOCABULARY} tokens"),
        ({"num_beams": 5, "eos_token_id": list(range(VOCABULARY + 1))}, InputError, "candidates"),
        ({"num_beams": 2, "num_return_sequences": 3}, ConfigError, "num_return_sequences=3"),
        ({"num_return_sequences": 3}, ConfigError, "greedy"),
        ({"bos_token_id": None}, InputError, "beginning-of-text"),
        ({"max_new_tokns": 3}, InputError, "max_new_tokens"),
        ({"num_beam_groups": 2, "num_beams": 4}, ConfigError, "num_beam_groups"),
        ({"penalty_alpha": 0.6}, ConfigError, "penalty_alpha"),
        ({"exponential_decay_length_penalty": (2, 1.1), "eos_token_id": None}, ConfigError, "end token"),
        ({"suppress_tokens": list(range(VOCABULARY))}, NumericError, "forbid every token"),
        ({"suppress_tokens": list(range(VOCABULARY)), "num_beams": 3}, NumericError, "forbid every token"),
        ({"suppress_tokens": list(range(VOCABULARY)), "do_sample": True}, NumericError, "forbid every token"),
        ({"suppress_tokens": list(range(VOCABULARY)), "eos_token_id": None}, NumericError, "forbid every token"),
    ],
)
def test_what_cannot_be_followed_is_refused(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        generate(**arguments)


def test_rows_that_end_apart_need_a_padding_token() -> None:
    options = {"eos_token_id": None, "pad_token_id": None, "max_new_tokens": 5}
    ours = pair()[1]
    own, ours.generation_config = ours.generation_config, GenerationConfig(bos_token_id=1)
    try:
        stop = [lambda ids, scores: ids[:, -1] > 30]
        with pytest.raises(InputError, match="pad_token_id"):
            generate(prompts()["input_ids"], stopping_criteria=stop, **options)
        # One row, or rows that end together, need none.
        assert generate(prompts()["input_ids"], **options).shape == (3, 11)
        assert generate(prompts()["input_ids"][:1], stopping_criteria=stop, **options).shape[0] == 1
    finally:
        ours.generation_config = own


def test_without_an_end_token_the_text_goes_on_to_its_longest() -> None:
    assert generate(**prompts(), eos_token_id=None, max_new_tokens=30).shape == (3, 36)
    assert generate(**prompts(), eos_token_id=None, num_beams=2, max_new_tokens=9).shape == (3, 15)


def test_the_end_token_fills_up_where_there_is_no_padding_token() -> None:
    ends = [EOS, 7, 9, 20, 31, 44]
    out = generate(**prompts(), eos_token_id=ends, pad_token_id=None, max_new_tokens=20)
    same = generate(**prompts(), eos_token_id=ends, pad_token_id=PAD, max_new_tokens=20)
    assert out.shape == same.shape
    assert ((out == same) | (out == EOS)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 3, "max_length": 12}, "max_new_tokens counts"),
        ({"max_new_tokens": 3, "min_new_tokens": 1, "min_length": 2}, "min_new_tokens counts"),
        ({"max_new_tokens": 3, "temperature": 0.5}, "temperature: without effect"),
        ({"max_new_tokens": 100}, "the text ends there"),
    ],
)
def test_what_is_odd_is_said(arguments: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="samovar"):
        out = generate(**prompts(), eos_token_id=None, **arguments)
    assert message in caplog.text
    assert out.shape[1] == min(6 + arguments["max_new_tokens"], 64)


def test_padding_on_the_right_is_said(caplog: pytest.LogCaptureFixture) -> None:
    ids = torch.tensor([[5, 6, PAD], [5, 6, 7]])
    with caplog.at_level(logging.WARNING, logger="samovar"):
        generate(ids, attention_mask=(ids != PAD).long(), max_new_tokens=2)
    assert "padding_side = 'left'" in caplog.text


def test_padding_that_may_be_meant_is_said(caplog: pytest.LogCaptureFixture) -> None:
    ids = torch.tensor([[EOS, 6, 8], [5, 6, 7]])
    with caplog.at_level(logging.WARNING, logger="samovar"):
        generate(ids, pad_token_id=EOS, max_new_tokens=2)
    assert "no attention_mask" in caplog.text


def test_a_minimum_from_the_models_file_gives_way_to_the_calls_maximum(caplog: pytest.LogCaptureFixture) -> None:
    ours = pair()[1]
    own = ours.generation_config
    ours.generation_config = GenerationConfig(min_length=40, eos_token_id=EOS, pad_token_id=PAD)
    try:
        with caplog.at_level(logging.WARNING, logger="samovar"):
            assert generate(**prompts(), max_new_tokens=4).shape[1] == 10
    finally:
        ours.generation_config = own
    assert "above the maximum" in caplog.text


def test_weights_that_are_no_numbers_are_noticed() -> None:
    ours = pair()[1]
    weight = ours.get_output_embeddings().weight
    kept = weight.detach().clone()
    try:
        weight.data.fill_(torch.nan)
        for options in ({}, {"num_beams": 2}, {"do_sample": True}):
            with pytest.raises(NumericError, match="not finite"):
                generate(**prompts(), max_new_tokens=2, **options)
    finally:
        weight.data.copy_(kept)


def test_time_ends_a_text() -> None:
    out = generate(**prompts(), max_new_tokens=40, eos_token_id=None, max_time=1e-9)
    assert out.shape[1] == 7
