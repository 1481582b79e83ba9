"""Caches in int8: small, nearly the same, and moved about like any other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_cache import KINDS, model_of, text_of

import samovar
from samovar.errors import ConfigError, InputError
from samovar.nn.int8_cache import Int8Cache, packed, unpacked


@pytest.mark.parametrize("dim", [64, 12, 7, 1])
def test_numbers_come_back_within_half_a_step(dim: int) -> None:
    x = torch.randn(2, 3, 5, dim) * torch.logspace(-6, 4, 5)[:, None]
    x[0, 0, 0] = 0
    rows = packed(x)
    assert rows.dtype == torch.int8
    assert rows.shape[-1] <= dim + 7
    step = x.abs().amax(-1, keepdim=True) / 127
    assert ((unpacked(rows, dim, torch.float32) - x).abs() <= step * 0.501).all()
    part = rows[:, 1:, 2:4]
    torch.testing.assert_close(unpacked(part, dim, torch.float32), unpacked(rows, dim, torch.float32)[:, 1:, 2:4])
    assert unpacked(packed(x.bfloat16()), dim, torch.bfloat16).dtype == torch.bfloat16


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_nearly_those_of_the_plain_cache(kind: str) -> None:
    model, ids = model_of(kind), text_of(length=40)
    plain, whole = model.new_cache(), Int8Cache()
    for piece in ids.split([20, 1, 1, 6, 1, 11], dim=1):
        expected = model(piece, past_key_values=plain).logits
        found = model(piece, past_key_values=whole).logits
    spread = expected.std()
    assert 0 < (found - expected).abs().max() < 0.1 * spread
    heads_of_8 = whole.nbytes() / plain.nbytes()
    assert heads_of_8 < 0.4  # 12 bytes in place of 32


@torch.no_grad()
def test_what_is_moved_is_what_was_written() -> None:
    model, ids = model_of("llama"), text_of()
    cache = Int8Cache()
    model(ids[:, :12], past_key_values=cache)
    model(ids[:, 12:13], past_key_values=cache)
    before = [torch.stack(pair) for pair in cache]
    other = cache.copy()
    cache.reorder(torch.tensor([2, 2, 0]))
    for old, new, kept in zip(before, cache, other, strict=True):
        torch.testing.assert_close(torch.stack(new), old[:, [2, 2, 0]])
        torch.testing.assert_close(torch.stack(kept), old)
    other.crop(9)
    assert other.get_seq_length() == 9
    again = model(ids[:, 9:14], past_key_values=other).logits
    straight = Int8Cache()
    model(ids[:, :9], past_key_values=straight)
    torch.testing.assert_close(again, model(ids[:, 9:14], past_key_values=straight).logits)


@pytest.mark.parametrize("options", [
    {}, {"num_beams": 3}, {"do_sample": True, "seed": 3, "temperature": 0.3}, {"prompt_lookup_num_tokens": 3},
])  # fmt: skip
def test_texts_are_those_of_the_plain_cache(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = samovar.GPT2Config(vocab_size=50, n_embd=64, n_layer=2, n_head=2, n_positions=100, eos_token_id=None)
    model = samovar.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)  # so that no two tokens are nearly alike
    ids = text_of(rows=1 if "prompt_lookup_num_tokens" in options else 3, length=12)
    options |= {
        "max_new_tokens": 20,
        "pad_token_id": 0,
        "attention_mask": (torch.arange(12) > 1).long().expand(len(ids), -1),
    }
    plain = model.generate(ids, **options)
    for name in ("int8", "quantized"):
        assert (model.generate(ids, cache_implementation=name, **options) == plain).float().mean() > 0.9


@torch.no_grad()
def test_a_source_is_read_beside_it() -> None:
    torch.manual_seed(0)
    config = samovar.T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    model = samovar.T5ForConditionalGeneration(config).eval()
    ids = text_of()
    options = {"max_new_tokens": 12, "do_sample": False}
    plain = model.generate(ids, **options)
    assert (model.generate(ids, cache_implementation="int8", **options) == plain).float().mean() > 0.9


def test_what_cannot_be_is_refused() -> None:
    model, ids = model_of("llama"), text_of()
    with pytest.raises(ConfigError, match="intt8"):
        model.generate(ids, cache_implementation="intt8", max_new_tokens=2)
    with pytest.raises(ConfigError, match="4 bits"):
        model.generate(ids, cache_implementation="quantized", cache_config={"nbits": 4}, max_new_tokens=2)
    with pytest.raises(InputError, match="gradients"):
        model(ids, past_key_values=Int8Cache())
