"""Compiled attention of whole texts is PyTorch's: any lengths, layout and padding, causal or not, and within models."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import samovar
from samovar.nn import attention, few_queries, many_queries
from samovar.nn.many_queries import MOST_KEYS, QUERIES, attend_whole

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are compiled on Linux alone")
LOWEST = torch.finfo(torch.float32).min


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where registers are narrower it is slower than PyTorch's, and as right."""
    monkeypatch.setattr(many_queries, "WIDE", True)


def made(batch: int, heads: int, queries: int, keys: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys as a projection gives them, side by side, and values as they lie in a cache."""
    torch.manual_seed(keys + width)
    query, key = (torch.randn(batch, count, heads, width).transpose(1, 2) for count in (queries, keys))
    return query, key, torch.randn(batch, heads, keys + 5, width)[:, :, :keys]


def wanted(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Tensor:
    seen = torch.zeros(1, 1, query.shape[2], key.shape[2], dtype=torch.float64)
    if causal:
        seen = seen.masked_fill(torch.ones_like(seen, dtype=torch.bool).triu(1), -torch.inf)
    seen = seen if bias is None else seen + bias
    return F.scaled_dot_product_attention(query.double(), key.double(), value.double(), seen, scale=scale).float()


@pytest.mark.parametrize("masked", ["nothing", "padding", "one row for all"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        *((1, 2, 64, 64, 64), (2, 3, 100, 100, 64), (2, 2, 300, 300, 128), (1, 2, 513, 513, 48)),
        *((1, 2, 130, 77, 32), (1, 1, 65, 4, 16), (3, 1, 64, 333, 80)),
    ],
)
def test_it_is_pytorchs(sizes: tuple[int, int, int, int, int], causal: bool, masked: str) -> None:
    batch, _, queries, keys, _ = sizes
    if causal and queries != keys:
        query, key, value = made(*sizes)
        assert attend_whole(query, key, value, None, True, 0.2) is None
        return
    query, key, value = made(*sizes)
    bias = None
    if masked != "nothing":
        bias = torch.zeros(batch if masked == "padding" else 1, 1, 1, keys)
        bias[0, ..., keys // 2 :] = LOWEST
        bias[-1, ..., 1] = -0.5
    found = attend_whole(query, key, value, bias, causal, 0.2)
    assert found is not None
    torch.testing.assert_close(found, wanted(query, key, value, bias, causal, 0.2), atol=5e-6, rtol=1e-5)


def test_threads_change_no_bit() -> None:
    query, key, value = made(2, 3, 200, 200, 64)
    before, first = torch.get_num_threads(), attend_whole(query, key, value, None, True, 0.1)
    assert first is not None
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = attend_whole(query, key, value, None, True, 0.1)
            assert found is not None
            assert torch.equal(found, first)
    finally:
        torch.set_num_threads(before)


def test_numbers_far_apart_and_none() -> None:
    query, key, value = made(1, 2, 70, 70, 32)
    found = attend_whole(100 * query, key, value, None, False, 1.0)
    assert found is not None
    torch.testing.assert_close(found, wanted(100 * query, key, value, None, False, 1.0), atol=1e-4, rtol=1e-4)
    nothing = attend_whole(query, key, value, torch.full((1, 1, 1, 70), LOWEST), False, 1.0)
    assert nothing is not None  # all keys alike, as PyTorch has it
    torch.testing.assert_close(nothing, value.mean(2, keepdim=True).expand_as(nothing), atol=1e-6, rtol=1e-5)
    query[0, 1, 66, 3] = torch.nan
    broken = attend_whole(query, key, value, None, False, 1.0)
    assert broken is not None
    assert broken.isnan().any(-1).nonzero().tolist() == [[0, 1, 66]]


def test_what_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = made(2, 2, 64, 64, 32)
    rest: tuple[Any, ...] = (None, False, 1.0)
    assert attend_whole(query, key, value, *rest) is not None
    monkeypatch.setattr(many_queries, "WIDE", False)
    assert attend_whole(query, key, value, *rest) is None
    monkeypatch.setattr(many_queries, "WIDE", True)
    assert attend_whole(query[:, :, : QUERIES - 1], key, value, *rest) is None
    assert attend_whole(query, key[:, :, :3], value[:, :, :3], *rest) is None
    assert attend_whole(query.double(), key.double(), value.double(), *rest) is None
    assert attend_whole(query[..., :24], key[..., :24], value[..., :24], *rest) is None
    assert attend_whole(query, key[:1], value[:1], *rest) is None
    assert attend_whole(query, key, value[:, :, :60], *rest) is None
    assert attend_whole(query, key, value.mT.contiguous().mT, *rest) is None
    long = torch.randn(1, 1, MOST_KEYS + 1, 16)
    assert attend_whole(long, long, long, *rest) is None
    for shape in ((2, 1, 64, 64), (1, 2, 1, 64), (3, 1, 1, 64), (64,)):
        assert attend_whole(query, key, value, torch.zeros(shape), False, 1.0) is None


@pytest.mark.parametrize(
    ("name", "queries", "causal"), [("attend", 1, False), ("attend_whole", 80, False), ("attend_whole", 80, True)]
)
def test_it_is_only_called_where_nobody_records(
    name: str, queries: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither this nor the attention of few queries."""
    calls: list[int] = []
    real = getattr(attention, name)
    monkeypatch.setattr(few_queries, "SMALL", 0)
    monkeypatch.setattr(attention, name, lambda *given: calls.append(1) or real(*given))
    query, key, value = made(1, 4, queries, 80, 64)
    options: dict[str, Any] = {"causal": causal, "scale": 0.2, "dropout": 0.0}
    plain, _ = attention.sdpa(query, key, value, None, **options)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        attention.sdpa(query, key, value, None, **options)
    assert not calls  # with gradients, and with shorter numbers
    with torch.no_grad():
        found, _ = attention.sdpa(query, key, value, None, **options)
    assert calls
    torch.testing.assert_close(found, plain, atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["BertModel", "GPT2LMHeadModel", "LlamaForCausalLM"])
def test_models_read_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"vocab_size": 97, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
    configs = {
        "BertModel": samovar.BertConfig(**sizes, intermediate_size=96),
        "GPT2LMHeadModel": samovar.GPT2Config(**sizes),
        "LlamaForCausalLM": samovar.LlamaConfig(**sizes, intermediate_size=96, num_key_value_heads=2),
    }
    model = getattr(samovar, name)(configs[name]).eval()
    ids = torch.randint(2, 97, (3, 90), generator=torch.Generator().manual_seed(4))
    mask = torch.ones_like(ids)
    mask[0, 70:] = 0
    calls: list[bool] = []

    def counted(*given: Any) -> Tensor | None:
        found = attend_whole(*given)
        calls.append(found is not None)
        return found

    with torch.no_grad():
        for given in ({}, {"attention_mask": mask}):
            monkeypatch.setattr(attention, "attend_whole", counted)
            found = model(ids, **given)[0]
            monkeypatch.setattr(attention, "attend_whole", lambda *given: None)
            plain = model(ids, **given)[0]
            torch.testing.assert_close(found[1:], plain[1:], atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(found[0, :70], plain[0, :70], atol=2e-5, rtol=1e-4)
    assert sum(calls) >= 2
