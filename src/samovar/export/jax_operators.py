"""PyTorch's operators in JAX: arithmetic, shapes and indices. Sizes may be symbols.

Whole numbers have 32 bits, as is JAX's custom; the walk brings each result to its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

from samovar.export.walk import OF_TWO, REDUCING, Operator, first_alone

Array = Any
Size = Any  # a number, or a symbol of jax.export

TYPES = {
    torch.float64: jnp.float32, torch.float32: jnp.float32, torch.float16: jnp.float16, torch.bfloat16: jnp.bfloat16,
    torch.int64: jnp.int32, torch.int32: jnp.int32, torch.int16: jnp.int16, torch.int8: jnp.int8,
    torch.uint8: jnp.uint8, torch.bool: jnp.bool_,
}  # fmt: skip


# Shapes ---------------------------------------------------------------------------------------------------------------


def equal(one: Size, other: Size) -> bool:
    """Whether two sizes are the same for all values of their symbols."""
    return one is other or bool(one == other)


def bound(place: Size | None, size: Size, default: Size) -> Size:
    """A bound of a slice, counted from the end where it is negative, and within the dimension."""
    if place is None:
        return default
    if isinstance(place, int) and place < 0:
        place = place + size
    elif (isinstance(place, int) and place > 2**31) or equal(place, size):
        return size
    if isinstance(place, int) and place == 0:
        return 0
    return jax.core.max_dim(jax.core.min_dim(place, size), 0)


def sliced(x: Array, dim: int = 0, start: Size = None, end: Size = None, step: int = 1) -> Array:
    """`x[start:end:step]` along one dimension."""
    size = x.shape[dim]
    first, last = bound(start, size, 0), bound(end, size, size)
    if isinstance(first, int) and first == 0 and equal(last, size) and step == 1:
        return x
    if not (isinstance(first, int) and isinstance(last, int)):
        last = jax.core.max_dim(first, last)
    return lax.slice_in_dim(x, first, max(first, last) if isinstance(last, int) else last, step, axis=dim)


def expanded(x: Array, sizes: Sequence[Size], implicit: bool = False) -> Array:
    """Broadcast to `sizes`; -1 keeps a size."""
    kept = [None] * (len(sizes) - x.ndim) + list(x.shape)
    shape = [there if isinstance(size, int) and size == -1 else size for size, there in zip(sizes, kept, strict=True)]
    return jnp.broadcast_to(x, shape)


def flattened(x: Array, start: int = 0, end: int = -1) -> Array:
    """Dimensions from `start` to `end` as one."""
    start, end = start % max(x.ndim, 1), end % max(x.ndim, 1)
    joined: Size = 1
    for size in x.shape[start : end + 1]:
        joined = joined * size
    return x.reshape(*x.shape[:start], joined, *x.shape[end + 1 :])


def unflattened(x: Array, dim: int, sizes: Sequence[Size]) -> Array:
    """One dimension as several."""
    dim = dim % x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


def squeezed(x: Array, dims: int | Sequence[int]) -> Array:
    """Without those of these dimensions that have the size 1."""
    chosen = [dims] if isinstance(dims, int) else list(dims)
    return jnp.squeeze(x, tuple(dim for dim in chosen if isinstance(x.shape[dim], int) and x.shape[dim] == 1))


def split(x: Array, sizes: int | Sequence[Size], dim: int = 0) -> list[Array]:
    """Parts of these sizes along a dimension."""
    if isinstance(sizes, int):
        whole = x.shape[dim]
        sizes = [min(sizes, whole - start) for start in range(0, whole, sizes)]
    found, start = [], 0
    for size in sizes:
        found.append(lax.slice_in_dim(x, start, start + size, axis=dim))
        start = start + size
    return found


def chunked(x: Array, chunks: int, dim: int = 0) -> list[Array]:
    """That many parts, the last of which may be smaller."""
    return split(x, -(-x.shape[dim] // chunks), dim)


def padded(x: Array, sizes: Sequence[Size], mode: str = "constant", value: float | None = None) -> Array:
    """Padded from the last dimension on: (before, after) each."""
    pairs = [(0, 0)] * (x.ndim - len(sizes) // 2)
    pairs += [(sizes[at], sizes[at + 1]) for at in range(len(sizes) - 2, -1, -2)]
    if mode != "constant":
        return jnp.pad(x, pairs, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])
    return lax.pad(x, jnp.asarray(value or 0, x.dtype), [(low, high, 0) for low, high in pairs])


def stepped(start: Any, end: Any = None, step: Any = 1, **_: Any) -> Array:
    """Numbers from `start` to `end`; one argument is the end."""
    if end is None:
        start, end = 0, start
    if any(isinstance(one, float) for one in (start, end, step)):
        return jnp.arange(start, end, step)
    return lax.iota(jnp.int32, jax.core.max_dim(-((start - end) // step), 0)) * step + start


def triangle(x: Array, diagonal: Size, upper: bool) -> Array:
    """The part above or below a diagonal; zeros elsewhere."""
    rows = lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 2)
    columns = lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    kept = columns - rows >= diagonal if upper else columns - rows <= diagonal
    return jnp.where(kept, x, jnp.zeros((), x.dtype))


def rolled(x: Array, shifts: Sequence[Size], dims: Sequence[int] = ()) -> Array:
    """Rotated along dimensions."""
    for shift, dim in zip(shifts, dims, strict=True):
        x = jnp.roll(x, shift, axis=dim)
    return x


# Indices --------------------------------------------------------------------------------------------------------------


def places(index: Array, dim: int) -> tuple[Array, ...]:
    """For each element of `index` where it points to, with `index` along `dim`."""
    dim = dim % index.ndim
    return tuple(
        index if axis == dim else lax.broadcasted_iota(jnp.int32, index.shape, axis) for axis in range(index.ndim)
    )


def like_index(x: Array, index: Array) -> Array:
    """As much of `x` as there is of `index`."""
    for axis in range(x.ndim):
        x = sliced(x, axis, 0, index.shape[axis])
    return x


def scattered(x: Array, dim: int, index: Array, source: Any, reduce: str = "", include_self: bool = True) -> Array:
    """`x` with `source` at the places of `index` along `dim`, instead of what is there or together with it."""
    spots = x.at[places(index, dim)]
    if isinstance(source, jax.Array):
        source = like_index(source, index)
    if not reduce:
        return spots.set(source)
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "prod": 1, "amax": -jnp.inf, "amin": jnp.inf}[reduce]
        x = spots.set(jnp.asarray(neutral, x.dtype))
        spots = x.at[places(index, dim)]
    if reduce == "mean":
        count = jnp.full_like(x, 1 if include_self else 0).at[places(index, dim)].add(1)
        return spots.add(source) / jnp.maximum(count, 1)
    return {"sum": spots.add, "prod": spots.multiply, "amax": spots.max, "amin": spots.min}[reduce](source)


def indexed(x: Array, indices: Sequence[Array | None]) -> Array:
    """`x[indices]`, where None takes a whole dimension."""
    return x[tuple(slice(None) if one is None else one for one in indices)]


def put(x: Array, indices: Sequence[Array | None], values: Array, accumulate: bool = False) -> Array:
    """`x` with `values` at `indices`."""
    spots = x.at[tuple(slice(None) if one is None else one for one in indices)]
    return spots.add(values) if accumulate else spots.set(values)


def top(x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Array]:
    """The `k` largest values along a dimension, and where they are."""
    moved = jnp.moveaxis(x if largest else -x, dim, -1)
    values, index = lax.top_k(moved, k)
    return [jnp.moveaxis(values if largest else -values, -1, dim), jnp.moveaxis(index, -1, dim)]


def ordered(x: Array, dim: int = -1, descending: bool = False, **_: Any) -> list[Array]:
    """Sorted, and where each value was."""
    index = jnp.argsort(x, axis=dim, descending=descending, stable=True)
    return [jnp.take_along_axis(x, index, axis=dim), index]


# Arithmetic -----------------------------------------------------------------------------------------------------------


def scaled(combine: Any) -> Operator:
    """`a ± alpha · b`."""
    return lambda a, b, alpha=1: combine(a, b if alpha == 1 else b * alpha)


def divided(a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    """`a / b`, rounded down or to zero where that is asked for."""
    if rounding_mode == "floor":
        return jnp.floor_divide(a, b)
    found = jnp.true_divide(a, b)
    return found if rounding_mode is None else jnp.trunc(found)


def clamped(x: Array, min: Any = None, max: Any = None) -> Array:
    """Within bounds."""
    return jnp.clip(x, min, max)


def reduced(function: Any) -> Operator:
    """A reduction over one dimension, several, or all."""

    def reduce(x: Array, dim: int | Sequence[int] | None = None, keepdim: bool = False, **_: Any) -> Array:
        axes = tuple(dim) if isinstance(dim, list | tuple) and dim else None if isinstance(dim, list | tuple) else dim
        return function(x, axis=axes, keepdims=keepdim)

    return reduce


def best(function: Any, where: Any) -> Operator:
    """The best value along a dimension, and where it is."""
    return lambda x, dim, keepdim=False: [
        function(x, axis=dim, keepdims=keepdim), where(x, axis=dim, keepdims=keepdim)
    ]  # fmt: skip


def unchanged(x: Array, *_: Any, **__: Any) -> Array:
    """The same: types are the walk's concern, and dropout is none."""
    return x


def filled(size: Sequence[Size], value: Any, **_: Any) -> Array:
    """One value everywhere."""
    return jnp.full(tuple(size), value)


def masked(x: Array, mask: Array, value: Any) -> Array:
    """`value` where the mask is true."""
    return jnp.where(mask, jnp.asarray(value, x.dtype), x)


def bitwise_not(x: Array) -> Array:
    """All bits turned; of truths, their opposite."""
    return jnp.logical_not(x) if x.dtype == jnp.bool_ else jnp.invert(x)


def constant(tensor: torch.Tensor) -> Array:
    """A tensor's values in JAX."""
    if tensor.dtype == torch.bfloat16:
        return jnp.asarray(tensor.float().numpy(), jnp.bfloat16)
    return jnp.asarray(np.asarray(tensor.cpu().numpy()), TYPES[tensor.dtype])


COMPARISONS = {"eq": jnp.equal, "ne": jnp.not_equal, "lt": jnp.less, "le": jnp.less_equal,
               "gt": jnp.greater, "ge": jnp.greater_equal}  # fmt: skip
BINARY: dict[str, Any] = {
    "mul": jnp.multiply, "pow": jnp.power, "maximum": jnp.maximum, "minimum": jnp.minimum,
    "logical_and": jnp.logical_and, "logical_or": jnp.logical_or, "logical_xor": jnp.logical_xor,
    "__and__": jnp.bitwise_and, "__or__": jnp.bitwise_or, "__xor__": jnp.bitwise_xor,
    "bitwise_and": jnp.bitwise_and, "bitwise_or": jnp.bitwise_or, "bitwise_xor": jnp.bitwise_xor,
    "remainder": jnp.remainder, "floor_divide": jnp.floor_divide, "div": divided,
    "add": scaled(jnp.add), "sub": scaled(jnp.subtract), **COMPARISONS,
}  # fmt: skip
UNARY: dict[str, Any] = {
    "neg": jnp.negative, "abs": jnp.abs, "exp": jnp.exp, "log": jnp.log, "log1p": jnp.log1p, "sqrt": jnp.sqrt,
    "rsqrt": lax.rsqrt, "sin": jnp.sin, "cos": jnp.cos, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu, "erf": lax.erf, "sign": jnp.sign, "ceil": jnp.ceil, "floor": jnp.floor,
    "round": jnp.round, "reciprocal": jnp.reciprocal, "logical_not": jnp.logical_not, "isnan": jnp.isnan,
    "isinf": jnp.isinf, "square": jnp.square, "bitwise_not": bitwise_not, "silu": jax.nn.silu,
    "zeros_like": jnp.zeros_like, "ones_like": jnp.ones_like, "clone": unchanged, "contiguous": unchanged,
    "detach": unchanged, "detach_": unchanged, "alias": unchanged, "lift_fresh_copy": unchanged,
    "dropout": unchanged,
}  # fmt: skip
REDUCTIONS: dict[str, Any] = {
    "sum": jnp.sum, "mean": jnp.mean, "amax": jnp.max, "amin": jnp.min, "any": jnp.any, "all": jnp.all,
    "prod": jnp.prod, "argmax": jnp.argmax, "argmin": jnp.argmin,
}  # fmt: skip


def operators() -> dict[str, Operator]:
    """The table: an operator's full name → what it does in JAX."""
    from samovar.export.jax_layers import LAYERS

    table: dict[str, Operator] = {}
    for name, function in BINARY.items():
        for form in OF_TWO:
            table[f"aten.{name}.{form}"] = function
    for name, one in UNARY.items():
        table[f"aten.{name}.default"] = first_alone(one)
    for name, one in REDUCTIONS.items():
        for form in REDUCING:
            table[f"aten.{name}.{form}"] = reduced(one)
    for name in ("dtype", "dtype_layout", "device", "other", "prim_Device"):
        table[f"aten.to.{name}"] = unchanged
    table |= {
        "aten._to_copy.default": unchanged,
        "aten.type_as.default": unchanged,
        "aten.pow.Scalar": jnp.power,
        "aten.rsub.Scalar": lambda a, b, alpha=1: b - a * alpha,
        "aten.rsub.Tensor": lambda a, b, alpha=1: b - a * alpha,
        "aten.addcmul.default": lambda x, a, b, value=1: x + value * a * b,
        "aten.clamp.default": clamped,
        "aten.clamp.Tensor": clamped,
        "aten.clamp_min.default": lambda x, low: jnp.maximum(x, low),
        "aten.clamp_max.default": lambda x, high: jnp.minimum(x, high),
        "aten.where.self": jnp.where,
        "aten.where.ScalarOther": jnp.where,
        "aten.where.ScalarSelf": jnp.where,
        "aten.where.Scalar": jnp.where,
        "aten.masked_fill.Scalar": masked,
        "aten.masked_fill.Tensor": masked,
        "aten.cumsum.default": lambda x, dim, **_: jnp.cumsum(x, axis=dim),
        "aten.max.dim": best(jnp.max, jnp.argmax),
        "aten.min.dim": best(jnp.min, jnp.argmin),
        "aten.max.default": jnp.max,
        "aten.min.default": jnp.min,
        "aten.arange.default": stepped,
        "aten.arange.start": stepped,
        "aten.arange.start_step": stepped,
        "aten.full.default": filled,
        "aten.full_like.default": lambda x, value, **_: jnp.full(x.shape, value),
        "aten.zeros.default": lambda size, **_: filled(size, 0),
        "aten.ones.default": lambda size, **_: filled(size, 1),
        "aten.new_zeros.default": lambda x, size, **_: filled(size, 0),
        "aten.new_ones.default": lambda x, size, **_: filled(size, 1),
        "aten.new_full.default": lambda x, size, value, **_: filled(size, value),
        "aten.scalar_tensor.default": lambda value, **_: jnp.asarray(value),
        "aten.eye.default": lambda size, **_: jnp.eye(size),
        "aten.tril.default": lambda x, diagonal=0: triangle(x, diagonal, upper=False),
        "aten.triu.default": lambda x, diagonal=0: triangle(x, diagonal, upper=True),
        "aten.sym_size.int": lambda x, dim: x.shape[dim],
        "aten.view.default": lambda x, size: x.reshape(tuple(size)),
        "aten.reshape.default": lambda x, size: x.reshape(tuple(size)),
        "aten._unsafe_view.default": lambda x, size: x.reshape(tuple(size)),
        "aten.view_as.default": lambda x, other: x.reshape(other.shape),
        "aten.flatten.using_ints": flattened,
        "aten.unflatten.int": unflattened,
        "aten.expand.default": expanded,
        "aten.expand_as.default": lambda x, other: jnp.broadcast_to(x, other.shape),
        "aten.transpose.int": lambda x, one, other: jnp.swapaxes(x, one, other),
        "aten.t.default": lambda x: x.T,
        "aten.numpy_T.default": lambda x: x.T,
        "aten.permute.default": lambda x, dims: jnp.transpose(x, dims),
        "aten.movedim.int": jnp.moveaxis,
        "aten.unsqueeze.default": lambda x, dim: jnp.expand_dims(x, dim),
        "aten.squeeze.dim": squeezed,
        "aten.squeeze.dims": squeezed,
        "aten.slice.Tensor": sliced,
        "aten.narrow.default": lambda x, dim, start, length: sliced(x, dim, start, start + length),
        "aten.select.int": lambda x, dim, index: lax.index_in_dim(
            x, index + x.shape[dim] if isinstance(index, int) and index < 0 else index, axis=dim, keepdims=False
        ),
        "aten.cat.default": lambda tensors, dim=0: jnp.concatenate(tensors, axis=dim),
        "aten.stack.default": lambda tensors, dim=0: jnp.stack(tensors, axis=dim),
        "aten.chunk.default": chunked,
        "aten.split.Tensor": split,
        "aten.split_with_sizes.default": split,
        "aten.split.sizes": split,
        "aten.unbind.int": lambda x, dim=0: [jnp.squeeze(one, dim) for one in split(x, 1, dim)],
        "aten.repeat.default": lambda x, times: jnp.tile(x, times),
        "aten.repeat_interleave.self_int": lambda x, times, dim=None, **_: jnp.repeat(x, times, axis=dim),
        "aten.roll.default": rolled,
        "aten.flip.default": lambda x, dims: jnp.flip(x, dims),
        "aten.pad.default": padded,
        "aten.constant_pad_nd.default": lambda x, sizes, value=0: padded(x, sizes, "constant", value),
        "aten.gather.default": lambda x, dim, index, **_: x[places(index, dim)],
        "aten.index_select.default": lambda x, dim, index: jnp.take(x, index, axis=dim),
        "aten.index.Tensor": indexed,
        "aten.index_put.default": put,
        "aten.scatter.src": scattered,
        "aten.scatter.value": scattered,
        "aten.scatter_add.default": lambda x, dim, index, source: scattered(x, dim, index, source, "sum"),
        "aten.scatter_reduce.two": scattered,
        "aten.topk.default": top,
        "aten.sort.default": ordered,
        "aten.argsort.default": lambda x, dim=-1, descending=False: ordered(x, dim, descending)[1],
    }
    return table | LAYERS
