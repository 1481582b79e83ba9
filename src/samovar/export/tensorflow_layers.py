"""PyTorch's operators in TensorFlow: layers, from linear maps to attention and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf  # type: ignore[import-untyped]

from samovar.errors import ExportError
from samovar.export.tensorflow_operators import promoted, shaped, size_of, sizes_of, swapped
from samovar.export.walk import Operator

Array = Any


def matmul(a: Array, b: Array) -> Array:
    """The matrix product over the last two dimensions; a vector stands for a row, or behind for a column."""
    a, b = promoted(a, b)
    row, column = a.shape.rank == 1, b.shape.rank == 1
    found = tf.matmul(a[None] if row else a, b[:, None] if column else b)
    found = tf.squeeze(found, -2) if row else found
    return tf.squeeze(found, -1) if column else found


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """`x Wᵀ + b`, as one product of matrices."""
    flat = x if x.shape.rank == 2 else tf.reshape(x, [-1, size_of(x, -1)])
    found = tf.matmul(flat, weight, transpose_b=True)
    found = found if bias is None else found + bias
    return found if x.shape.rank == 2 else shaped(found, [*sizes_of(x)[:-1], size_of(weight, 0)])


def affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    """Times a weight, plus a bias, where there are such."""
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def layer_norm(
    x: Array, shape: Sequence[int], weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5,
    _: bool = False,
) -> Array:  # fmt: skip
    """Normalised over the last dimensions, as many as `shape` has."""
    axes = list(range(x.shape.rank - len(shape), x.shape.rank))
    centred = x - tf.reduce_mean(x, axes, keepdims=True)
    return affine(centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True) + eps), weight, bias)


def rms_norm(x: Array, shape: Sequence[int], weight: Array | None = None, eps: float | None = None) -> Array:
    """Divided by the root of the mean square over the last dimensions."""
    axes = list(range(x.shape.rank - len(shape), x.shape.rank))
    least = 2.0**-23 if eps is None else eps
    return affine(x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axes, keepdims=True) + least), weight, None)


def batch_norm(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, training: bool, _: float, eps: float, *__: Any
) -> Array:
    """Normalised by running statistics, channel by channel."""
    if training:
        raise ExportError("A batch norm in training mode cannot be exported.", "Call model.eval() first.")
    spread = [1, -1, *[1] * (x.shape.rank - 2)]
    scale = tf.math.rsqrt(variance + eps) * (1 if weight is None else weight)
    found = (x - tf.reshape(mean, spread)) * tf.reshape(scale, spread)
    return found if bias is None else found + tf.reshape(bias, spread)


def softmax(x: Array, dim: int, *_: Any, **__: Any) -> Array:
    """Shares along a dimension."""
    return tf.nn.softmax(x, axis=dim)


def attention(
    query: Array, key: Array, value: Array, mask: Array | None = None, dropout: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Array:  # fmt: skip
    """Scaled dot-product attention over (…, heads, tokens, dim). A query that sees nothing gets zeros."""
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = tf.repeat(key, times, axis=-3), tf.repeat(value, times, axis=-3)
    scores = tf.matmul(query, key, transpose_b=True) * (query.shape[-1] ** -0.5 if scale is None else scale)
    nothing = tf.constant(-float("inf"), scores.dtype)
    if is_causal:
        kept = tf.range(size_of(scores, -1))[None] <= tf.range(size_of(scores, -2))[:, None]
        scores = tf.where(kept, scores, nothing)
    if mask is not None:
        scores = tf.where(mask, scores, nothing) if mask.dtype == tf.bool else scores + tf.cast(mask, scores.dtype)
    highest = tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))
    weights = tf.exp(scores - tf.where(tf.math.is_finite(highest), highest, tf.zeros_like(highest)))
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    return tf.matmul(weights / tf.where(total == 0, tf.ones_like(total), total), value)


def pair(value: Any) -> tuple[int, int]:
    """A number for both directions, or one for each."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1]) if value else (0, 0)


def channels_last(x: Array) -> Array:
    """(batch, channels, height, width) → (batch, height, width, channels), which is what TensorFlow has on a CPU."""
    return tf.transpose(x, [0, 2, 3, 1])


def channels_first(x: Array) -> Array:
    """The way back."""
    return tf.transpose(x, [0, 3, 1, 2])


def around(padding: Any) -> list[tuple[int, int]]:
    """Padding of images with their channels last."""
    high, wide = pair(padding)
    return [(0, 0), (high, high), (wide, wide), (0, 0)]


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Array:  # fmt: skip
    """A convolution of images (batch, channels, height, width)."""
    images, sides = channels_last(x), "VALID"
    if isinstance(padding, str):
        sides = padding.upper()
    elif any(pair(padding)):
        images = tf.pad(images, around(padding))
    kernel = tf.transpose(weight, [2, 3, 1, 0])
    if groups == 1:
        found = tf.nn.conv2d(images, kernel, pair(stride), sides, dilations=pair(dilation))
    elif groups == weight.shape[0] and weight.shape[1] == 1:
        found = tf.nn.depthwise_conv2d(
            images, tf.transpose(weight, [2, 3, 0, 1]), [1, *pair(stride), 1], sides, dilations=pair(dilation)
        )
    else:
        parts = zip(tf.split(images, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
        found = tf.concat(
            [tf.nn.conv2d(one, part, pair(stride), sides, dilations=pair(dilation)) for one, part in parts], axis=-1
        )
    return channels_first(found if bias is None else found + bias)


def max_pool2d(
    x: Array, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Array:
    """The largest value of each window."""
    if ceil or pair(dilation) != (1, 1):
        raise ExportError("Pooling with ceil_mode or dilation cannot be exported to tensorflow.", "Export to onnx.")
    images = tf.pad(channels_last(x), around(padding), constant_values=x.dtype.min)
    return channels_first(tf.nn.max_pool2d(images, pair(kernel), pair(stride or kernel), "VALID"))


def avg_pool2d(x: Array, kernel: Any, stride: Any = None, padding: Any = 0, *_: Any) -> Array:
    """The mean of each window, without padding."""
    if any(pair(padding)):
        raise ExportError("Mean pooling with padding cannot be exported to tensorflow.", "Export to onnx.")
    return channels_first(tf.nn.avg_pool2d(channels_last(x), pair(kernel), pair(stride or kernel), "VALID"))


def adaptive_avg_pool2d(x: Array, size: Any) -> Array:
    """The mean of each image."""
    if pair(size) != (1, 1):
        raise ExportError(f"Pooling to {size} cannot be exported to tensorflow.", "Export to onnx.")
    return tf.reduce_mean(x, axis=[-2, -1], keepdims=True)


LAYERS: dict[str, Operator] = {
    "aten.linear.default": linear,
    "aten.matmul.default": matmul,
    "aten.mm.default": matmul,
    "aten.bmm.default": matmul,
    "aten.addmm.default": lambda bias, a, b, beta=1, alpha=1: bias * beta + matmul(a, b) * alpha,
    "aten.baddbmm.default": lambda bias, a, b, beta=1, alpha=1: bias * beta + matmul(a, b) * alpha,
    "aten.einsum.default": lambda equation, tensors, **_: tf.einsum(equation, *tensors),
    "aten.embedding.default": lambda weight, ids, *_: tf.gather(weight, ids),
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.batch_norm.default": batch_norm,
    "aten.gelu.default": lambda x, approximate="none": tf.nn.gelu(x, approximate=approximate == "tanh"),
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.log_softmax.int": lambda x, dim, *_, **__: tf.nn.log_softmax(x, axis=dim),
    "aten.softplus.default": lambda x, beta=1, threshold=20: tf.nn.softplus(x * beta) / beta,
    "aten.leaky_relu.default": lambda x, slope=0.01: tf.nn.leaky_relu(x, slope),
    "aten.elu.default": lambda x, alpha=1, scale=1, inner=1: (
        scale * tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0.0) * inner))
    ),
    "aten.hardtanh.default": lambda x, low=-1, high=1: tf.clip_by_value(x, low, high),
    "aten.scaled_dot_product_attention.default": attention,
    "aten.conv2d.default": conv2d,
    "aten.conv2d.padding": conv2d,
    "aten.max_pool2d.default": max_pool2d,
    "aten.avg_pool2d.default": avg_pool2d,
    "aten.adaptive_avg_pool2d.default": adaptive_avg_pool2d,
    "aten.t.default": lambda x: swapped(x, 0, 1) if x.shape.rank == 2 else x,
}
