"""Compiled attention of a few queries: the same as PyTorch's, for any layout, mask and length, and within models."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import samovar
from samovar.nn import attention, few_queries
from samovar.nn.few_queries import MOST, attend

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are compiled on Linux alone")
LOWEST = torch.finfo(torch.float32).min


@pytest.fixture(autouse=True)
def small_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of toys are below what it is used for."""
    monkeypatch.setattr(few_queries, "SMALL", 0)


def made(batch: int, heads: int, queries: int, width: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, and keys and values as a cache gives them: with room behind them."""
    torch.manual_seed(keys + width)
    query, room = torch.randn(batch, heads, queries, width), torch.randn(2, batch, heads, keys + 9, width)
    return query, room[0, :, :, :keys], room[1, :, :, :keys]


def wanted(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    wide = None if bias is None else bias.double()
    return F.scaled_dot_product_attention(query.double(), key.double(), value.double(), wide, scale=scale).float()


@pytest.mark.parametrize("masked", ["nothing", "padding", "each head", "each query", "all heads at once"])
@pytest.mark.parametrize(
    "sizes",
    [
        *((1, 12, 1, 64, 1000), (2, 4, 3, 16, 33), (3, 2, MOST, 128, 77)),
        *((1, 8, 1, 256, 16), (2, 2, 2, 80, 100), (2, 2, 4, 48, 17)),
    ],
)
def test_it_is_pytorchs(sizes: tuple[int, int, int, int, int], masked: str) -> None:
    batch, heads, queries, _, keys = sizes
    query, key, value = made(*sizes)
    bias = None
    if masked == "padding":
        bias = torch.zeros(batch, 1, 1, keys)
        bias[0, :, :, : keys // 2] = LOWEST
    elif masked != "nothing":
        shapes = {
            "each head": (1, heads, 1),
            "each query": (batch, heads, queries),
            "all heads at once": (1, 1, queries),
        }
        bias = torch.randn(*shapes[masked], keys)
        bias[..., -1:] = -torch.inf
    found = attend(query, key, value, bias, 0.3)
    assert found is not None
    torch.testing.assert_close(found, wanted(query, key, value, bias, 0.3), atol=3e-6, rtol=1e-5)


def test_numbers_far_apart_and_none() -> None:
    query, key, value = made(1, 4, 2, 32, 200)
    found = attend(100 * query, key, value, None, 1.0)
    assert found is not None
    torch.testing.assert_close(found, wanted(100 * query, key, value, None, 1.0), atol=1e-4, rtol=1e-4)
    nothing = attend(query, key, value, torch.full((1, 1, 1, 200), LOWEST), 1.0)
    assert nothing is not None  # all keys alike, as PyTorch has it
    torch.testing.assert_close(nothing, value.mean(2, keepdim=True).expand_as(nothing), atol=1e-6, rtol=1e-5)
    query[0, 1, 0, 3] = torch.nan
    broken = attend(query, key, value, None, 1.0)
    assert broken is not None
    assert broken.isnan().any(-1).nonzero().tolist() == [[0, 1, 0]]
    query[0, 1, 0, 3], value[0, 2, 150, 0] = 0, torch.inf
    broken = attend(query, key, value, None, 1.0)
    assert broken is not None
    assert (~broken.isfinite()).any(-1).nonzero().tolist() == [[0, 2, 0], [0, 2, 1]]


def test_threads_and_calls_at_once_change_no_bit() -> None:
    query, key, value = made(2, 6, 2, 64, 300)
    before, first = torch.get_num_threads(), attend(query, key, value, None, 0.1)
    assert first is not None
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(attend(query, key, value, None, 0.1), first)  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(before)
    with ThreadPoolExecutor(4) as pool:
        assert all(
            torch.equal(one, first) for one in pool.map(lambda _: attend(query, key, value, None, 0.1), range(40))
        )


def test_what_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = made(1, 4, 1, 64, 100)
    assert attend(query, key, value, None, 1.0) is not None
    for cast in (torch.Tensor.double, torch.Tensor.bfloat16):
        assert attend(cast(query), cast(key), cast(value), None, 1.0) is None
    assert attend(query.expand(-1, -1, MOST + 1, -1), key, value, None, 1.0) is None
    assert attend(query[..., :40], key[..., :40], value[..., :40], None, 1.0) is None  # not whole vectors
    assert attend(query, key[:, :, :15], value[:, :, :15], None, 1.0) is None
    assert attend(query, key[..., None].expand(-1, -1, -1, -1, 2)[..., 0].mT.contiguous().mT, value, None, 1.0) is None
    assert attend(query, key, value, torch.zeros(100), 1.0) is None
    assert attend(query, key, value, torch.zeros(1, 2, 1, 100), 1.0) is None
    # What PyTorch repeats, or refuses: nothing is read beyond what there is.
    assert attend(query.expand(3, -1, -1, -1), key, value, None, 1.0) is None
    assert attend(query, key[:, :2], value[:, :2], None, 1.0) is None
    assert attend(query, key[..., :48], value[..., :48], None, 1.0) is None
    assert attend(query, key, value[:, :, :50], None, 1.0) is None
    monkeypatch.setattr(few_queries, "SMALL", 4 * 64 * 100 + 1)
    assert attend(query, key, value, None, 1.0) is None


SIZES: dict[str, Any] = {"vocab_size": 97, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 1}
BOTH: dict[str, Any] = {"vocab_size": 97, "d_model": 64, "decoder_start_token_id": 0, **ENDS}
KINDS: dict[str, Any] = {
    "GPT2LMHeadModel": samovar.GPT2Config(**SIZES, **ENDS),
    "LlamaForCausalLM": samovar.LlamaConfig(**SIZES, **ENDS, intermediate_size=96, num_key_value_heads=2),
    "MistralForCausalLM": samovar.MistralConfig(
        **SIZES, **ENDS, intermediate_size=96, num_key_value_heads=2, head_dim=32, sliding_window=20
    ),
    "BloomForCausalLM": samovar.BloomConfig(**SIZES, **ENDS),
    "T5ForConditionalGeneration": samovar.T5Config(**BOTH, d_kv=16, d_ff=96, num_layers=2, num_heads=4),
    "BartForConditionalGeneration": samovar.BartConfig(
        **BOTH, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=96, decoder_ffn_dim=96, forced_eos_token_id=None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_models_write_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    model = getattr(samovar, name)(KINDS[name]).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.randint(2, 97, (3, 24), generator=torch.Generator().manual_seed(4))
    mask = torch.ones_like(ids)
    ids[0, :5], mask[0, :5] = 1, 0
    options = {"attention_mask": mask, "max_new_tokens": 30, "do_sample": False, "output_logits": True}
    calls: list[bool] = []

    def counted(*given: Any) -> Tensor | None:
        found = attend(*given)
        calls.append(found is not None)
        return found

    monkeypatch.setattr(attention, "attend", counted)
    found = model.generate(ids, **options, return_dict_in_generate=True)
    assert sum(calls) > 40  # two layers in each of the later steps
    monkeypatch.setattr(attention, "attend", lambda *given: None)
    plain = model.generate(ids, **options, return_dict_in_generate=True)
    assert torch.equal(found.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(found.logits), torch.stack(plain.logits), atol=1e-4, rtol=1e-4)
