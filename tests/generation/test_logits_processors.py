"""Every processor gives the reference's scores for the same scores in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from samovar import generation
from samovar.errors import ConfigError

ROWS, VOCABULARY = 5, 83
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("TemperatureLogitsWarper", (0.6,), {}),
    ("TopKLogitsWarper", (9,), {}),
    ("TopKLogitsWarper", (1,), {"min_tokens_to_keep": 4}),
    ("TopKLogitsWarper", (900,), {"filter_value": -5.0}),
    *[("TopPLogitsWarper", (value,), {}) for value in (0.0, 0.1, 0.5, 0.95, 1.0)],
    ("TopPLogitsWarper", (0.2,), {"min_tokens_to_keep": 6}),
    *[("MinPLogitsWarper", (value,), {"min_tokens_to_keep": 2}) for value in (0.0, 0.02, 0.3, 1.0)],
    *[("TypicalLogitsWarper", (value,), {}) for value in (0.1, 0.5, 0.9)],
    ("TypicalLogitsWarper", (0.3,), {"min_tokens_to_keep": 5}),
    *[("EpsilonLogitsWarper", (value,), {}) for value in (1e-3, 0.02, 0.9)],
    *[("EtaLogitsWarper", (value,), {}) for value in (1e-3, 0.05, 0.9)],
    ("EtaLogitsWarper", (0.9,), {"min_tokens_to_keep": 3}),
    *[("TopHLogitsWarper", (value,), {}) for value in (0.2, 0.6, 0.95)],
    ("LogitNormalization", (), {}),
    ("InfNanRemoveLogitsProcessor", (), {}),
    ("MinLengthLogitsProcessor", (30, [4, 7]), {}),
    ("MinLengthLogitsProcessor", (3, 4), {}),
    ("MinNewTokensLengthLogitsProcessor", (10, 8, 4), {}),
    ("MinNewTokensLengthLogitsProcessor", (10, 1, 4), {}),
    ("SuppressTokensLogitsProcessor", ([1, 5, 80],), {}),
    ("SuppressTokensAtBeginLogitsProcessor", ([1, 5], 12), {}),
    ("SuppressTokensAtBeginLogitsProcessor", ([1, 5], 11), {}),
    ("ForcedEOSTokenLogitsProcessor", (13, [4, 6]), {}),
    ("ForcedEOSTokenLogitsProcessor", (20, 4), {}),
    ("ForcedBOSTokenLogitsProcessor", (4,), {}),
    ("RepetitionPenaltyLogitsProcessor", (1.4,), {}),
    ("RepetitionPenaltyLogitsProcessor", (0.7,), {"prompt_ignore_length": 4}),
    ("RepetitionPenaltyLogitsProcessor", (1.4,), {"prompt_ignore_length": torch.tensor([0, 3, 6, 1, 11])}),
    *[("NoRepeatNGramLogitsProcessor", (size,), {}) for size in (1, 2, 3, 20)],
    ("SequenceBiasLogitsProcessor", ({(3,): 2.0, (2, 5): -3.0, (1, 0, 4): 7.0, (6,): -1.0},), {}),
    ("SequenceBiasLogitsProcessor", ([[[3], 2.0], [[2, 5], -3.0]],), {}),
    ("NoBadWordsLogitsProcessor", ([[3], [2, 5], [0, 1], [4]],), {"eos_token_id": 4}),
    ("ExponentialDecayLengthPenalty", ((2, 1.1), [4, 6], 5), {}),
    ("ExponentialDecayLengthPenalty", ((2, 1.1), 4, 50), {}),
    ("PrefixConstrainedLogitsProcessor", (lambda row, ids: [row, int(ids[-1])], 1), {}),
]


def text(rows: int = ROWS, length: int = 12) -> torch.Tensor:
    # Few different tokens, so that n-grams repeat.
    return torch.randint(0, 7, (rows, length), generator=torch.Generator().manual_seed(1))


def score_kinds() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    plain = torch.randn(ROWS, VOCABULARY, generator=draw) * 3
    flat = torch.randn(ROWS, VOCABULARY, generator=draw) * 0.01
    holes = plain.masked_fill(torch.rand(ROWS, VOCABULARY, generator=draw) < 0.3, -torch.inf)
    return [plain, flat, holes]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_scores_are_the_reference_scores_and_the_arguments_stay_as_they_are(case: Any) -> None:
    name, arguments, options = case
    for ids in (text(), text(length=1)):
        for scores in score_kinds():
            if name == "NoRepeatNGramLogitsProcessor" and ids.shape[1] == 1 and arguments[0] == 1:
                continue  # a single token has no n-gram window in one of the two
            if name == "InfNanRemoveLogitsProcessor":
                scores = scores.index_fill(1, torch.tensor([3]), torch.nan).index_fill(1, torch.tensor([4]), torch.inf)
            theirs = getattr(transformers.generation.logits_process, name)(*arguments, **options)
            ours = getattr(generation, name)(*arguments, **options)
            given_ids, given = ids.clone(), scores.clone()
            result = ours(ids, scores)
            torch.testing.assert_close(result, theirs(ids.clone(), scores.clone()), atol=1e-6, rtol=1e-6)
            assert torch.equal(ids, given_ids)
            torch.testing.assert_close(scores, given, equal_nan=True)


@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9, 0.995, 0.9999])
@pytest.mark.parametrize("width", [0.5, 3.0, 6.0])
def test_top_p_over_a_large_vocabulary(top_p: float, width: float) -> None:
    scores = torch.randn(4, 9000, generator=torch.Generator().manual_seed(3)) * width
    for given in (scores, scores.masked_fill(scores < scores.topk(50)[0][:, -1:], -torch.inf)):
        for options in ({}, {"min_tokens_to_keep": 5, "filter_value": -9.0}):
            theirs = transformers.TopPLogitsWarper(top_p, **options)(text(4), given)
            torch.testing.assert_close(generation.TopPLogitsWarper(top_p, **options)(text(4), given), theirs)


@pytest.mark.parametrize("beams", [1, 3])
def test_rules_about_the_encoders_text(beams: int) -> None:
    source, scores = text(2, 9), torch.randn(2 * beams, VOCABULARY)
    ids = text(2 * beams, 5)
    for name, value in (
        ("EncoderRepetitionPenaltyLogitsProcessor", 1.6),
        ("EncoderNoRepeatNGramLogitsProcessor", 2),
        ("EncoderNoRepeatNGramLogitsProcessor", 3),
    ):
        theirs = getattr(transformers.generation.logits_process, name)(value, source)
        torch.testing.assert_close(getattr(generation, name)(value, source)(ids, scores), theirs(ids, scores.clone()))


def test_a_list_applies_in_order_and_passes_further_arguments_by_name() -> None:
    def add(input_ids: torch.Tensor, scores: torch.Tensor, amount: float) -> torch.Tensor:
        return scores + amount

    both = generation.LogitsProcessorList([generation.TemperatureLogitsWarper(0.5), add])
    torch.testing.assert_close(both(text(), torch.ones(ROWS, 4), amount=3.0), torch.full((ROWS, 4), 5.0))
    with pytest.raises(ConfigError, match="amount"):
        both(text(), torch.ones(ROWS, 4))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("TemperatureLogitsWarper", (0,)),
        ("TopKLogitsWarper", (0,)),
        ("TopPLogitsWarper", (1.1,)),
        ("MinPLogitsWarper", (-0.1,)),
        ("TypicalLogitsWarper", (1.0,)),
        ("EpsilonLogitsWarper", (0.0,)),
        ("EtaLogitsWarper", (1.0,)),
        ("TopHLogitsWarper", (0.0,)),
        ("RepetitionPenaltyLogitsProcessor", (0.0,)),
        ("NoRepeatNGramLogitsProcessor", (0,)),
        ("MinLengthLogitsProcessor", (-1, 2)),
        ("MinNewTokensLengthLogitsProcessor", (1, -1, 2)),
        ("MinLengthLogitsProcessor", (3, [-1])),
        ("ForcedEOSTokenLogitsProcessor", (5, [1.5])),
        ("SequenceBiasLogitsProcessor", ({},)),
        ("SequenceBiasLogitsProcessor", ({(): 1.0},)),
        ("SequenceBiasLogitsProcessor", ({(1,): "much"},)),
        ("NoBadWordsLogitsProcessor", ([],)),
        ("NoBadWordsLogitsProcessor", ([5],)),
    ],
)
def test_values_outside_their_range_are_refused(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError):
        getattr(generation, name)(*arguments)


def test_a_bias_outside_the_vocabulary_and_an_empty_allowance_are_refused() -> None:
    scores = torch.zeros(ROWS, 4)
    with pytest.raises(ConfigError, match="vocabulary ends at 3"):
        generation.SequenceBiasLogitsProcessor({(9,): 1.0})(text(), scores)
    with pytest.raises(ConfigError, match="returned no token"):
        generation.PrefixConstrainedLogitsProcessor(lambda row, ids: [], 1)(text(), scores)
