"""Compiled activations: PyTorch's values to a float's last bits, in place only where nobody sees it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.nn.activations import activation, gated
from samovar.nn.compiled import LANES
from samovar.nn.mlp import MLP, GatedMLP
from samovar.nn.pointwise import PIECE, SMALL, pointwise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are compiled on Linux alone")
# In float64 PyTorch's own are nowhere near small results, as they add 1 to them.
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: x * torch.special.log_ndtr(x).exp(),
    "gelu_tanh": lambda x: x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "silu": F.silu,
}


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def numbers(count: int) -> Tensor:
    torch.manual_seed(count)
    return torch.cat([torch.linspace(-14, 14, count // 2), 3 * torch.randn(count - count // 2)])


@pytest.mark.parametrize("name", KINDS)
def test_values_are_pytorchs(name: str) -> None:
    x = numbers(1 << 16)
    found, wanted = pointwise(name, x), KINDS[name](x.double())
    assert found is not None
    torch.testing.assert_close(wanted, activation(name if name in ("gelu", "silu") else "gelu_new")(x.double()))
    error = (found - wanted).abs() / (1 + wanted.abs())
    assert error.max() < 2e-7
    tail = (x < -4) & (x > -8)  # small numbers are near as well, not only near nothing
    assert ((found - wanted) / wanted)[tail].abs().max() < 2e-4


@pytest.mark.parametrize("name", KINDS)
def test_numbers_without_bounds(name: str) -> None:
    x = numbers(SMALL)
    x[:6] = torch.tensor([torch.nan, torch.inf, 1e30, -1e30, 0.0, -100.0])
    found = pointwise(name, x)
    assert found is not None
    assert found[:6].nan_to_num(7.0).tolist()[1:] == [torch.finfo(torch.float32).max, pytest.approx(1e30), 0, 0, 0]
    assert found[0].isnan()
    assert found[6:].isfinite().all()


@pytest.mark.parametrize("count", [SMALL, PIECE * 3 + LANES, PIECE * 5 - LANES, 1 << 17])
def test_every_number_is_met_once_whatever_the_threads(count: int) -> None:
    x, before = numbers(count), torch.get_num_threads()
    wanted = F.silu(x) * 2
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            held = x.clone()
            found = pointwise("silu", held, torch.full_like(x, 2.0), in_place=True)
            assert found is held
            torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_what_is_left_to_pytorch() -> None:
    x = numbers(2 * SMALL)
    assert pointwise("gelu", x) is not None
    assert pointwise("gelu", x[: SMALL - LANES]) is None
    assert pointwise("gelu", x[:-1]) is None
    assert pointwise("gelu", x[::2]) is None
    assert pointwise("gelu", x.double()) is None
    assert pointwise("gelu", torch.nn.Parameter(x)) is None
    assert pointwise("gelu", x, x[:-16]) is None
    with torch.enable_grad():
        assert pointwise("gelu", x) is None
        y = x.clone().requires_grad_()
        activation("gelu")(y).sum().backward()
        assert y.grad is not None
        assert y.grad.isfinite().all()


def test_mlps_overwrite_only_what_is_theirs() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 32)
    for made in (MLP(32, 512, "gelu"), GatedMLP(32, 512, "silu"), MLP(32, 512, "gelu_new")):
        first = made.gate_proj if isinstance(made, GatedMLP) else made.up_proj
        with torch.enable_grad():
            wanted = made(x).detach()
        before = x.clone()
        torch.testing.assert_close(made(x), wanted, atol=2e-6, rtol=1e-5)
        kept: list[Tensor] = []
        first.register_forward_hook(lambda module, given, out, kept=kept: kept.append(out))
        torch.testing.assert_close(made(x), wanted, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(kept[0], F.linear(x, first.weight, first.bias))  # as it was given
        assert torch.equal(x, before)


def test_a_bias_is_added_on_the_way() -> None:
    torch.manual_seed(0)
    x, bias = torch.randn(40, 1072), torch.randn(1072)
    for held in (False, True):
        found = pointwise("gelu", x.clone(), bias=bias, in_place=held)
        assert found is not None
        torch.testing.assert_close(found, F.gelu(x + bias), atol=1e-6, rtol=1e-6)
    assert pointwise("gelu", x, bias=bias[:-1]) is None
    assert pointwise("gelu", x.view(-1, 536 // 4), bias=bias[:134]) is None  # rows of other than whole vectors
    made = MLP(1072, 256, "gelu")
    with torch.autocast("cpu", torch.bfloat16):
        shorter = made(x)
    assert shorter.dtype == torch.bfloat16
    torch.testing.assert_close(made(x), shorter.float(), atol=2e-2, rtol=2e-2)


def test_gates_of_other_functions() -> None:
    gate, x = numbers(SMALL), numbers(SMALL).flip(0)
    torch.testing.assert_close(gated(torch.tanh, gate, x), gate.tanh() * x)
    held = gate.clone()
    torch.testing.assert_close(gated(activation("silu"), held, x), F.silu(gate) * x, atol=1e-6, rtol=1e-6)
    assert torch.equal(held, gate)
