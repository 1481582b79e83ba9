"""Samples: drawn from the right distribution, repeatable, and the same for a prompt whatever stands beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy_generators import pair, prompts

from samovar.generation.draws import Draws, pick
from samovar.generation.prompt import Prompt
from samovar.generation.sampling import BLOCK, best_of

SAMPLED: list[dict[str, Any]] = [
    {"do_sample": True, "seed": 7},
    {"do_sample": True, "seed": 7, "top_k": 0, "temperature": 1.5},
    {"do_sample": True, "seed": 7, "num_beams": 3},
]


def alone(row: int, **options: Any) -> torch.Tensor:
    """What the model answers to one prompt without padding."""
    given = prompts()
    real = given["attention_mask"][row].bool()
    return pair()[1].generate(given["input_ids"][row][real][None], **options)[0, int(real.sum()) :]


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"repetition_penalty": 1.5}, *SAMPLED])
def test_an_answer_does_not_depend_on_the_batch(options: dict[str, Any]) -> None:
    together = pair()[1].generate(**prompts(), max_new_tokens=14, **options)[:, 6:]
    for row in range(3):
        single = alone(row, max_new_tokens=14, **options)
        assert torch.equal(together[row, : len(single)], single)


def test_an_answer_does_not_depend_on_the_place_in_the_batch() -> None:
    given = prompts()
    turned = {name: value.flip(0) for name, value in given.items()}
    options = {"do_sample": True, "seed": 3, "max_new_tokens": 14}
    model = pair()[1]
    assert torch.equal(model.generate(**given, **options), model.generate(**turned, **options).flip(0))


def test_equal_prompts_and_copies_get_samples_of_their_own() -> None:
    model, ids = pair()[1], torch.tensor([[20, 30, 40]])
    options = {"do_sample": True, "seed": 3, "max_new_tokens": 12, "top_k": 0}
    several = model.generate(ids, num_return_sequences=4, **options)
    assert len({tuple(row) for row in several.tolist()}) == 4
    assert torch.equal(several, model.generate(ids.repeat(4, 1), **options))


def test_the_seed_decides_and_torchs_own_does_where_none_is_given() -> None:
    model, ids = pair()[1], torch.tensor([[20, 30, 40]])
    draw = lambda **options: model.generate(ids, do_sample=True, max_new_tokens=12, **options).tolist()  # noqa: E731
    assert draw(seed=1) == draw(seed=1) != draw(seed=2)
    state = torch.random.get_rng_state()
    draw(seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(9)
    first, second = draw(), draw()
    torch.manual_seed(9)
    assert [first, second] == [draw(), draw()]
    assert first != second


def test_drawn_tokens_follow_the_distribution_and_impossible_ones_never_come() -> None:
    rows, scores = 40_000, torch.tensor([0.3, -torch.inf, 1.0, -2.0, 0.0, -torch.inf])
    uniform = torch.rand(rows, dtype=torch.float64)
    counts = torch.bincount(pick(scores.expand(rows, -1), uniform), minlength=6)
    expected = scores.softmax(0) * rows
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert chi_square < 20  # 3 degrees of freedom: above this once in 5,000 times; the seed is fixed


def test_the_ends_of_the_unit_interval_pick_possible_tokens() -> None:
    scores = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    low, high = torch.zeros(1, dtype=torch.float64), torch.full((1,), 1 - 2**-53, dtype=torch.float64)
    assert pick(scores, low).tolist() == [1]
    assert pick(scores, high).tolist() == [2]


def test_a_streams_numbers_do_not_depend_on_how_many_were_asked_for_before() -> None:
    prompt = Prompt(torch.tensor([[5, 6], [7, 8]]), None)
    some, other = (Draws(prompt, 4, torch.device("cpu")) for _ in range(2))
    late = some.uniform(100)
    for step in range(100):
        other.uniform(step)
    assert torch.equal(late, other.uniform(100))
    assert ((late >= 0) & (late < 1)).all()


def test_beam_samples_without_replacement_follow_the_scores() -> None:
    draws = Draws(Prompt(torch.arange(20_000)[:, None], None), 5, torch.device("cpu"))
    log_probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    order = (log_probabilities + draws.gumbel((4,))).topk(2)[1]
    first = torch.bincount(order[:, 0], minlength=4) / 20_000
    torch.testing.assert_close(first, log_probabilities.exp(), atol=0.015, rtol=0)
    second_after_first = torch.bincount(order[order[:, 0] == 0][:, 1], minlength=4).float()
    torch.testing.assert_close(
        second_after_first / second_after_first.sum(), torch.tensor([0.0, 0.6, 0.3, 0.1]), atol=0.02, rtol=0
    )


@pytest.mark.parametrize("words", [5, 32 * BLOCK, 32 * BLOCK + 1, 50_257])
def test_the_best_token_is_the_first_of_the_highest(words: int) -> None:
    scores = torch.randint(0, 50, (6, words), generator=torch.Generator().manual_seed(0)).float()
    scores[1] = -torch.inf
    scores[2, -1] = 99  # the last one, which may stand alone behind the blocks
    scores[3, words // 2 :] = 99
    best, tokens = best_of(scores)
    assert torch.equal(best, scores.amax(-1))
    for row, token in zip(scores.tolist(), tokens.tolist(), strict=True):
        assert token == row.index(max(row))
    scores[4, words // 3] = torch.nan
    assert best_of(scores)[0][4].isnan()
