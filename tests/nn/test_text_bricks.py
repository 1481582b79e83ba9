"""Attention, masks and positions against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import transformers
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from samovar.errors import ConfigError
from samovar.nn.activations import ACTIVATIONS, activation
from samovar.nn.attention import ATTENTION, Attention
from samovar.nn.masks import attention_bias
from samovar.nn.mlp import MLP
from samovar.nn.positions import PaddingAwarePositions, RelativeBias


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", sorted(ATTENTION))
def test_attention_is_the_formula(name: str, causal: bool, masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    bias = attention_bias(mask, torch.float32, causal) if masked else None
    out, _ = ATTENTION[name](
        query, key, value, bias, causal=causal and bias is None, scale=1 / math.sqrt(4), dropout=0.0
    )
    scores = query.numpy() @ key.numpy().swapaxes(-1, -2) / 2
    allowed = np.ones((2, 1, 5, 5), bool)
    if masked:
        allowed &= mask.bool().numpy()[:, None, None]
    if causal:
        allowed &= np.tril(np.ones((5, 5), bool))
    expected = softmax(np.where(allowed, scores, -np.inf)) @ value.numpy()
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("length", [383, 384, 400, 512, 703, 704])
def test_long_texts_are_read_in_order(length: int) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, length, 3, 8).transpose(1, 2) for _ in range(3))
    options = {"causal": True, "scale": 0.5, "dropout": 0.0}
    with torch.no_grad():
        plain, _ = ATTENTION["eager"](query, key, value, None, **options)
        fused, _ = ATTENTION["sdpa"](query, key, value, None, **options)
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (7, 9999), (70_001,)])
def test_gelu_of_many_numbers_is_the_formula(shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 4
    x.view(-1)[:3] = torch.tensor([1e30, -1e30, 0.0])
    exact = x.double()
    wanted = exact / 2 * (1 + ((exact + 0.044715 * exact**3) * math.sqrt(2 / math.pi)).tanh())
    with torch.no_grad():
        torch.testing.assert_close(activation("gelu_new")(x), wanted.float(), atol=2e-6, rtol=1e-6)
        torch.testing.assert_close(activation("gelu_new")(x[..., ::2]), wanted[..., ::2].float(), atol=2e-6, rtol=1e-6)


def test_a_perceptron_overwrites_what_only_it_holds() -> None:
    torch.manual_seed(0)
    mlp, x = MLP(24, 64, "gelu_new"), torch.randn(1, 900, 24)
    wanted = mlp(x)
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), wanted, atol=1e-6, rtol=1e-5)
        inside: list[torch.Tensor] = []
        mlp.up_proj.register_forward_hook(lambda module, given, out: inside.append(out))
        torch.testing.assert_close(mlp(x), wanted, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(inside[0], torch.nn.functional.linear(x, mlp.up_proj.weight, mlp.up_proj.bias))


def test_a_row_without_anything_to_read_stays_finite() -> None:
    brick = Attention(16, 2).eval()
    bias = attention_bias(torch.tensor([[0, 0, 0], [1, 1, 0]]), torch.float32)
    for implementation in ATTENTION:
        brick.implementation = implementation
        out, probabilities = brick(torch.randn(2, 3, 16), bias, probabilities=True)
        assert out.isfinite().all()
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, 2, 3))


def test_masks_of_every_shape() -> None:
    rows = torch.tensor([[1, 1, 0]])
    flat = attention_bias(rows, torch.float32)
    square = attention_bias(rows[:, None].expand(1, 3, 3), torch.float32)
    assert flat.shape == (1, 1, 1, 3)
    assert square.shape == (1, 1, 3, 3)
    assert torch.equal(flat.expand(1, 1, 3, 3), square)
    given = torch.randn(1, 1, 3, 3)
    assert attention_bias(given, torch.float32) is given
    assert attention_bias(None, torch.float32) is None


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="30 is not a multiple"):
        Attention(30, 4)


@pytest.mark.parametrize("length", [1, 2, 9, 40, 300])
def test_relative_buckets_are_the_references(length: int) -> None:
    brick = RelativeBias(4, 32)
    torch.nn.init.normal_(brick.weight)
    encoder = MPNetEncoder(transformers.MPNetConfig(num_hidden_layers=0, num_attention_heads=4, hidden_size=8))
    encoder.relative_attention_bias.weight.data.copy_(brick.weight)
    expected = encoder.compute_position_bias(torch.zeros(1, length, 8))
    torch.testing.assert_close(brick(length, torch.device("cpu")), expected[:1])


def test_positions_count_real_tokens_only() -> None:
    positions = PaddingAwarePositions(20, 4, padding_idx=1)
    ids = torch.tensor([[0, 5, 6, 2, 1, 1], [1, 1, 0, 7, 8, 2]])
    assert positions.positions(ids, torch.zeros(2, 6, 4)).tolist() == [[2, 3, 4, 5, 1, 1], [1, 1, 2, 3, 4, 5]]
    assert positions.positions(None, torch.zeros(2, 3, 4)).tolist() == [[2, 3, 4]]


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) & set(transformers.activations.ACT2FN)))
def test_activations_are_the_references(name: str) -> None:
    x = torch.linspace(-12, 12, 301)
    expected = transformers.activations.ACT2FN[name](x)
    torch.testing.assert_close(activation(name)(x), expected, atol=2e-4 if "gelu" in name else 1e-6, rtol=1e-5)


def test_unknown_activations_are_named() -> None:
    with pytest.raises(ConfigError, match="'gelu'"):
        activation("gellu")
