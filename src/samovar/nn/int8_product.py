"""Products of a few rows with int8 weights, in float32, at the rate at which memory gives the weights.

Whole numbers become floats in registers, so that activations are rounded to nothing shorter, and a row's result is the
same, bit for bit, whatever rows are beside it. On two cores the products of GPT-2 small's blocks (85 MB) took 5.1 ms
for one row and 11 for eight; PyTorch's, of bfloat16, took 9.1 and 23.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from samovar.nn.compiled import LANES, Program, Writer, compiled

# Weights' rows that are read at once.
PAIR = 2
# Rows of the input against which a weight is held once it is in a register.
MOST = 8
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

    def part(w: Writer, fixed: Any, given: Any, out: Any, first: Any, last: Any) -> None:
        names = dict.fromkeys(("weight", "scale", "bias"), w.address) | dict.fromkeys(("inputs", "outputs"), w.i64)
        at, b = w.fields(fixed, names), w.b
        inputs, outputs = at["inputs"], at["outputs"]
        floats, bytes_ = w.vector(w.float, LANES), w.vector(w.byte, LANES)
        given_rows = [w.at(given, b.mul(inputs, w.whole(row)), w.float) for row in range(rows)]
        made_rows = [w.at(out, b.mul(outputs, w.whole(row)), w.float) for row in range(rows)]
        highest = b.sub(outputs, w.whole(PAIR))

        def pair(piece: Any) -> None:
            # The last pair of an odd number of weight rows is the last two, of which the first is computed twice.
            wanted = b.mul(piece, w.whole(PAIR))
            base = b.select(b.icmp_signed("<", wanted, highest), wanted, highest)
            places = [b.add(base, w.whole(number)) for number in range(PAIR)]
            weights = [w.at(at["weight"], b.mul(place, inputs), w.byte) for place in places]

            def step(place: Any, *sums: Any) -> Sequence[Any]:
                xs = [w.read(floats, row, place) for row in given_rows]
                found = []
                for weight in weights:
                    w.ask_for(weight, place, w.byte)
                    found.append(b.sitofp(w.read(bytes_, weight, place), floats))
                pairs = [(weight, x) for weight in found for x in xs]
                return [w.fma(weight, x, total) for (weight, x), total in zip(pairs, sums, strict=True)]

            sums = w.each(w.whole(0), inputs, LANES, [w.filled(floats, 0.0)] * (PAIR * rows), step)
            for number, place in enumerate(places):
                scale, bias = w.read(w.float, at["scale"], place), w.read(w.float, at["bias"], place)
                for row, made in enumerate(made_rows):
                    total = w.summed(sums[number * rows + row])
                    w.write(b.fadd(b.fmul(total, scale), bias), made, place)

        w.each(first, last, 1, [], pair)

    return compiled(part)
