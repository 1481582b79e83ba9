"""PyTorch's operators in TensorFlow: arithmetic, shapes and indices.

A size is a number where it is fixed and a scalar tensor where it is free. PyTorch mixes types where TensorFlow does
not, so operands are brought to one type by PyTorch's rules first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf  # type: ignore[import-untyped]
import torch

from samovar.errors import ExportError
from samovar.export.walk import Operator

Array = Any
Size = Any  # a number, or a scalar tensor

TYPES = {
    torch.float64: tf.float64, torch.float32: tf.float32, torch.float16: tf.float16, torch.bfloat16: tf.bfloat16,
    torch.int64: tf.int64, torch.int32: tf.int32, torch.int16: tf.int16, torch.int8: tf.int8, torch.uint8: tf.uint8,
    torch.bool: tf.bool,
}  # fmt: skip


# Types ----------------------------------------------------------------------------------------------------------------


def rank_of_type(value: Any) -> int:
    """Truths below whole numbers below fractions."""
    if tf.is_tensor(value):
        return 0 if value.dtype == tf.bool else 1 if value.dtype.is_integer else 2
    return 0 if isinstance(value, bool) else 1 if isinstance(value, int) else 2


def promoted(*values: Any) -> list[Array]:
    """Values in one type: the highest kind decides, then tensors before scalars, then the wider."""
    kind = max(map(rank_of_type, values))
    tensors = [one for one in values if tf.is_tensor(one) and rank_of_type(one) == kind]
    full = [one for one in tensors if one.shape.rank != 0] or tensors
    default = (tf.bool, tf.int64, tf.float32)[kind]
    dtype = max((one.dtype for one in full), key=lambda one: one.size, default=default)
    return [tf.cast(one, dtype) for one in values]


def binary(function: Callable[[Array, Array], Array]) -> Operator:
    """A function of two operands of one type."""
    return lambda a, b, *_, **__: function(*promoted(a, b))


def scaled(function: Callable[[Array, Array], Array]) -> Operator:
    """`a ± alpha · b`."""
    return lambda a, b, alpha=1: function(*promoted(a, b if alpha == 1 else multiplied(b, alpha)))


def multiplied(a: Any, b: Any) -> Array:
    """The product; of truths, both."""
    a, b = promoted(a, b)
    return tf.logical_and(a, b) if a.dtype == tf.bool else tf.multiply(a, b)


def divided(a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    """`a / b`, rounded down or to zero where that is asked for."""
    a, b = promoted(a, b)
    if rounding_mode == "floor":
        return tf.math.floordiv(a, b)
    if not a.dtype.is_floating:
        a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    found = tf.divide(a, b)
    return found if rounding_mode is None else tf.where(found < 0, tf.math.ceil(found), tf.math.floor(found))


def bits(logical: Operator, bitwise: Operator) -> Operator:
    """An operation on truths, or on the bits of whole numbers."""

    def choose(*values: Any) -> Array:
        same = promoted(*values)
        return logical(*same) if same[0].dtype == tf.bool else bitwise(*same)

    return choose


def truth(x: Array) -> Array:
    """Whether a value is not zero."""
    return tf.cast(x, tf.bool)


def clamped(x: Array, low: Any = None, high: Any = None, **named: Any) -> Array:
    """Within bounds."""
    low, high = named.get("min", low), named.get("max", high)
    x = x if low is None else tf.maximum(x, tf.cast(low, x.dtype))
    return x if high is None else tf.minimum(x, tf.cast(high, x.dtype))


def reduced(function: Any, to_truth: bool = False) -> Operator:
    """A reduction over one dimension, several, or all."""

    def reduce(x: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        axes = (list(dim) or None) if isinstance(dim, list | tuple) else dim
        if to_truth:
            x = truth(x)
        elif x.dtype == tf.bool:
            x = tf.cast(x, tf.int64)
        return function(x, axis=axes, keepdims=keepdim)

    return reduce


def place_of(function: Any) -> Operator:
    """Where the best value along a dimension is."""

    def find(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        if dim is None:
            return function(tf.reshape(x, [-1]), axis=0)
        found = function(x, axis=dim)
        return tf.expand_dims(found, dim) if keepdim else found

    return find


def unchanged(x: Array, *_: Any, **__: Any) -> Array:
    """The same: types are the walk's concern, and dropout is none."""
    return x


def chosen(condition: Array, a: Any, b: Any) -> Array:
    """`a` where the condition holds, else `b`."""
    return tf.where(condition, *promoted(a, b))


def masked(x: Array, mask: Array, value: Any) -> Array:
    """`value` where the mask is true."""
    return tf.where(mask, tf.cast(value, x.dtype), x)


# Shapes ---------------------------------------------------------------------------------------------------------------


def size_of(x: Array, dim: int) -> Size:
    """The size of a dimension."""
    fixed = x.shape[dim]
    return fixed if fixed is not None else tf.shape(x)[dim]


def sizes_of(x: Array) -> list[Size]:
    """All sizes."""
    return [size_of(x, dim) for dim in range(x.shape.rank)]


def shaped(x: Array, sizes: Sequence[Size]) -> Array:
    """The same numbers in another shape. A single free size is left to TensorFlow, which then knows all."""
    free = [at for at, size in enumerate(sizes) if not isinstance(size, int)]
    if len(free) == 1 and -1 not in [size for size in sizes if isinstance(size, int)]:
        sizes = [-1 if at == free[0] else size for at, size in enumerate(sizes)]
    return tf.reshape(x, list(sizes))


def sliced(x: Array, dim: int = 0, start: Size = None, end: Size = None, step: int = 1) -> Array:
    """`x[start:end:step]` along one dimension."""
    if isinstance(end, int) and end > 2**31:
        end = None
    start = None if isinstance(start, int) and start == 0 else start
    if start is None and end is None and step == 1:
        return x
    return x[(*[slice(None)] * (dim % x.shape.rank), slice(start, end, step))]


def selected(x: Array, dim: int, index: Size) -> Array:
    """One place of a dimension."""
    return x[(*[slice(None)] * (dim % x.shape.rank), index)]


def expanded(x: Array, sizes: Sequence[Size], implicit: bool = False) -> Array:
    """Broadcast to `sizes`; -1 keeps a size."""
    kept = [None] * (len(sizes) - x.shape.rank) + sizes_of(x)
    shape = [there if isinstance(size, int) and size == -1 else size for size, there in zip(sizes, kept, strict=True)]
    return tf.broadcast_to(x, shape)


def product(sizes: Sequence[Size]) -> Size:
    """Sizes multiplied."""
    found: Size = 1
    for size in sizes:
        found = found * size
    return found


def flattened(x: Array, start: int = 0, end: int = -1) -> Array:
    """Dimensions from `start` to `end` as one."""
    sizes = sizes_of(x)
    start, end = start % max(len(sizes), 1), end % max(len(sizes), 1)
    return shaped(x, [*sizes[:start], product(sizes[start : end + 1]), *sizes[end + 1 :]])


def unflattened(x: Array, dim: int, sizes: Sequence[Size]) -> Array:
    """One dimension as several."""
    own = sizes_of(x)
    dim = dim % len(own)
    return shaped(x, [*own[:dim], *sizes, *own[dim + 1 :]])


def squeezed(x: Array, dims: int | Sequence[int]) -> Array:
    """Without those of these dimensions that have the size 1."""
    wanted = [dims] if isinstance(dims, int) else list(dims)
    there = [dim for dim in wanted if x.shape[dim] == 1]
    return tf.squeeze(x, there) if there else x


def swapped(x: Array, one: int, other: int) -> Array:
    """Two dimensions exchanged."""
    order = list(range(x.shape.rank))
    order[one], order[other] = order[other], order[one]
    return tf.transpose(x, order)


def split(x: Array, sizes: Any, dim: int = 0) -> list[Array]:
    """Parts of these sizes along a dimension."""
    if isinstance(sizes, int):
        whole = x.shape[dim]
        if whole is None:
            raise ExportError("A dimension of free size is split, which cannot be exported to tensorflow.", "Use onnx.")
        sizes = [min(sizes, whole - start) for start in range(0, whole, sizes)]
    found, start = [], 0
    for size in sizes:
        found.append(sliced(x, dim, start, start + size))
        start = start + size
    return found


def chunked(x: Array, chunks: int, dim: int = 0) -> list[Array]:
    """That many parts, the last of which may be smaller."""
    return split(x, -(-x.shape[dim] // chunks), dim)


def padded(x: Array, sizes: Sequence[Size], mode: str = "constant", value: float | None = None) -> Array:
    """Padded from the last dimension on: (before, after) each. Below zero, cut."""
    if mode not in ("constant", "reflect"):
        raise ExportError(f"Padding by {mode!r} cannot be exported to tensorflow.", "Export to onnx.")
    rank = x.shape.rank
    pairs: list[list[Size]] = [[0, 0] for _ in range(rank)]
    for place, at in enumerate(range(0, len(sizes), 2)):
        low, high = sizes[at], sizes[at + 1]
        dim = rank - 1 - place
        if isinstance(low, int) and low < 0:
            x, low = sliced(x, dim, -low), 0
        if isinstance(high, int) and high < 0:
            x, high = sliced(x, dim, 0, high), 0
        pairs[dim] = [low, high]
    return tf.pad(x, pairs, mode.upper(), constant_values=tf.cast(value or 0, x.dtype))


def stepped(start: Any, end: Any = None, step: Any = 1, **_: Any) -> Array:
    """Numbers from `start` to `end`; one argument is the end."""
    if end is None:
        start, end = 0, start
    return tf.range(*promoted(start, end, step))


def triangle(x: Array, diagonal: Size, upper: bool) -> Array:
    """The part above or below a diagonal; zeros elsewhere."""
    rows = tf.range(size_of(x, -2))[:, None]
    apart = tf.range(size_of(x, -1))[None] - rows
    kept = apart >= diagonal if upper else apart <= diagonal
    return tf.where(kept, x, tf.zeros([], x.dtype))


def filled(sizes: Sequence[Size], value: Any) -> Array:
    """One value everywhere."""
    return tf.fill(list(sizes), value) if len(sizes) else tf.convert_to_tensor(value)


# Indices --------------------------------------------------------------------------------------------------------------


def places(index: Array, dim: int) -> Array:
    """For each element of `index` where it points to, with `index` along `dim`; coordinates are last."""
    rank = index.shape.rank
    shape = tf.shape(index)
    parts = []
    for axis in range(rank):
        if axis == dim % rank:
            parts.append(tf.cast(index, tf.int32))
        else:
            spread = [-1 if other == axis else 1 for other in range(rank)]
            parts.append(tf.broadcast_to(tf.reshape(tf.range(shape[axis]), spread), shape))
    return tf.stack(parts, axis=-1)


def scattered(x: Array, dim: int, index: Array, source: Any, reduce: str = "", include_self: bool = True) -> Array:
    """`x` with `source` at the places of `index` along `dim`, instead of what is there or together with it."""
    spots = places(index, dim)
    shape = tf.shape(index)
    if tf.is_tensor(source) and source.shape.rank == index.shape.rank:
        source = tf.slice(source, [0] * source.shape.rank, shape)
    source = tf.broadcast_to(tf.cast(source, x.dtype), shape)
    if not reduce:
        return tf.tensor_scatter_nd_update(x, spots, source)
    if reduce == "prod":
        raise ExportError("Products by places cannot be exported to tensorflow.", "Export to onnx.")
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "amax": x.dtype.min, "amin": x.dtype.max}[reduce]
        x = tf.tensor_scatter_nd_update(x, spots, tf.fill(shape, tf.cast(neutral, x.dtype)))
    if reduce == "mean":
        count = tf.ones_like(x) if include_self else tf.zeros_like(x)
        count = tf.tensor_scatter_nd_add(count, spots, tf.ones_like(source))
        return tf.tensor_scatter_nd_add(x, spots, source) / tf.maximum(count, 1)
    add = {"sum": tf.tensor_scatter_nd_add, "amax": tf.tensor_scatter_nd_max, "amin": tf.tensor_scatter_nd_min}
    return add[reduce](x, spots, source)


def indexed(x: Array, indices: Sequence[Array | None]) -> Array:
    """`x[indices]`, where None takes a whole dimension."""
    axes = [axis for axis, one in enumerate(indices) if one is not None]
    given = [tf.cast(one, tf.int32) for one in indices if one is not None]
    given = [tf.where(one < 0, one + size_of(x, axis), one) for axis, one in zip(axes, given, strict=True)]
    if len(axes) == 1:
        return tf.gather(x, given[0], axis=axes[0])
    shape = tf.shape(given[0])
    for one in given[1:]:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(one))
    rank = max(one.shape.rank for one in given)
    others = [axis for axis in range(x.shape.rank) if axis not in axes]
    found = tf.gather_nd(tf.transpose(x, axes + others), tf.stack([tf.broadcast_to(one, shape) for one in given], -1))
    first = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
    if first == 0:
        return found
    # Neighbours leave what they found in their own place; others leave it in front.
    return tf.transpose(found, [*range(rank, rank + first), *range(rank), *range(rank + first, rank + len(others))])


def top(x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Array]:
    """The `k` largest values along a dimension, and where they are."""
    moved = swapped(x if largest else -x, dim, -1)
    values, index = tf.math.top_k(moved, k)
    return [swapped(values if largest else -values, dim, -1), swapped(index, dim, -1)]


def ordered(x: Array, dim: int = -1, descending: bool = False, **_: Any) -> list[Array]:
    """Sorted, and where each value was."""
    index = tf.argsort(x, axis=dim, direction="DESCENDING" if descending else "ASCENDING", stable=True)
    return [tf.gather_nd(x, places(index, dim)), index]


def constant(tensor: torch.Tensor) -> Array:
    """A tensor's values in TensorFlow."""
    if tensor.dtype == torch.bfloat16:
        return tf.cast(tf.constant(tensor.float().numpy()), tf.bfloat16)
    return tf.constant(tensor.cpu().numpy(), TYPES[tensor.dtype])
