"""The table of TensorFlow: an operator's full name in PyTorch → what does the same."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # type: ignore[import-untyped]

from samovar.export.tensorflow_layers import LAYERS
from samovar.export.tensorflow_operators import (
    binary,
    bits,
    chosen,
    chunked,
    clamped,
    divided,
    expanded,
    filled,
    flattened,
    indexed,
    masked,
    multiplied,
    ordered,
    padded,
    place_of,
    places,
    promoted,
    reduced,
    scaled,
    scattered,
    selected,
    shaped,
    size_of,
    sizes_of,
    sliced,
    split,
    squeezed,
    stepped,
    swapped,
    top,
    triangle,
    truth,
    unchanged,
    unflattened,
)
from samovar.export.walk import OF_TWO, REDUCING, Operator, first_alone

BINARY: dict[str, Operator] = {
    "add": scaled(tf.add), "sub": scaled(tf.subtract), "mul": multiplied, "div": divided,
    "pow": binary(tf.pow), "maximum": binary(tf.maximum), "minimum": binary(tf.minimum),
    "remainder": binary(tf.math.floormod), "floor_divide": binary(tf.math.floordiv),
    "eq": binary(tf.equal), "ne": binary(tf.not_equal), "lt": binary(tf.less), "le": binary(tf.less_equal),
    "gt": binary(tf.greater), "ge": binary(tf.greater_equal),
    "logical_and": lambda a, b: tf.logical_and(truth(a), truth(b)),
    "logical_or": lambda a, b: tf.logical_or(truth(a), truth(b)),
    "logical_xor": lambda a, b: tf.math.logical_xor(truth(a), truth(b)),
    "__and__": bits(tf.logical_and, tf.bitwise.bitwise_and), "__or__": bits(tf.logical_or, tf.bitwise.bitwise_or),
    "__xor__": bits(tf.math.logical_xor, tf.bitwise.bitwise_xor),
    "bitwise_and": bits(tf.logical_and, tf.bitwise.bitwise_and),
    "bitwise_or": bits(tf.logical_or, tf.bitwise.bitwise_or),
    "bitwise_xor": bits(tf.math.logical_xor, tf.bitwise.bitwise_xor),
}  # fmt: skip
UNARY: dict[str, Operator] = {
    "neg": tf.negative, "abs": tf.abs, "exp": tf.exp, "log": tf.math.log, "log1p": tf.math.log1p, "sqrt": tf.sqrt,
    "rsqrt": tf.math.rsqrt, "sin": tf.sin, "cos": tf.cos, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "relu": tf.nn.relu,
    "erf": tf.math.erf, "sign": tf.sign, "ceil": tf.math.ceil, "floor": tf.math.floor, "round": tf.round,
    "reciprocal": tf.math.reciprocal, "isnan": tf.math.is_nan, "isinf": tf.math.is_inf, "square": tf.square,
    "silu": tf.nn.silu, "zeros_like": tf.zeros_like, "ones_like": tf.ones_like,
    "logical_not": lambda x: tf.logical_not(truth(x)), "bitwise_not": bits(tf.logical_not, tf.bitwise.invert),
    "clone": unchanged, "contiguous": unchanged, "detach": unchanged, "detach_": unchanged, "alias": unchanged,
    "lift_fresh_copy": unchanged, "dropout": unchanged,
}  # fmt: skip
REDUCTIONS: dict[str, Operator] = {
    "sum": reduced(tf.reduce_sum), "mean": reduced(tf.reduce_mean), "amax": reduced(tf.reduce_max),
    "amin": reduced(tf.reduce_min), "any": reduced(tf.reduce_any, to_truth=True),
    "all": reduced(tf.reduce_all, to_truth=True), "prod": reduced(tf.reduce_prod), "argmax": place_of(tf.argmax),
    "argmin": place_of(tf.argmin),
}  # fmt: skip


def best(function: Any, where: Any) -> Operator:
    """The best value along a dimension, and where it is."""
    return lambda x, dim, keepdim=False: [
        function(x, axis=dim, keepdims=keepdim), place_of(where)(x, dim, keepdim)
    ]  # fmt: skip


def reversed_scaled(a: Any, b: Any, alpha: Any = 1) -> Any:
    """`b - alpha · a`."""
    return scaled(tf.subtract)(b, a, alpha)


def operators() -> dict[str, Operator]:
    """The whole table."""
    table: dict[str, Operator] = {}
    for name, function in BINARY.items():
        for form in OF_TWO:
            table[f"aten.{name}.{form}"] = function
    for name, function in UNARY.items():
        table[f"aten.{name}.default"] = first_alone(function)
    for name, function in REDUCTIONS.items():
        for form in REDUCING:
            table[f"aten.{name}.{form}"] = function
    for name in ("to.dtype", "to.dtype_layout", "to.device", "to.other", "_to_copy.default", "type_as.default"):
        table[f"aten.{name}"] = unchanged
    for name in ("view", "reshape", "_unsafe_view"):
        table[f"aten.{name}.default"] = shaped
    for form in ("self", "ScalarOther", "ScalarSelf", "Scalar"):
        table[f"aten.where.{form}"] = chosen
    table |= {
        "aten.pow.Scalar": binary(tf.pow),
        "aten.rsub.Scalar": reversed_scaled,
        "aten.rsub.Tensor": reversed_scaled,
        "aten.addcmul.default": lambda x, a, b, value=1: x + a * b if value == 1 else x + multiplied(a * b, value),
        "aten.clamp.default": clamped,
        "aten.clamp.Tensor": clamped,
        "aten.clamp_min.default": lambda x, low: clamped(x, low),
        "aten.clamp_max.default": lambda x, high: clamped(x, None, high),
        "aten.masked_fill.Scalar": masked,
        "aten.masked_fill.Tensor": masked,
        "aten.cumsum.default": lambda x, dim, **_: tf.cumsum(tf.cast(x, tf.int64) if x.dtype == tf.bool else x, dim),
        "aten.max.dim": best(tf.reduce_max, tf.argmax),
        "aten.min.dim": best(tf.reduce_min, tf.argmin),
        "aten.max.default": tf.reduce_max,
        "aten.min.default": tf.reduce_min,
        "aten.arange.default": stepped,
        "aten.arange.start": stepped,
        "aten.arange.start_step": stepped,
        "aten.full.default": lambda size, value, **_: filled(size, value),
        "aten.full_like.default": lambda x, value, **_: filled(sizes_of(x), value),
        "aten.zeros.default": lambda size, **_: filled(size, 0),
        "aten.ones.default": lambda size, **_: filled(size, 1),
        "aten.new_zeros.default": lambda x, size, **_: filled(size, 0),
        "aten.new_ones.default": lambda x, size, **_: filled(size, 1),
        "aten.new_full.default": lambda x, size, value, **_: filled(size, value),
        "aten.scalar_tensor.default": lambda value, **_: tf.convert_to_tensor(value),
        "aten.eye.default": lambda size, **_: tf.eye(size),
        "aten.tril.default": lambda x, diagonal=0: triangle(x, diagonal, upper=False),
        "aten.triu.default": lambda x, diagonal=0: triangle(x, diagonal, upper=True),
        "aten.sym_size.int": size_of,
        "aten.view_as.default": lambda x, other: shaped(x, sizes_of(other)),
        "aten.flatten.using_ints": flattened,
        "aten.unflatten.int": unflattened,
        "aten.expand.default": expanded,
        "aten.expand_as.default": lambda x, other: tf.broadcast_to(x, tf.shape(other)),
        "aten.transpose.int": swapped,
        "aten.permute.default": lambda x, dims: tf.transpose(x, list(dims)),
        "aten.unsqueeze.default": lambda x, dim: tf.expand_dims(x, dim),
        "aten.squeeze.dim": squeezed,
        "aten.squeeze.dims": squeezed,
        "aten.slice.Tensor": sliced,
        "aten.narrow.default": lambda x, dim, start, length: sliced(x, dim, start, start + length),
        "aten.select.int": selected,
        "aten.cat.default": lambda tensors, dim=0: tf.concat(promoted(*tensors), axis=dim),
        "aten.stack.default": lambda tensors, dim=0: tf.stack(promoted(*tensors), axis=dim),
        "aten.chunk.default": chunked,
        "aten.split.Tensor": split,
        "aten.split_with_sizes.default": split,
        "aten.split.sizes": split,
        "aten.unbind.int": lambda x, dim=0: tf.unstack(x, axis=dim),
        "aten.repeat.default": lambda x, times: tf.tile(x[(None,) * (len(times) - x.shape.rank)], list(times)),
        "aten.repeat_interleave.self_int": lambda x, times, dim=None, **_: tf.repeat(x, times, axis=dim),
        "aten.roll.default": lambda x, shifts, dims=(): tf.roll(x, list(shifts), list(dims)),
        "aten.flip.default": lambda x, dims: tf.reverse(x, list(dims)),
        "aten.pad.default": padded,
        "aten.constant_pad_nd.default": lambda x, sizes, value=0: padded(x, sizes, "constant", value),
        "aten.gather.default": lambda x, dim, index, **_: tf.gather_nd(x, places(index, dim)),
        "aten.index_select.default": lambda x, dim, index: tf.gather(x, index, axis=dim),
        "aten.index.Tensor": indexed,
        "aten.scatter.src": scattered,
        "aten.scatter.value": scattered,
        "aten.scatter_add.default": lambda x, dim, index, source: scattered(x, dim, index, source, "sum"),
        "aten.scatter_reduce.two": scattered,
        "aten.topk.default": top,
        "aten.sort.default": ordered,
        "aten.argsort.default": lambda x, dim=-1, descending=False: ordered(x, dim, descending)[1],
    }
    return table | LAYERS
