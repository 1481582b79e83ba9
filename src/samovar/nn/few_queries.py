"""Attention of a few queries on many keys, at the rate at which memory gives keys and values.

That is how text is written: a step reads the whole cache for one query of each head, or for the group of queries that
share a head's keys. PyTorch's fused kernel is made for many queries.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from samovar.nn.compiled import LANES, Program, Writer, bits, compiled

# More queries than this are read by PyTorch's kernel.
MOST = 8
# Numbers of all keys below which PyTorch's kernel takes no longer, as calling a compiled program costs some 20 µs.
SMALL = 1 << 17
# The widest heads that are read so.
WIDEST = 256
# What a call says, each in 64 bits.
ADDRESSES = ("key", "value", "bias", "weights")
NUMBERS = (
    *("heads", "keys", "padded"),
    *(f"{one} {place}" for one in ("key", "value", "bias") for place in (0, 1, 2)),
)
Call = ctypes.c_int64 * (len(ADDRESSES) + len(NUMBERS) + 1)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor | None:
    """`softmax(query @ keyᵀ · scale + bias) @ value`; None where PyTorch's kernel should do it.

    `query` (batch, heads, queries, dim), `key` and `value` (batch, heads, keys, dim), on the CPU; `bias` broadcasts to
    (batch, heads, queries, keys). Without gradients.
    """
    batch, heads, queries, width = query.shape
    keys = key.shape[2]
    if queries > MOST or batch * heads * keys * width < SMALL or keys < LANES or width % LANES or width > WIDEST:
        return None
    if not (
        type(query) is type(key) is type(value) is Tensor and query.dtype == key.dtype == value.dtype == torch.float32
    ):
        return None
    threads, key_steps, value_steps = torch.get_num_threads(), key.stride(), value.stride()
    if batch * heads < threads or not (key.shape == value.shape == (batch, heads, keys, width)):
        return None
    run = program(width, queries, bias is not None)
    if run is None or key_steps[3] != 1 or value_steps[3] != 1:
        return None
    bias_address, bias_steps = 0, [0, 0, 0]
    if bias is not None:
        if type(bias) is not Tensor or bias.dtype != torch.float32 or bias.ndim != 4 or bias.shape[3] != keys:
            return None
        sizes, steps = bias.shape, bias.stride()
        if steps[3] != 1 or any(size not in (1, whole) for size, whole in zip(sizes, query.shape[:3], strict=False)):
            return None
        bias_address, bias_steps = bias.data_ptr(), [steps[place] * (sizes[place] > 1) for place in range(3)]
    query = query.contiguous()
    padded = -(-keys // LANES) * LANES
    weights, out = torch.empty(batch * heads * queries * padded), torch.empty(query.shape)
    said = Call(
        key.data_ptr(), value.data_ptr(), bias_address, weights.data_ptr(), heads, keys, padded,
        *key_steps[:3], *value_steps[:3], *bias_steps, bits(scale),
    )  # fmt: skip
    run(ctypes.addressof(said), query.data_ptr(), out.data_ptr(), batch * heads, threads)
    return out


@cache
def program(width: int, queries: int, biased: bool) -> Program | None:
    """The attention of so many queries on heads so wide; None where it cannot be compiled.

    A piece of work is a head of a text, in three turns: scores of all keys, their softmax, and the sum of the values.
    """

    def part(w: Writer, fixed: Any, given: Any, out: Any, first: Any, last: Any) -> None:
        kinds = dict.fromkeys(ADDRESSES, w.address) | dict.fromkeys(NUMBERS, w.i64) | {"scale": w.float}
        at, b, zero, wide = w.fields(fixed, kinds), w.b, w.whole(0), w.vector(w.float, width)
        keys, padded, lanes = at["keys"], at["padded"], w.vector(w.float, LANES)
        scale, highest = w.spread(at["scale"], lanes), b.sub(keys, w.whole(LANES))

        def piece(number: Any) -> None:
            text, head = b.sdiv(number, at["heads"]), b.srem(number, at["heads"])
            first_row = b.mul(number, w.whole(queries))
            rows = [b.add(first_row, w.whole(query)) for query in range(queries)]
            weights = [w.at(at["weights"], b.mul(row, padded), w.float) for row in rows]

            def start(name: str) -> Any:
                place = b.add(b.mul(text, at[f"{name} 0"]), b.mul(head, at[f"{name} 1"]))
                return w.at(at[name], place, w.float)

            key, value, bias = (start(name) for name in ("key", "value", "bias"))

            def row_of(base: Any, place: Any, step: Any) -> Any:
                row = w.at(base, b.mul(place, step), w.float)
                for skip in range(0, 4 * width, 64):
                    w.ask_for(row, skip, w.byte)
                return row

            def scores(begin: Any) -> None:
                # The last ones are read with some before them again.
                begin = b.select(b.icmp_signed("<", begin, highest), begin, highest)
                places = [b.add(begin, w.whole(lane)) for lane in range(LANES)]
                read = [row_of(key, place, at["key 2"]) for place in places]

                def one(query: Any) -> None:
                    row = b.add(first_row, query)
                    asked = w.at(given, b.mul(row, w.whole(width)), w.float)
                    found = b.fmul(all_sums(w, [product(w, asked, numbers, width) for numbers in read]), scale)
                    if biased:
                        line = w.at(bias, b.mul(at["bias 2"], query), w.float)
                        found = b.fadd(found, w.read(lanes, line, begin))
                    w.write(found, w.at(at["weights"], b.mul(row, padded), w.float), begin)

                w.each(zero, w.whole(queries), 1, [], one)

            def add(place: Any, *sums: Any) -> Sequence[Any]:
                numbers = w.read(wide, row_of(value, place, at["value 2"]), 0)
                shares = [w.spread(w.read(w.float, row, place), wide) for row in weights]
                return [w.fma(share, numbers, total) for share, total in zip(shares, sums, strict=True)]

            w.each(zero, keys, LANES, [], scores)
            totals = [softmax(w, row, keys, padded) for row in weights]
            sums = w.each(zero, keys, 1, [w.filled(wide, 0.0)] * queries, add)
            for row, total, found in zip(rows, totals, sums, strict=True):
                w.write(b.fdiv(found, w.spread(total, wide)), out, b.mul(row, w.whole(width)))

        w.each(first, last, 1, [], piece)

    return compiled(part)


def product(w: Writer, one: Any, other: Any, width: int) -> Any:
    """A vector whose numbers add up to the product of two rows."""
    lanes = w.vector(w.float, LANES)
    parts = [(w.read(lanes, one, place), w.read(lanes, other, place)) for place in range(0, width, LANES)]
    total = w.b.fmul(*parts[0])
    for left, right in parts[1:]:
        total = w.fma(left, right, total)
    return total


def all_sums(w: Writer, vectors: Sequence[Any]) -> Any:
    """The sums of as many vectors as each has numbers, as one vector: neighbours are added, four times."""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    left, right = all_sums(w, vectors[:half]), all_sums(w, vectors[half:])
    even, odd = (w.ir.Constant(w.vector(w.i32, LANES), list(range(first, 2 * LANES, 2))) for first in (0, 1))
    return w.b.fadd(w.b.shuffle_vector(left, right, even), w.b.shuffle_vector(left, right, odd))


def softmax(w: Writer, row: Any, count: Any, padded: Any) -> Any:
    """Put e^(x − the largest x) in place of each of `count` numbers, zeros behind them up to `padded`; their sum."""
    b, lanes, nothing = w.b, w.vector(w.float, LANES), float("-inf")

    def fill(place: Any) -> None:
        w.write(w.filled(w.float, nothing), row, place)

    def larger(place: Any, best: Any) -> Sequence[Any]:
        return [w.call(f"llvm.maxnum.v{LANES}f32", lanes, [w.read(lanes, row, place), best])]

    def power(place: Any, total: Any) -> Sequence[Any]:
        made = w.exp(b.fsub(w.read(lanes, row, place), top))
        w.write(made, row, place)
        return [b.fadd(made, total)]

    w.each(count, padded, 1, [], fill)
    best = w.each(w.whole(0), padded, LANES, [w.filled(lanes, nothing)], larger)[0]
    top = w.spread(w.call(f"llvm.vector.reduce.fmax.v{LANES}f32", w.float, [best]), lanes)
    return w.summed(w.each(w.whole(0), padded, LANES, [w.filled(lanes, 0.0)], power)[0])
