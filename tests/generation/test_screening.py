"""A coarse look at all words and a close look at few give the words that all logits would have given."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

import samovar
from samovar import generation
from samovar.errors import NumericError
from samovar.generation import screening
from samovar.generation.processors import LogitsProcessor, LogitsProcessorList
from samovar.generation.screening import Screen, coarse_copy, copy_of, needed
from samovar.nn.whole_product import available

WORDS = 3000
SIZES: dict[str, Any] = {"vocab_size": WORDS, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 1}
BOTH: dict[str, Any] = {"vocab_size": WORDS, "d_model": 64, "decoder_start_token_id": 0, **ENDS}
KINDS: dict[str, Callable[[], samovar.Config]] = {
    "GPT2LMHeadModel": lambda: samovar.GPT2Config(**SIZES, **ENDS),
    "LlamaForCausalLM": lambda: samovar.LlamaConfig(**SIZES, **ENDS, intermediate_size=96),
    # Bounded logits, a scaled state, a bias beside the words.
    "Gemma2ForCausalLM": lambda: samovar.Gemma2Config(
        **SIZES, **ENDS, intermediate_size=96, head_dim=16, num_key_value_heads=2, final_logit_softcapping=3.0
    ),
    "T5ForConditionalGeneration": lambda: samovar.T5Config(**BOTH, d_kv=16, d_ff=96, num_layers=2, num_heads=4),
    "BartForConditionalGeneration": lambda: samovar.BartConfig(
        **BOTH, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=96, decoder_ffn_dim=96, forced_eos_token_id=None,
    ),
}  # fmt: skip
OPTIONS: dict[str, Any] = {"max_new_tokens": 24, "do_sample": False}


def model_of(name: str = "GPT2LMHeadModel", spread: float = 0.3) -> Any:
    torch.manual_seed(3)
    model = getattr(samovar, name)(KINDS[name]()).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=spread)
    if hasattr(model.head, "logits_bias"):
        model.head.logits_bias.normal_()
    return model


def prompt() -> Tensor:
    return torch.randint(2, WORDS, (1, 7), generator=torch.Generator().manual_seed(4))


class Seen:
    """What screens did: how often they looked closely, how often that was not enough."""

    def __init__(self) -> None:
        self.near: list[int] = []
        self.again = 0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Screens for small projections and short texts too."""
    monkeypatch.setattr(screening, "LARGE", 0)
    monkeypatch.setattr(screening, "STEPS", 1)
    kept, close, every = Seen(), Screen.__call__, Screen.all_logits

    def call(self: Screen, x: Tensor) -> Tensor:
        logits = close(self, x)
        if not self.off:
            kept.near.append(WORDS if self.near is None else len(self.near))
        return logits

    def again(self: Screen) -> Tensor:
        kept.again += 1
        return every(self)

    monkeypatch.setattr(Screen, "__call__", call)
    monkeypatch.setattr(Screen, "all_logits", again)
    return kept


def plainly(model: Any, **options: Any) -> Tensor:
    """What is written without a screen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "available", lambda: False)
        return model.generate(prompt(), **options)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repetition_penalty": 1.6, "no_repeat_ngram_size": 2, "temperature": 0.7},
        {"do_sample": True, "top_k": 40, "seed": 5},
        {"do_sample": True, "top_k": 12, "top_p": 0.8, "temperature": 1.4, "min_p": 0.01, "seed": 6},
        {"do_sample": True, "top_k": 30, "typical_p": 0.9, "repetition_penalty": 1.3, "seed": 7},
    ],
)  # fmt: skip
def test_the_same_words_are_written(name: str, options: dict[str, Any], seen: Seen) -> None:
    model = model_of(name)
    wanted = plainly(model, **(OPTIONS | options))
    assert not seen.near
    found = model.generate(prompt(), **(OPTIONS | options))
    assert torch.equal(found, wanted)
    assert len(wanted[0].unique()) > 1, "The text says something."
    assert "decoder" not in model.head.__dict__
    assert "forward" not in model.head.__dict__
    if available():
        assert len(seen.near) == OPTIONS["max_new_tokens"]
        assert sum(seen.near) < len(seen.near) * WORDS / 4, "Few words are computed."


def test_forbidden_words_let_all_be_computed(seen: Seen) -> None:
    model = model_of()
    best = model(prompt()).logits[0, -1].topk(200).indices.tolist()
    for options in ({}, {"do_sample": True, "top_k": 8, "seed": 3}):
        options = OPTIONS | options | {"suppress_tokens": best}
        seen.again = 0
        found = model.generate(prompt(), **options)
        assert torch.equal(found, plainly(model, **options))
        assert not set(found[0, 7:].tolist()) & set(best)
        if available():
            assert 0 < seen.again < len(seen.near)


def test_where_rules_take_other_words_few_steps_look_twice(seen: Seen) -> None:
    model = model_of()
    options = OPTIONS | {"max_new_tokens": 60, "sequence_bias": [[[word], 1e3] for word in range(50, 60)]}
    found = model.generate(prompt(), **options)
    assert torch.equal(found, plainly(model, **options))
    assert found[0, 7:].min() >= 50
    assert found[0, 7:].max() < 60
    if available():
        assert 0 < seen.again <= (60 + screening.FIRST) / 4 + 1
        assert seen.near.count(WORDS) >= 60 - seen.again


def test_forced_words_are_written(seen: Seen) -> None:
    model = model_of("BartForConditionalGeneration")
    options = OPTIONS | {"forced_bos_token_id": 77, "forced_eos_token_id": 99, "bad_words_ids": [[5], [6, 7]]}
    found = model.generate(prompt(), **options)
    assert torch.equal(found, plainly(model, **options))
    assert found[0, 1] == 77
    assert found[0, -1] == 99


def test_threads_that_share_a_model_write_what_they_write_alone(seen: Seen) -> None:
    model = model_of()
    prompts = [torch.randint(2, WORDS, (1, 5 + one)) for one in range(6)]
    options = OPTIONS | {"max_new_tokens": 60, "repetition_penalty": 1.3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "available", lambda: False)
        wanted = [model.generate(ids, **options) for ids in prompts]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda ids: model.generate(ids, **options), prompts * 3))
    assert all(map(torch.equal, found, wanted * 3))
    if available():
        assert seen.near
    assert torch.equal(model.generate(prompts[0], **options), wanted[0])


def test_a_model_made_in_inference_mode_writes_as_well(seen: Seen) -> None:
    with torch.inference_mode():
        model = model_of()
        twice = prompt().expand(2, -1)
    wanted = model_of().generate(twice, **OPTIONS)
    assert torch.equal(model.generate(twice, **OPTIONS, logits_processor=[lambda ids, scores: scores]), wanted)
    assert torch.equal(model.generate(prompt(), **OPTIONS), wanted[:1])


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "top_k": 0},
        {"do_sample": True, "top_k": screening.MOST + 1},
        {"do_sample": True, "top_h": 0.5},
        {"num_beams": 2},
        {"return_dict_in_generate": True, "output_scores": True},
        {"renormalize_logits": True},
        {"exponential_decay_length_penalty": (2, 1.1), "eos_token_id": 9},
        {"logits_processor": [lambda ids, scores: scores.flip(-1)]},
        {"guidance_scale": 1.5},
    ],
)  # fmt: skip
def test_what_reads_all_scores_gets_all(options: dict[str, Any], seen: Seen) -> None:
    model_of().generate(prompt(), **(OPTIONS | options))
    assert not seen.near


def test_where_it_is_not_worth_it_or_somebody_looks(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    model.generate(prompt().expand(2, -1), **OPTIONS)  # several texts
    for part in (model, model.head, model.head.decoder):
        handle = part.register_forward_hook(lambda *_: None)
        model.generate(prompt(), **OPTIONS)
        handle.remove()
    model_of().bfloat16().generate(prompt(), **OPTIONS)
    monkeypatch.setattr(screening, "STEPS", OPTIONS["max_new_tokens"] + 1)
    model.generate(prompt(), **OPTIONS)
    monkeypatch.setattr(screening, "STEPS", 1)
    monkeypatch.setattr(screening, "SHARE", 0.0)
    model.generate(prompt(), **OPTIONS)
    assert not seen.near


def test_a_copy_lives_as_long_as_its_weight_is_unchanged() -> None:
    layer = torch.nn.Linear(2048, 2048, bias=False)
    others = len(screening.known)
    assert copy_of(layer, screening.STEPS - 1) is None
    made = copy_of(layer, screening.STEPS)
    assert made is not None
    assert copy_of(layer, 1) is made
    with torch.no_grad():
        layer.weight.mul_(2)
    assert copy_of(layer, 1) is None
    assert copy_of(layer, screening.STEPS) is not made
    assert len(screening.known) == others + 1
    del layer
    assert len(screening.known) == others


@pytest.mark.parametrize("outlier", [1.0, 300.0])
def test_no_logit_is_farther_off_than_said(outlier: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(700, 128) * torch.rand(700, 1)
    weight[:, 3] *= outlier
    weight[5] = 0
    coarse = coarse_copy(weight, (0, 0))
    assert coarse is not None
    for _ in range(20):
        h = torch.randn(1, 128)
        h[0, torch.randint(128, (2,))] *= outlier
        off = (coarse.product(h)[0].double() - (h.double() @ weight.double().T)[0]).abs()
        reach = coarse.distance.double() * h.double().norm()
        assert (off <= reach).all()
        assert (reach < 0.1 * weight.norm(dim=1) * h.norm() + 1e-6).all(), "A bound that says something."


def test_weights_and_states_that_are_no_numbers(seen: Seen) -> None:
    weight = torch.randn(64, 32)
    weight[3, 3] = torch.inf
    assert coarse_copy(weight, (0, 0)) is None
    model = model_of()
    with torch.no_grad():
        model.backbone.norm.weight[4] = torch.nan
    with pytest.raises(NumericError):
        model.generate(prompt(), **OPTIONS)


TEXT = torch.tensor([[3, 4, 5, 3]])
RULES: list[LogitsProcessor] = [
    generation.SequenceBiasLogitsProcessor([[[4], -2.0], [[3, 9], 3.0]]),
    generation.NoBadWordsLogitsProcessor([[8], [3, 12]], 2),
    generation.EncoderRepetitionPenaltyLogitsProcessor(1.7, TEXT),
    generation.RepetitionPenaltyLogitsProcessor(0.6),
    generation.NoRepeatNGramLogitsProcessor(2),
    generation.EncoderNoRepeatNGramLogitsProcessor(2, TEXT),
    generation.MinLengthLogitsProcessor(30, [2]),
    generation.SuppressTokensLogitsProcessor([6]),
    generation.ForcedEOSTokenLogitsProcessor(5, 13),
    generation.TemperatureLogitsWarper(0.4),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_rules_that_look_at_each_token_by_itself_do(rule: LogitsProcessor) -> None:
    assert rule.by_itself
    draw = torch.Generator().manual_seed(1)
    scores = torch.randn(1, 20, generator=draw) * 3
    before = rule(TEXT, scores)
    for token in range(20):
        higher = scores.clone()
        higher[0, token] += 2.5
        after = rule(TEXT, higher)
        others = torch.arange(20) != token
        assert torch.equal(after[0, others], before[0, others])
        assert after[0, token] >= before[0, token]


def test_every_rule_that_says_so_is_asked() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    asked = {next(one for one in type(rule).__mro__ if "__call__" in vars(one)) for rule in RULES}
    ours = {
        one for one in below(LogitsProcessor) if one.__module__.startswith("samovar.") and vars(one).get("by_itself")
    }
    assert {one for one in ours if one is not LogitsProcessor} == asked


def test_a_class_that_changes_scores_otherwise_does_not_inherit_the_promise() -> None:
    class Flipped(generation.RepetitionPenaltyLogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return -scores

    class Renamed(generation.RepetitionPenaltyLogitsProcessor):
        pass

    config = generation.GenerationConfig(do_sample=False, num_beams=1)
    assert needed(LogitsProcessorList([Renamed(1.2)]), config) > 1
    assert needed(LogitsProcessorList([Flipped(1.2)]), config) == 0
    assert needed(LogitsProcessorList(), config) == 1
