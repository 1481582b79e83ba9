"""Our decoding over the reference library's own models and caches: what could differ is the decoding alone.

This covers encoder–decoders, rotary positions, grouped heads and caches whatever architectures this library has.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
import transformers
from toy_generators import ENDS, TOKENS, prompts

from samovar.errors import InputError
from samovar.generation import GenerationMixin

SMALL_BART = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
START = {**TOKENS, "decoder_start_token_id": 1}
CONFIGS: dict[str, Any] = {
    "T5ForConditionalGeneration": lambda: transformers.T5Config(
        d_model=32, d_ff=64, num_layers=2, num_heads=4, d_kv=8, **START
    ),
    "BartForConditionalGeneration": lambda: transformers.BartConfig(
        d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, forced_eos_token_id=None, **SMALL_BART, **START
    ),
    "LlamaForCausalLM": lambda: transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        **TOKENS,
    ),
    "GPT2LMHeadModel": lambda: transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **TOKENS),
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "short_beams": {"num_beams": 3, "length_penalty": -1.0, "early_stopping": True, "num_return_sequences": 3},
    "encoder_rules": {"encoder_repetition_penalty": 1.2, "encoder_no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "encoder_rules_and_beams": {"num_beams": 2, "encoder_no_repeat_ngram_size": 2, "no_repeat_ngram_size": 2},
    "forced": {"forced_bos_token_id": 7, "forced_eos_token_id": 2},
}


@pytest.fixture(autouse=True)
def caches_with_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`reorder` and `crop(length)` on the reference's caches."""
    for kind in (transformers.DynamicCache, transformers.EncoderDecoderCache):

        def crop(self: Any, length: int, remove: Any = kind.crop) -> None:
            # The reference counts what to take away, as a negative number.
            remove(self, length - self.get_seq_length() if length >= 0 else length)

        monkeypatch.setattr(kind, "reorder", kind.reorder_cache, raising=False)
        monkeypatch.setattr(kind, "crop", crop)


@functools.cache
def both(name: str) -> tuple[Any, Any]:
    """The model with the reference's `generate`, and with ours."""
    torch.manual_seed(0)
    model = getattr(transformers, name)(CONFIGS[name]()).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    model.tie_weights()
    ours = copy.copy(model)
    ours.__dict__.pop("generation_config")
    ours.__class__ = type("Ours", (GenerationMixin, type(model)), {})
    return model, ours


def given(model: Any) -> dict[str, torch.Tensor]:
    """Prompts with padding on the side that the model reads it on."""
    batch = prompts()
    return {name: one.flip(1) for name, one in batch.items()} if model.config.is_encoder_decoder else batch


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", CONFIGS)
def test_tokens_are_the_reference_tokens(name: str, strategy: str, use_cache: bool) -> None:
    model, ours = both(name)
    options = {"max_new_tokens": 14, "eos_token_id": ENDS, "use_cache": use_cache, **STRATEGIES[strategy]}
    assert torch.equal(model.generate(**given(model), **options), ours.generate(**given(model), **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_output_objects_hold_what_the_reference_holds(name: str) -> None:
    model, ours = both(name)
    model.set_attn_implementation("eager")
    asked = {f"output_{part}": True for part in ("scores", "logits", "attentions", "hidden_states")}
    for beams in (1, 3):
        options = {"max_new_tokens": 6, "num_beams": beams, "return_dict_in_generate": True, **asked}
        theirs, mine = (one.generate(**given(model), **options) for one in (model, ours))
        assert list(mine) == list(theirs)
        assert torch.equal(mine.sequences, theirs.sequences)
        assert [len(value) for value in mine.values() if isinstance(value, tuple)] == [
            len(value) for value in theirs.values() if isinstance(value, tuple)
        ]
        torch.testing.assert_close(torch.stack(mine.scores), torch.stack(theirs.scores), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_sample_is_the_same_alone_with_and_without_cache_and_with_a_draft(name: str) -> None:
    _, ours = both(name)
    batch = given(ours)
    single = batch["input_ids"][0][batch["attention_mask"][0].bool()][None]
    written = 0 if ours.config.is_encoder_decoder else single.shape[1]
    options = {"do_sample": True, "seed": 4, "max_new_tokens": 14}
    together = ours.generate(**batch, **options)
    alone = ours.generate(single, **options)
    start = 0 if ours.config.is_encoder_decoder else batch["input_ids"].shape[1]
    assert torch.equal(together[0, start:][: alone.shape[1] - written], alone[0, written:])
    assert torch.equal(together, ours.generate(**batch, **options, use_cache=False))
    for draft in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": ours}):
        assert torch.equal(alone, ours.generate(single, **options, **draft))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_return_sequences": 2, "do_sample": True, "seed": 3}])
def test_encoder_outputs_and_a_started_text_can_be_given(options: dict[str, Any]) -> None:
    model, ours = both("T5ForConditionalGeneration")
    batch = given(model)
    encoded = model.get_encoder()(**batch, return_dict=True)
    options = {"max_new_tokens": 8, **options}
    plain = ours.generate(**batch, **options)
    mask = {"attention_mask": batch["attention_mask"]}
    if not options.get("do_sample"):
        assert torch.equal(ours.generate(encoder_outputs=encoded, **mask, **options), plain)
        assert torch.equal(ours.generate(encoder_outputs=(encoded.last_hidden_state,), **mask, **options), plain)
        started = {"decoder_input_ids": torch.tensor([[9, 8], [7, 6], [5, 4]])}
        theirs = model.generate(**batch, **started, **options)
        assert torch.equal(ours.generate(**batch, **started, **options), theirs)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 1, "num_return_sequences": 2}])
def test_a_cache_that_holds_the_beginning_is_continued(options: dict[str, Any]) -> None:
    model, ours = both("LlamaForCausalLM")
    ids = prompts(padded=0)["input_ids"]
    begun = model(ids[:, :4], use_cache=True).past_key_values
    options = {"max_new_tokens": 8, **options}
    plain = ours.generate(ids, **options)
    assert torch.equal(ours.generate(ids, past_key_values=begun, **options), plain)
    with pytest.raises(InputError, match="none is left to read"):
        ours.generate(ids[:, :4], past_key_values=model(ids[:, :4], use_cache=True).past_key_values)


def test_a_prompt_is_read_once_however_many_beams_follow() -> None:
    _, ours = both("LlamaForCausalLM")
    rows: list[int] = []
    handle = ours.register_forward_pre_hook(lambda _, __, named: rows.append(len(named["input_ids"])), with_kwargs=True)
    try:
        ours.generate(**prompts(), num_beams=4, max_new_tokens=3)
    finally:
        handle.remove()
    assert rows == [3, 12, 12]


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_finished_texts_leave_the_batch_and_change_nothing(name: str, use_cache: bool) -> None:
    model, ours = both(name)
    read = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
    batch = {key: value.repeat(4, 1) for key, value in given(model).items()}
    batch["input_ids"] = torch.where(
        batch["attention_mask"].bool(), (batch["input_ids"] + torch.arange(12)[:, None]) % 50 + 4, batch["input_ids"]
    )
    rows: list[int] = []
    handle = ours.register_forward_pre_hook(lambda _, __, named: rows.append(len(named[read])), with_kwargs=True)
    ends = 8 + 3 * torch.arange(12).roll(5)
    options = {"max_new_tokens": 40, "repetition_penalty": 1.2, "use_cache": use_cache}
    criteria = [lambda ids, scores, **_: ids.shape[1] >= ends]
    try:
        mine = ours.generate(**batch, stopping_criteria=criteria, **options)
    finally:
        handle.remove()
    theirs = model.generate(**batch, stopping_criteria=transformers.StoppingCriteriaList(criteria), **options)
    assert torch.equal(mine, theirs)
    assert rows == sorted(rows, reverse=True)
    assert set(rows) == {12, 6, 3, 1}
