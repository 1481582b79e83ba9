"""PyTorch's operators in JAX: layers, from linear maps to attention and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from samovar.errors import ExportError
from samovar.export.walk import Operator

Array = Any


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """`x Wᵀ + b`."""
    found = x @ weight.T
    return found if bias is None else found + bias


def layer_norm(
    x: Array, shape: Sequence[int], weight: Array = None, bias: Array = None, eps: float = 1e-5, _: bool = False
) -> Array:
    """Normalised over the last dimensions, as many as `shape` has."""
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    centred = x - jnp.mean(x, axis=axes, keepdims=True)
    found = centred * lax.rsqrt(jnp.mean(jnp.square(centred), axis=axes, keepdims=True) + eps)
    return affine(found, weight, bias)


def rms_norm(x: Array, shape: Sequence[int], weight: Array = None, eps: float | None = None) -> Array:
    """Divided by the root of the mean square over the last dimensions."""
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    least = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    return affine(x * lax.rsqrt(jnp.mean(jnp.square(x), axis=axes, keepdims=True) + least), weight, None)


def affine(x: Array, weight: Array, bias: Array) -> Array:
    """Times a weight, plus a bias, where there are such."""
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def batch_norm(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, training: bool, _: float, eps: float, *__: Any
) -> Array:
    """Normalised by running statistics, channel by channel."""
    if training:
        raise ExportError("A batch norm in training mode cannot be exported.", "Call model.eval() first.")
    spread = (1, -1, *[1] * (x.ndim - 2))
    scale = lax.rsqrt(variance + eps) * (1 if weight is None else weight)
    found = (x - mean.reshape(spread)) * scale.reshape(spread)
    return found if bias is None else found + bias.reshape(spread)


def group_norm(x: Array, groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5, *_: Any) -> Array:
    """Normalised over groups of channels."""
    spread = (1, -1, *[1] * (x.ndim - 2))
    grouped = x.reshape(x.shape[0], groups, -1)
    found = layer_norm(grouped, [grouped.shape[-1]], eps=eps).reshape(x.shape)
    return affine(
        found, None if weight is None else weight.reshape(spread), None if bias is None else bias.reshape(spread)
    )


def softmax(x: Array, dim: int, *_: Any, **__: Any) -> Array:
    """Shares along a dimension."""
    return jax.nn.softmax(x.astype(jnp.float32) if x.dtype == jnp.int32 else x, axis=dim)


def attention(
    query: Array, key: Array, value: Array, mask: Array | None = None, dropout: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Array:  # fmt: skip
    """Scaled dot-product attention over (…, heads, tokens, dim). A query that sees nothing gets zeros."""
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = jnp.repeat(key, times, axis=-3), jnp.repeat(value, times, axis=-3)
    scores = jnp.matmul(query, jnp.swapaxes(key, -1, -2)) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        rows = lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 2)
        columns = lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
        scores = jnp.where(columns <= rows, scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == jnp.bool_ else scores + mask
    highest = lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    weights = jnp.exp(scores - jnp.where(jnp.isfinite(highest), highest, 0))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return jnp.matmul(weights / jnp.where(total == 0, 1, total), value)


def pair(value: Any) -> tuple[int, int]:
    """A number for both directions, or one for each."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1]) if value else (0, 0)


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Array:  # fmt: skip
    """A convolution of images (batch, channels, height, width)."""
    around: Any = padding.upper() if isinstance(padding, str) else [(side, side) for side in pair(padding)]
    found = lax.conv_general_dilated(
        x, weight, pair(stride), around, rhs_dilation=pair(dilation), feature_group_count=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )  # fmt: skip
    return found if bias is None else found + bias.reshape(1, -1, 1, 1)


def max_pool2d(
    x: Array, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Array:
    """The largest value of each window."""
    if ceil:
        raise ExportError("Pooling with ceil_mode cannot be exported to jax.", "Export to onnx.")
    sides = [(0, 0), (0, 0), *[(side, side) for side in pair(padding)]]
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, 1, *pair(kernel)), (1, 1, *pair(stride or kernel)), sides,
        window_dilation=(1, 1, *pair(dilation)),
    )  # fmt: skip


def avg_pool2d(x: Array, kernel: Any, stride: Any = None, padding: Any = 0, *_: Any) -> Array:
    """The mean of each window, without padding."""
    if any(pair(padding)):
        raise ExportError("Mean pooling with padding cannot be exported to jax.", "Export to onnx.")
    high, wide = pair(kernel)
    sums = lax.reduce_window(x, 0.0, lax.add, (1, 1, high, wide), (1, 1, *pair(stride or kernel)), "VALID")
    return sums / (high * wide)


def adaptive_avg_pool2d(x: Array, size: Any) -> Array:
    """The mean of each image."""
    if pair(size) != (1, 1):
        raise ExportError(f"Pooling to {size} cannot be exported to jax.", "Export to onnx.")
    return jnp.mean(x, axis=(-2, -1), keepdims=True)


LAYERS: dict[str, Operator] = {
    "aten.linear.default": linear,
    "aten.matmul.default": jnp.matmul,
    "aten.mm.default": jnp.matmul,
    "aten.bmm.default": jnp.matmul,
    "aten.addmm.default": lambda bias, a, b, beta=1, alpha=1: bias * beta + (a @ b) * alpha,
    "aten.baddbmm.default": lambda bias, a, b, beta=1, alpha=1: bias * beta + (a @ b) * alpha,
    "aten.einsum.default": lambda equation, tensors, **_: jnp.einsum(equation, *tensors),
    "aten.embedding.default": lambda weight, ids, *_: jnp.take(weight, ids, axis=0, mode="clip"),
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.batch_norm.default": batch_norm,
    "aten.group_norm.default": group_norm,
    "aten.gelu.default": lambda x, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.log_softmax.int": lambda x, dim, *_, **__: jax.nn.log_softmax(x, axis=dim),
    "aten.softplus.default": lambda x, beta=1, threshold=20: jax.nn.softplus(x * beta) / beta,
    "aten.leaky_relu.default": lambda x, slope=0.01: jax.nn.leaky_relu(x, slope),
    "aten.elu.default": lambda x, alpha=1, scale=1, inner=1: (
        scale * jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) * inner))
    ),
    "aten.hardtanh.default": lambda x, low=-1, high=1: jnp.clip(x, low, high),
    "aten.scaled_dot_product_attention.default": attention,
    "aten.conv2d.default": conv2d,
    "aten.conv2d.padding": conv2d,
    "aten.max_pool2d.default": max_pool2d,
    "aten.avg_pool2d.default": avg_pool2d,
    "aten.adaptive_avg_pool2d.default": adaptive_avg_pool2d,
}
