"""Operators of the tables of JAX and TensorFlow, one by one beside PyTorch's: many that no toy model has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from samovar.export.formats import format_called
from samovar.export.jax_format import Jax
from samovar.export.tensorflow_format import TensorFlow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
GENERATOR = torch.Generator().manual_seed(0)


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def whole(top: int, *shape: int) -> Tensor:
    return torch.randint(0, top, shape, generator=GENERATOR)


X, Y, ROWS = some(2, 3, 4), some(2, 3, 4), some(3, 4)
IDS, TRUTHS, IMAGES = whole(3, 2, 3, 4), some(2, 3, 4) > 0, some(2, 4, 9, 8)
PLACES = torch.tensor([[[0, 1, 0, 2]], [[2, 1, 1, 0]]])  # No place twice in a row: which write wins is not said.
POSITIVE = X.abs() + 0.1
HALF = IMAGES[:, :2]

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("add.Tensor", (X, IDS), {"alpha": 2}), ("sub.Tensor", (X, 2), {"alpha": 3}), ("rsub.Scalar", (X, 1, 2), {}),
    ("mul.Tensor", (TRUTHS, TRUTHS), {}), ("mul.Tensor", (IDS, 1.5), {}), ("div.Tensor", (IDS, 2), {}),
    ("div.Tensor_mode", (X, 0.3), {"rounding_mode": "floor"}),
    ("div.Tensor_mode", (X, 0.3), {"rounding_mode": "trunc"}),
    ("pow.Tensor_Scalar", (POSITIVE, 1.5), {}), ("pow.Scalar", (2.0, X), {}), ("remainder.Scalar", (X, 0.7), {}),
    ("floor_divide.default", (IDS, 2), {}), ("maximum.default", (X, Y), {}), ("minimum.default", (X, Y), {}),
    ("eq.Scalar", (IDS, 1), {}), ("ne.Tensor", (IDS, 2 - IDS), {}), ("lt.Tensor", (X, Y), {}),
    ("ge.Scalar", (X, 0), {}),
    ("logical_and.default", (X, TRUTHS), {}), ("logical_or.default", (IDS, TRUTHS), {}),
    ("logical_xor.default", (TRUTHS, IDS), {}), ("bitwise_and.Tensor", (IDS, IDS.flip(0)), {}),
    ("__or__.Tensor", (TRUTHS, TRUTHS.flip(0)), {}), ("bitwise_not.default", (IDS,), {}),
    ("bitwise_xor.Tensor", (IDS, IDS.flip(1)), {}), ("logical_not.default", (X,), {}),
    *((f"{name}.default", (X,), {}) for name in ("neg", "abs", "exp", "sin", "cos", "tanh", "sigmoid", "relu", "erf",
                                                "sign", "ceil", "floor", "round", "square", "silu", "isnan", "isinf",
                                                "clone", "zeros_like", "ones_like", "softplus", "leaky_relu", "elu",
                                                "hardtanh", "gelu")),
    *((f"{name}.default", (POSITIVE,), {}) for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal")),
    ("softplus.default", (X, 2.0), {}), ("elu.default", (X, 0.5, 1.5, 2.0), {}),
    ("gelu.default", (X,), {"approximate": "tanh"}), ("addcmul.default", (X, Y, X), {"value": 0.5}),
    ("clamp.default", (X, -0.5), {}), ("clamp.default", (X,), {"max": 0.2}), ("clamp_min.default", (X, 0), {}),
    ("clamp_max.default", (X, 0), {}), ("where.self", (TRUTHS, X, Y), {}), ("where.ScalarOther", (TRUTHS, X, 0.0), {}),
    ("masked_fill.Scalar", (X, TRUTHS, -3.0), {}), ("masked_fill.Tensor", (X, TRUTHS, torch.tensor(2.0)), {}),
    ("sum.dim_IntList", (X, [1, 2]), {}), ("sum.default", (TRUTHS,), {}), ("mean.dim", (X, [-1], True), {}),
    ("mean.default", (X,), {}), ("amax.default", (X, [1]), {}), ("amin.default", (X, [0], True), {}),
    ("any.dim", (IDS, 1), {}), ("any.default", (TRUTHS,), {}), ("all.dim", (IDS, -1, True), {}),
    ("prod.dim_int", (X, 1), {}), ("argmax.default", (X, 1), {}), ("argmax.default", (X, 1, True), {}),
    ("argmin.default", (X,), {}), ("max.dim", (X, 1), {}), ("min.dim", (X, -1, True), {}), ("max.default", (X,), {}),
    ("cumsum.default", (X, 1), {}), ("cumsum.default", (TRUTHS, 2), {}), ("softmax.int", (X, 1), {}),
    ("log_softmax.int", (X, -1), {}), ("topk.default", (X, 2), {}), ("topk.default", (X, 2, 1, False), {}),
    ("sort.default", (X, 1, True), {}), ("argsort.default", (X,), {}),
    ("arange.default", (5,), {}), ("arange.start_step", (1, 9, 3), {}), ("arange.start_step", (0.0, 1.0, 0.25), {}),
    ("full.default", ([2, 3], 1.5), {}), ("full_like.default", (X, 2), {}), ("zeros.default", ([2],), {}),
    ("ones.default", ([2, 1],), {}), ("new_zeros.default", (X, [3]), {}), ("new_ones.default", (X, [3]), {}),
    ("new_full.default", (X, [3], 2.0), {}), ("eye.default", (4,), {}), ("scalar_tensor.default", (2.5,), {}),
    ("tril.default", (X, 1), {}), ("triu.default", (X, -1), {}), ("view.default", (X, [2, -1]), {}),
    ("view_as.default", (X, some(4, 6)), {}), ("flatten.using_ints", (X, 1), {}), ("flatten.using_ints", (X, 0, 1), {}),
    ("unflatten.int", (X, 2, [2, -1]), {}), ("expand.default", (ROWS, [5, -1, 4]), {}),
    ("expand_as.default", (ROWS, X), {}), ("transpose.int", (X, 0, -1), {}), ("t.default", (ROWS,), {}),
    ("permute.default", (X, [2, 0, 1]), {}), ("unsqueeze.default", (X, -2), {}), ("squeeze.dim", (X[:1], 0), {}),
    ("squeeze.dim", (X, 0), {}), ("squeeze.dims", (X[:1, :, :1], [0, 2]), {}), ("slice.Tensor", (X, 2, -3, -1), {}),
    ("slice.Tensor", (X, 1, 0, 100, 2), {}), ("slice.Tensor", (X, 1, 3, 2), {}), ("narrow.default", (X, 2, 1, 2), {}),
    ("select.int", (X, 1, -1), {}), ("cat.default", ([X, Y], -1), {}), ("cat.default", ([X, IDS],), {}),
    ("stack.default", ([X, Y], 1), {}), ("chunk.default", (X, 2, 2), {}), ("split.Tensor", (X, 3, 2), {}),
    ("split_with_sizes.default", (X, [1, 3], 2), {}), ("unbind.int", (X, 1), {}),
    ("repeat.default", (ROWS, [2, 1, 3]), {}),
    ("repeat_interleave.self_int", (X, 2, 1), {}), ("roll.default", (X, [1, -2], [1, 2]), {}),
    ("flip.default", (X, [0, 2]), {}),
    ("pad.default", (X, [1, 2, 0, 1]), {"value": 0.5}), ("pad.default", (X, [-1, 1]), {}),
    ("pad.default", (X, [1, 2], "reflect"), {}), ("constant_pad_nd.default", (X, [1, 1]), {}),
    ("gather.default", (X, 1, PLACES), {}), ("index_select.default", (X, 2, torch.tensor([3, 0])), {}),
    ("index.Tensor", (X, [None, torch.tensor([[2, 0], [-1, 1]])]), {}),
    ("index.Tensor", (X, [torch.tensor([[1], [0]]), torch.tensor([2, 0])]), {}),
    ("index.Tensor", (X, [None, torch.tensor([2, 0]), torch.tensor([-1, 1])]), {}),
    ("index.Tensor", (IMAGES, [torch.tensor([1, 0]), None, torch.tensor([2, 5])]), {}),
    ("scatter.src", (X, 1, PLACES, Y), {}), ("scatter.value", (X, 1, PLACES, 7.0), {}),
    ("scatter_add.default", (X, 1, torch.zeros_like(IDS), Y), {}),
    *(("scatter_reduce.two", (X, 1, IDS, Y, how), {"include_self": own}) for how in ("sum", "mean", "amax", "amin")
      for own in (True, False)),
    ("linear.default", (X, some(5, 4), some(5)), {}), ("matmul.default", (X, some(4)), {}),
    ("matmul.default", (some(4), some(4, 2)), {}), ("bmm.default", (X, some(2, 4, 5)), {}),
    ("addmm.default", (some(5), ROWS, some(4, 5)), {}), ("einsum.default", ("bij,bkj->bik", [X, Y]), {}),
    ("embedding.default", (ROWS, IDS), {}), ("layer_norm.default", (X, [3, 4], ROWS, ROWS), {}),
    ("rms_norm.default", (X, [4]), {}),
    ("batch_norm.default", (X, some(3), some(3), some(3), some(3).abs(), False, 0.1, 1e-5, False), {}),
    ("conv2d.default", (IMAGES, some(6, 4, 3, 3), some(6), [2, 1], [1, 0]), {}),
    ("conv2d.default", (IMAGES, some(8, 1, 3, 3), None, [1, 1], [1, 1], [2, 2], 4), {}),
    ("conv2d.default", (IMAGES, some(6, 2, 2, 2), None, [2, 2], [0, 0], [1, 1], 2), {}),
    ("max_pool2d.default", (IMAGES, [3, 3], [2, 2], [1, 1]), {}), ("avg_pool2d.default", (IMAGES, [2, 2]), {}),
    ("adaptive_avg_pool2d.default", (IMAGES, [1, 1]), {}),
    ("scaled_dot_product_attention.default", (IMAGES, IMAGES, IMAGES), {"is_causal": True}),
    ("scaled_dot_product_attention.default", (IMAGES, HALF, HALF), {"enable_gqa": True, "scale": 0.3}),
    ("scaled_dot_product_attention.default", (IMAGES, IMAGES, IMAGES, torch.arange(9)[:, None] > torch.arange(9)), {}),
]  # fmt: skip


@pytest.fixture(scope="module", params=["jax", "tensorflow"])
def framework(request: pytest.FixtureRequest) -> Any:
    format_called(request.param, {})
    return Jax() if request.param == "jax" else TensorFlow()


def carried(value: Any, framework: Any) -> Any:
    """Arguments with their tensors in the framework."""
    if isinstance(value, Tensor):
        return framework.constant(value)
    return type(value)(carried(one, framework) for one in value) if isinstance(value, list | tuple) else value


def test_each_operator_is_pytorchs(framework: Any) -> None:
    wrong = []
    for (name, args, options), found in zip(CALLS, answers(framework), strict=True):
        packet, _, overload = name.partition(".")
        expected = listed(getattr(getattr(torch.ops.aten, packet), overload)(*args, **options))
        wrong += [f"{name}: {said}" for said in differences(expected, found, framework)]
    assert not wrong


def answers(framework: Any) -> list[list[Any]]:
    """What the table's functions give, call by call; JAX compiles all of them at once, as one by one takes long."""

    def ask() -> list[list[Any]]:
        return [
            listed(framework.operators[f"aten.{name}"](*carried(args, framework), **options))
            for name, args, options in CALLS
        ]

    if framework.name == "tensorflow":
        return ask()
    import jax

    return jax.jit(ask).lower().compile({"xla_backend_optimization_level": 0})()


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def differences(expected: Sequence[Tensor], found: Sequence[Any], framework: Any) -> list[str]:
    """What differs in type, shape or value, once the walk has brought it to its type."""
    if len(expected) != len(found):
        return [f"{len(found)} results instead of {len(expected)}"]
    said = []
    for one, other in zip(expected, found, strict=True):
        typed = framework.typed(other, one.dtype)
        array = np.asarray(typed)
        if array.shape != tuple(one.shape):
            said.append(f"shape {array.shape} instead of {tuple(one.shape)}")
        elif not np.allclose(array, one.numpy(), atol=1e-5, equal_nan=True):
            said.append(f"{np.abs(array - one.double().numpy()).max():.1e} apart")
    return said
