"""Tokens, scores and beams equal to the reference library's, for every strategy and rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from toy_generators import ENDS, EOS, PAD, VOCABULARY, pair, prompts

RULES: dict[str, dict[str, Any]] = {
    "none": {},
    "repetition": {"repetition_penalty": 1.7},
    "no_repeat_ngram": {"no_repeat_ngram_size": 2},
    "encoder_no_repeat_ngram": {"encoder_no_repeat_ngram_size": 2},
    "encoder_repetition": {"encoder_repetition_penalty": 1.5},
    "bad_words": {"bad_words_ids": [[5], [7, 9], [EOS], [19, 22, 4]]},
    "min_length": {"min_length": 12},
    "min_new_tokens": {"min_new_tokens": 8},
    "suppress": {"suppress_tokens": [4, 6, 50, 29]},
    "begin_suppress": {"begin_suppress_tokens": [3, 22, 51, 55, 45]},
    "forced_eos": {"forced_eos_token_id": EOS},
    "bias": {"sequence_bias": {(5,): 3.0, (8, 9): -4.0, (50, 29): 6.0}},
    "bias_as_lists": {"sequence_bias": [[[5], 3.0], [[50, 29], 6.0]]},
    "decay": {"exponential_decay_length_penalty": (3, 1.3)},
    "renormalize": {"renormalize_logits": True},
    "remove_invalid": {"remove_invalid_values": True},
    "allowed": {"prefix_allowed_tokens_fn": lambda row, ids: range(10 + row, 50)},
}


def outputs(**options: Any) -> tuple[Any, Any]:
    reference, ours = pair()
    return reference.generate(**prompts(), **options), ours.generate(**prompts(), **options)


@pytest.mark.slow
@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_gives_the_reference_tokens(rule: str, beams: int) -> None:
    theirs, ours = outputs(max_new_tokens=15, eos_token_id=ENDS, num_beams=beams, **RULES[rule])
    assert torch.equal(theirs, ours)


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("beams", [2, 5])
@pytest.mark.parametrize("ends", [EOS, ENDS])
def test_beam_search_gives_the_reference_texts(
    beams: int, length_penalty: float, early_stopping: Any, ends: Any
) -> None:
    options = {"num_beams": beams, "length_penalty": length_penalty, "early_stopping": early_stopping}
    theirs, ours = outputs(max_new_tokens=14, eos_token_id=ends, num_return_sequences=2, **options)
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize("beams", [1, 3])
def test_output_objects_hold_what_the_reference_holds(beams: int) -> None:
    asked = {f"output_{name}": True for name in ("scores", "logits", "attentions", "hidden_states")}
    theirs, ours = outputs(
        max_new_tokens=7, num_beams=beams, eos_token_id=ENDS, return_dict_in_generate=True, use_cache=False, **asked
    )
    assert type(ours).__name__ == type(theirs).__name__
    assert list(ours) == [name for name in theirs if name != "past_key_values"]
    assert torch.equal(theirs.sequences, ours.sequences)
    for name in ("scores", "logits"):
        assert len(theirs[name]) == len(ours[name])
        for one, other in zip(theirs[name], ours[name], strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    for name in ("attentions", "hidden_states"):
        for one, other in zip(theirs[name], ours[name], strict=True):
            assert [layer.shape for layer in one] == [layer.shape for layer in other]
            # Rows of padding attend to nothing; what stands there has no meaning.
            torch.testing.assert_close(one[-1][beams:], other[-1][beams:], atol=1e-4, rtol=1e-4)
    if beams > 1:
        assert torch.equal(theirs.beam_indices, ours.beam_indices)
        torch.testing.assert_close(theirs.sequences_scores, ours.sequences_scores)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("normalize", [False, True])
def test_transition_scores(beams: int, normalize: bool) -> None:
    reference, ours = pair()
    options = {"num_beams": beams, "eos_token_id": ENDS, "return_dict_in_generate": True, "output_scores": True}
    out = ours.generate(**prompts(), max_new_tokens=9, **options)
    indices = out.get("beam_indices")
    theirs = reference.compute_transition_scores(out.sequences, out.scores, indices, normalize_logits=normalize)
    mine = ours.compute_transition_scores(out.sequences, out.scores, indices, normalize_logits=normalize)
    torch.testing.assert_close(mine, theirs)


def test_without_a_prompt_the_text_starts_from_the_first_token() -> None:
    reference, ours = pair()
    assert torch.equal(reference.generate(max_new_tokens=6), ours.generate(max_new_tokens=6))


def test_twenty_tokens_are_written_where_nothing_is_said() -> None:
    reference, ours = pair()
    with pytest.warns(UserWarning, match="max_length"):
        theirs = reference.generate(**prompts())
    assert torch.equal(theirs, ours.generate(**prompts()))


def test_padding_is_known_from_the_padding_token() -> None:
    reference, ours = pair()
    ids = prompts()["input_ids"]
    assert torch.equal(reference.generate(ids, max_new_tokens=9), ours.generate(ids, max_new_tokens=9))


def test_a_beam_that_ends_early_is_filled_with_the_padding_token_even_if_that_is_zero() -> None:
    _, ours = pair()
    options = {"num_beams": 4, "max_new_tokens": 15, "eos_token_id": ENDS, "length_penalty": -1.0}
    texts = [ours.generate(**prompts(), **options, pad_token_id=pad)[:, 6:] for pad in (PAD, 0)]
    ended = torch.isin(texts[0], torch.tensor(ENDS)).cumsum(1).roll(1, 1).bool()
    ended[:, 0] = False
    assert ended.any()
    assert (texts[0][ended] == PAD).all()
    assert (texts[1][ended] == 0).all()
    assert torch.equal(texts[0][~ended], texts[1][~ended])


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.7},
        {"top_k": 5},
        {"top_p": 0.8, "top_k": 0},
        {"min_p": 0.1, "top_k": 0},
        {"typical_p": 0.7, "top_k": 0},
        {"epsilon_cutoff": 0.01, "top_k": 0},
        {"eta_cutoff": 0.02, "top_k": 0},
        {"top_h": 0.5, "top_k": 0},
        {"temperature": 1.3, "top_k": 12, "top_p": 0.9, "repetition_penalty": 1.2},
    ],
)
def test_a_sample_is_drawn_from_the_reference_distribution(options: dict[str, Any]) -> None:
    reference, ours = pair()
    asked = {"do_sample": True, "max_new_tokens": 1, "return_dict_in_generate": True, "output_scores": True}
    theirs = reference.generate(**prompts(), **asked, **options).scores[0]
    mine = ours.generate(**prompts(), **asked, **options).scores[0]
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    assert (mine.isneginf() == theirs.isneginf()).all()


def test_the_users_processor_and_criterion_are_called_as_the_reference_calls_them() -> None:
    reference, ours = pair()

    def only_even(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.index_fill(1, torch.arange(1, VOCABULARY, 2), -torch.inf)

    def at_thirty(input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return (input_ids[:, 6:] > 30).sum(1) >= 3

    results = [
        model.generate(
            **prompts(),
            max_new_tokens=20,
            logits_processor=kind([only_even]),
            stopping_criteria=criteria([at_thirty]),
        )
        for model, kind, criteria in (
            (reference, transformers.LogitsProcessorList, transformers.StoppingCriteriaList),
            (ours, list, list),
        )
    ]
    assert torch.equal(*results)
    assert (results[1][:, 6:] % 2 == 0)[results[1][:, 6:] != PAD].all()


def test_one_boolean_from_a_criterion_counts_for_all_rows() -> None:
    _, ours = pair()
    out = ours.generate(**prompts(), max_new_tokens=20, stopping_criteria=[lambda ids, scores: ids.shape[1] >= 10])
    assert out.shape[1] == 10


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"max_length": 14}, {"repetition_penalty": 1.5}])
def test_vectors_in_place_of_ids(options: dict[str, Any]) -> None:
    reference, ours = pair()
    given = prompts()
    ids = given.pop("input_ids")
    options = {"max_new_tokens": 9, "eos_token_id": ENDS, **options}
    if "max_length" in options:
        del options["max_new_tokens"]
    if "repetition_penalty" in options:
        ids = ids[1:]  # one row's padding would be counted otherwise: the two differ in what it is counted in
        given["attention_mask"] = given["attention_mask"][1:]
        with pytest.warns(UserWarning, match="inputs_embeds"):
            theirs = reference.generate(inputs_embeds=reference.get_input_embeddings()(ids), **given, **options)
    else:
        theirs = reference.generate(inputs_embeds=reference.get_input_embeddings()(ids), **given, **options)
    mine = ours.generate(inputs_embeds=ours.get_input_embeddings()(ids), **given, **options)
    assert torch.equal(theirs, mine)
    assert mine.shape[1] <= 9


@pytest.mark.slow
@pytest.mark.parametrize("negative", [False, True])
def test_guidance_away_from_another_prompt(negative: bool) -> None:
    reference, ours = pair()
    given = prompts(padded=0)
    other = {"negative_prompt_ids": torch.tensor([[4, 8]]).repeat(3, 1)} if negative else {}
    options = {"guidance_scale": 1.6, "max_new_tokens": 10, **other}
    theirs = reference.generate(**given, **options)
    mine = ours.generate(**given, **options)
    assert torch.equal(theirs, mine)
    assert not torch.equal(mine, ours.generate(**given, max_new_tokens=10))
    drafted = ours.generate(given["input_ids"][:1], prompt_lookup_num_tokens=3, **{**options, **first_row(other)})
    assert torch.equal(drafted, ours.generate(given["input_ids"][:1], **{**options, **first_row(other)}))


def first_row(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value[:1] for name, value in given.items()}
