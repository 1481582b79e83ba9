"""Random combinations of options: the reference's tokens each time."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from toy_generators import ENDS, EOS, PAD, VOCABULARY, pair


def some_tokens(draw: random.Random, count: int) -> list[int]:
    return draw.sample(range(4, VOCABULARY), count)


def random_options(draw: random.Random) -> dict[str, Any]:
    """A strategy and up to four rules."""
    longest = draw.randint(1, 18)
    beams = draw.choice([1, 1, 2, 3, 6])
    options: dict[str, Any] = {
        "max_new_tokens": longest,
        "eos_token_id": draw.choice([EOS, ENDS, some_tokens(draw, 9)]),
        "num_beams": beams,
    }
    if beams > 1:
        options["length_penalty"] = draw.choice([-2.0, -0.5, 0.0, 0.7, 1.0, 3.0])
        options["early_stopping"] = draw.choice([True, False, "never"])
        options["num_return_sequences"] = draw.randint(1, beams)
    rules: dict[str, Any] = {
        "repetition_penalty": draw.choice([0.8, 1.3, 2.0]),
        "no_repeat_ngram_size": draw.choice([2, 3]),
        "bad_words_ids": [some_tokens(draw, draw.randint(1, 3)) for _ in range(5)],
        "min_new_tokens": draw.randint(1, longest),
        "suppress_tokens": some_tokens(draw, 6),
        "begin_suppress_tokens": some_tokens(draw, 6),
        "forced_bos_token_id": 5,
        "forced_eos_token_id": EOS,
        "sequence_bias": {tuple(some_tokens(draw, draw.randint(1, 3))): draw.uniform(-5, 5) for _ in range(5)},
        "exponential_decay_length_penalty": (draw.randint(0, 5), draw.uniform(1, 1.5)),
        "renormalize_logits": True,
        "remove_invalid_values": True,
    }
    return options | {name: rules[name] for name in draw.sample(list(rules), draw.randint(0, 4))}


def random_prompts(draw: random.Random) -> dict[str, torch.Tensor]:
    """One to four prompts, half of them padded."""
    rows, length = draw.randint(1, 4), draw.randint(1, 9)
    ids = torch.randint(4, VOCABULARY, (rows, length))
    mask = torch.ones_like(ids)
    for row in range(rows):
        padding = draw.choice([0, draw.randint(0, length - 1)])
        ids[row, :padding], mask[row, :padding] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_random_combinations_give_the_reference_tokens(seed: int) -> None:
    draw = random.Random(seed)
    reference, ours = pair()
    for _ in range(8):
        options, given = random_options(draw), random_prompts(draw)
        assert torch.equal(reference.generate(**given, **options), ours.generate(**given, **options)), options
