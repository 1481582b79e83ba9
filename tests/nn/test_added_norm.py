"""The compiled norm of a sum is PyTorch's, and steps aside for what it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from samovar.nn.added_norm import added_norm, in_one_pass
from samovar.nn.norm import RMSNorm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are compiled on Linux alone")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def made(rows: int, width: int) -> tuple[Tensor, Tensor, nn.LayerNorm]:
    torch.manual_seed(width)
    norm = nn.LayerNorm(width, eps=1e-12)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return 3 + torch.randn(rows, width), torch.randn(rows, width), norm


@pytest.mark.parametrize("sizes", [(600, 16), (7, 1200), (64, 768), (129, 384)])
def test_it_is_pytorchs_on_any_threads(sizes: tuple[int, int]) -> None:
    x, other, norm = made(*sizes)
    wanted, before, kept = norm(x + other), torch.get_num_threads(), x.clone()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = in_one_pass(x, other, norm)
            assert found is not None
            torch.testing.assert_close(found, wanted, atol=5e-6, rtol=1e-5)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(x, kept)
    three = in_one_pass(x[None], other[None], norm)
    assert three is not None
    assert three.shape == (1, *sizes)


def test_numbers_that_are_large_alike_or_none() -> None:
    x, other, norm = made(40, 256)
    x[0] += 1e4  # far from nothing beside their spread
    x[1], other[1] = 2.0, 1.0  # all alike
    x[2, 3] = torch.nan
    found, wanted = in_one_pass(x, other, norm), norm(x + other)
    assert found is not None
    torch.testing.assert_close(found[3:], wanted[3:], atol=5e-6, rtol=1e-5)
    torch.testing.assert_close(found[0], wanted[0], atol=2e-2, rtol=1e-2)
    assert torch.equal(found[1], norm.bias)
    assert found[2].isnan().all()


def test_what_is_left_to_pytorch() -> None:
    x, other, norm = made(64, 256)
    assert in_one_pass(x, other, norm) is not None
    assert in_one_pass(x[:1], other[:1], norm) is None
    assert in_one_pass(x.double(), other.double(), norm) is None
    assert in_one_pass(x, other[:1], norm) is None
    assert in_one_pass(x, other.T.contiguous().T, norm) is None
    shorter = nn.LayerNorm(256)
    shorter.weight = nn.Parameter(torch.ones(128))
    assert in_one_pass(x, other, shorter) is None
    for other_norm in (nn.LayerNorm(256, bias=False), nn.LayerNorm((64, 256)), RMSNorm(256)):
        torch.testing.assert_close(added_norm(x, other, other_norm), other_norm(x + other))
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    torch.testing.assert_close(
        added_norm(x, other, norm), nn.functional.layer_norm(x + other, (256,), norm.weight, norm.bias, 1e-12)
    )
    assert torch.equal(seen[0], x + other)
    with torch.enable_grad():
        assert in_one_pass(x, other, nn.LayerNorm(256)) is None
