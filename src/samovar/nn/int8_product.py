"""Products of a few rows with int8 weights, in float32, at the rate at which memory gives the weights.

Whole numbers become floats in registers, so that activations are rounded to nothing shorter, and a row's result is the
same, bit for bit, whatever rows are beside it. On two cores the products of GPT-2 small's blocks (85 MB) took 5.1 ms
for one row and 11 for eight; PyTorch's, of bfloat16, took 9.1 and 23.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from samovar.nn.compiled import Program, compiled

# Numbers of a vector, and weights' rows that are read at once.
LANES, PAIR = 16, 2
# Rows of the input against which a weight is held once it is in a register.
MOST = 8
# Bytes ahead that weights are asked for: rows of models are short, and a processor looks ahead within a page only.
AHEAD = 4096
# Below so many weights a second thread takes longer to begin than it saves.
SMALL = 1 << 16


class Int8Product:
    """`x @ (weight · scale)ᵀ + bias`: `weight` (outputs, inputs) int8, `scale` and `bias` (outputs), rows of float32.

    Ask `fits` first. Holds the tensors that it reads.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> None:
        self.outputs, self.inputs = weight.shape
        self.weight, self.scale = weight, scale.float().contiguous()
        self.bias = torch.zeros_like(self.scale) if bias is None else bias.detach().float().contiguous()
        addresses = [one.data_ptr() for one in (weight, self.scale, self.bias)]
        self.fixed = (ctypes.c_int64 * 5)(*addresses, self.inputs, self.outputs)
        self.address = ctypes.addressof(self.fixed)
        self.pieces = -(-self.outputs // PAIR)

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether there is such a product here for this weight."""
        if weight.device.type != "cpu" or not weight.is_contiguous():
            return False
        return weight.shape[0] >= PAIR and weight.shape[1] % LANES == 0 and program(1) is not None

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, inputs) → (rows, outputs)."""
        x = x.contiguous()
        rows = x.shape[0]
        out = torch.empty(rows, self.outputs)
        threads = 1 if self.weight.numel() < SMALL else torch.get_num_threads()
        given, made = x.data_ptr(), out.data_ptr()
        for first in range(0, rows, MOST):
            count = min(MOST, rows - first)
            run = program(count)
            assert run is not None, "`fits` was not asked"
            run(self.address, given + 4 * first * self.inputs, made + 4 * first * self.outputs, self.pieces, threads)
        return out


@cache
def program(rows: int) -> Program | None:
    """The product of so many rows; None where it cannot be compiled."""
    return compiled(text(rows))


def text(rows: int) -> str:
    """It in LLVM's language: a piece of work is a pair of weight rows against all rows of the input.

    The last pair of an odd number of weight rows is the last two, of which the first is computed twice.
    """
    vector = f"<{LANES} x float>"
    weights, inputs = range(PAIR), range(rows)
    sums = [(w, r) for w in weights for r in inputs]
    fixed = {"weight": "ptr", "scale": "ptr", "bias": "ptr", "inputs": "i64", "outputs": "i64"}
    sum_up = f"@llvm.vector.reduce.fadd.v{LANES}f32"
    lines = [
        f"declare {vector} @llvm.fma.v{LANES}f32({vector}, {vector}, {vector})",
        f"declare float {sum_up}(float, {vector})",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
        "define internal void @part(ptr %fixed, ptr %given, ptr %out, i64 %first, i64 %last) #0 {",
        "entry:",
    ]
    for place, (name, kind) in enumerate(fixed.items()):
        lines += [
            f"  %at.{name} = getelementptr i64, ptr %fixed, i64 {place}",
            f"  %{name} = load {kind}, ptr %at.{name}",
        ]
    for r in inputs:
        lines += [
            f"  %skip{r} = mul i64 %inputs, {r}",
            f"  %row{r} = getelementptr float, ptr %given, i64 %skip{r}",
        ]
    lines += [
        f"  %highest = sub i64 %outputs, {PAIR}",
        "  br label %pairs",
        "pairs:",
        "  %piece = phi i64 [%first, %entry], [%piece.next, %write]",
        "  %left = icmp slt i64 %piece, %last",
        "  br i1 %left, label %begin, label %end",
        "begin:",
        f"  %wanted = mul i64 %piece, {PAIR}",
        "  %inside = icmp slt i64 %wanted, %highest",
        "  %base = select i1 %inside, i64 %wanted, i64 %highest",
    ]
    for w in weights:
        lines += [
            f"  %place{w} = add i64 %base, {w}",
            f"  %start{w} = mul i64 %place{w}, %inputs",
            f"  %weight{w} = getelementptr i8, ptr %weight, i64 %start{w}",
        ]
    lines += ["  br label %step", "step:", "  %i = phi i64 [0, %begin], [%i.next, %step]"]
    lines += [f"  %sum{w}.{r} = phi {vector} [zeroinitializer, %begin], [%more{w}.{r}, %step]" for w, r in sums]
    for r in inputs:
        lines += [
            f"  %x.at{r} = getelementptr float, ptr %row{r}, i64 %i",
            f"  %x{r} = load {vector}, ptr %x.at{r}, align 4",
        ]
    for w in weights:
        lines += [
            f"  %w.at{w} = getelementptr i8, ptr %weight{w}, i64 %i",
            f"  %byte{w} = load <{LANES} x i8>, ptr %w.at{w}, align 1",
            f"  %w{w} = sitofp <{LANES} x i8> %byte{w} to {vector}",
            f"  %ahead{w} = getelementptr i8, ptr %w.at{w}, i64 {AHEAD}",
            f"  call void @llvm.prefetch.p0(ptr %ahead{w}, i32 0, i32 3, i32 1)",
        ]
    lines += [
        f"  %more{w}.{r} = call {vector} @llvm.fma.v{LANES}f32({vector} %w{w}, {vector} %x{r}, {vector} %sum{w}.{r})"
        for w, r in sums
    ]
    lines += [
        f"  %i.next = add i64 %i, {LANES}",
        "  %again = icmp slt i64 %i.next, %inputs",
        "  br i1 %again, label %step, label %write",
        "write:",
    ]
    for w in weights:
        lines += [
            f"  %scale.at{w} = getelementptr float, ptr %scale, i64 %place{w}",
            f"  %scale{w} = load float, ptr %scale.at{w}",
            f"  %bias.at{w} = getelementptr float, ptr %bias, i64 %place{w}",
            f"  %bias{w} = load float, ptr %bias.at{w}",
        ]
    for w, r in sums:
        lines += [
            f"  %dot{w}.{r} = call reassoc float {sum_up}(float 0.0, {vector} %more{w}.{r})",
            f"  %scaled{w}.{r} = fmul float %dot{w}.{r}, %scale{w}",
            f"  %value{w}.{r} = fadd float %scaled{w}.{r}, %bias{w}",
            f"  %above{w}.{r} = mul i64 %outputs, {r}",
            f"  %to{w}.{r} = add i64 %above{w}.{r}, %place{w}",
            f"  %out.at{w}.{r} = getelementptr float, ptr %out, i64 %to{w}.{r}",
            f"  store float %value{w}.{r}, ptr %out.at{w}.{r}",
        ]
    lines += ["  %piece.next = add i64 %piece, 1", "  br label %pairs", "end:", "  ret void", "}"]
    return "\n".join(lines)
