"""Attention of whole texts, 64 queries at a time, compiled.

Numbers of one vector belong to as many queries. Keys and values are then read row by row as they lie, softmax needs no
sum across a vector, and both products keep sixteen sums in registers::

    scores  (keys × 64)  =  keys (keys × dim)  ·  queriesᵀ (dim × 64)
    outᵀ    (dim × 64)   =  valuesᵀ (dim × keys)  ·  softmax of scores (keys × 64)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from samovar.nn.compiled import LANES, Program, Writer, bits, compiled

# Queries of a piece of work.
QUERIES = 64
VECTORS = QUERIES // LANES
# Keys, or numbers of a value, whose sums are kept in registers.
SUMS = 4
# Keys whose part of the softmax and whose values stay next to the core while they are read for all numbers.
CHUNK = 32
# Sixteen vectors of sums need as many registers of their width, and more beside them.
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512"
# The scores of a piece lie on the stack; wider heads leave no room for their queries beside them in a core's cache.
MOST_KEYS, WIDEST = 1024, 128
FIELDS = (
    *("heads", "blocks", "queries", "keys"),
    *(f"{one} {place}" for one in ("query", "key", "value") for place in (0, 1, 2)),
    "bias 0",
)
ADDRESSES = ("key", "value", "bias")
Call = ctypes.c_int64 * (len(ADDRESSES) + len(FIELDS) + 1)


def attend_whole(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, causal: bool, scale: float
) -> Tensor | None:
    """`softmax(query @ keyᵀ · scale + bias) @ value`; None where PyTorch's kernel should do it.

    `query` (batch, heads, queries, dim), `key` and `value` (batch, heads, keys, dim), on the CPU; `bias` one number for
    each key, (batch or 1, 1, 1, keys). `causal`: of as many keys as queries, each sees its own and those before.
    Without gradients.
    """
    batch, heads, queries, width = query.shape
    keys = key.shape[2]
    if not WIDE or queries < QUERIES or not SUMS <= keys <= MOST_KEYS or width % LANES or width > WIDEST:
        return None
    if not (
        type(query) is type(key) is type(value) is Tensor and query.dtype == key.dtype == value.dtype == torch.float32
    ):
        return None
    steps = [one.stride() for one in (query, key, value)]
    if not (key.shape == value.shape == (batch, heads, keys, width)) or any(step[3] != 1 for step in steps):
        return None
    if causal and queries != keys:
        return None
    if bias is not None:
        fits = bias.shape in ((batch, 1, 1, keys), (1, 1, 1, keys)) and bias.stride(3) == 1
        if type(bias) is not Tensor or bias.dtype != torch.float32 or not fits:
            return None
    run = program(width, causal, bias is not None)
    if run is None:
        return None
    blocks = -(-queries // QUERIES)
    out = torch.empty(batch, queries, heads, width)
    said = Call(
        key.data_ptr(), value.data_ptr(), 0 if bias is None else bias.data_ptr(), heads, blocks, queries, keys,
        *(step for kind in steps for step in kind[:3]), 0 if bias is None or len(bias) == 1 else bias.stride(0),
        bits(scale),
    )  # fmt: skip
    threads = torch.get_num_threads()
    run(ctypes.addressof(said), query.data_ptr(), out.data_ptr(), batch * heads * blocks, threads)
    return out.transpose(1, 2)


@cache
def program(width: int, causal: bool, biased: bool) -> Program | None:
    """The attention of heads so wide; None where it cannot be compiled."""

    def part(w: Writer, fixed: Any, given: Any, out: Any, first: Any, last: Any) -> None:
        kinds = dict.fromkeys(ADDRESSES, w.address) | dict.fromkeys(FIELDS, w.i64) | {"scale": w.float}
        at, b, zero = {"query": given} | w.fields(fixed, kinds), w.b, w.whole(0)
        lanes, queries, keys = w.vector(w.float, LANES), at["queries"], at["keys"]
        scores = w.room(b.mul(keys, w.whole(QUERIES)))
        turned, results = w.room(w.whole(QUERIES * width)), w.room(w.whole(QUERIES * width))
        shares = w.room(w.whole(QUERIES))
        scale = w.spread(at["scale"], lanes)

        def less(one: Any, other: Any) -> Any:
            return b.select(b.icmp_signed("<", one, other), one, other)

        def piece(number: Any) -> None:
            block, rest = b.srem(number, at["blocks"]), b.sdiv(number, at["blocks"])
            text, head = b.sdiv(rest, at["heads"]), b.srem(rest, at["heads"])
            # The last queries are taken with some before them again.
            begin = less(b.mul(block, w.whole(QUERIES)), b.sub(queries, w.whole(QUERIES)))
            behind = b.add(begin, w.whole(QUERIES)) if causal else keys

            def start(name: str) -> Any:
                place = b.add(b.mul(text, at[f"{name} 0"]), b.mul(head, at[f"{name} 1"]))
                return w.at(at[name], place, w.float)

            def row(base: Any, place: Any, name: str) -> Any:
                return w.at(base, b.mul(place, at[f"{name} 2"]), w.float)

            def column(place: Any, vector: Any) -> Any:
                return b.add(b.mul(place, w.whole(QUERIES)), vector)

            query, key, value = (start(name) for name in ("query", "key", "value"))
            bias = w.at(at["bias"], b.mul(text, at["bias 0"]), w.float)

            def turn_in(vector: Any, place: Any) -> None:
                above = b.add(begin, vector)
                rows = [row(query, b.add(above, w.whole(lane)), "query") for lane in range(LANES)]
                for number, made in enumerate(w.turned([w.read(lanes, one, place) for one in rows])):
                    w.write(b.fmul(made, scale), turned, column(b.add(place, w.whole(number)), vector))

            def turn_out(vector: Any, place: Any) -> None:
                share = w.read(lanes, shares, vector)
                places = [column(b.add(place, w.whole(number)), vector) for number in range(LANES)]
                read = [b.fmul(w.read(lanes, results, one), share) for one in places]
                line = b.add(b.mul(text, queries), b.add(begin, vector))
                for lane, made in enumerate(w.turned(read)):
                    stands = b.add(b.mul(b.add(line, w.whole(lane)), at["heads"]), head)
                    w.write(made, out, b.add(b.mul(stands, w.whole(width)), place))

            def all_turned(turn: Any) -> None:
                def vectors(vector: Any) -> None:
                    w.each(zero, w.whole(width), LANES, [], lambda place: turn(vector, place))

                w.each(zero, w.whole(QUERIES), LANES, [], vectors)

            def group(place: Any, *best: Any) -> Sequence[Any]:
                place = less(place, b.sub(behind, w.whole(SUMS)))
                places = [b.add(place, w.whole(number)) for number in range(SUMS)]
                rows = [row(key, one, "key") for one in places]

                def step(number: Any, *sums: Any) -> Sequence[Any]:
                    columns = [w.read(lanes, turned, column(number, w.whole(LANES * v))) for v in range(VECTORS)]
                    found: list[Any] = []
                    for one in rows:
                        same = w.spread(w.read(w.float, one, number), lanes)
                        found += [w.fma(same, vector, sums[len(found) + v]) for v, vector in enumerate(columns)]
                    return found

                sums = w.each(zero, w.whole(width), 1, [w.filled(lanes, 0.0)] * (SUMS * VECTORS), step)
                highest = list(best)
                for number, one in enumerate(places):
                    for v in range(VECTORS):
                        score = sums[VECTORS * number + v]
                        if biased:
                            score = b.fadd(score, w.spread(w.read(w.float, bias, one), lanes))
                        if causal:
                            score = b.select(w.counted(b.add(begin, w.whole(LANES * v)), one), score, nothing)
                        w.write(score, scores, column(one, w.whole(LANES * v)))
                        highest[v] = b.select(b.fcmp_ordered(">", score, highest[v]), score, highest[v])
                return highest

            def power(place: Any, *totals: Any) -> Sequence[Any]:
                found = []
                for v, total in enumerate(totals):
                    stands = column(place, w.whole(LANES * v))
                    made = w.exp(b.fsub(w.read(lanes, scores, stands), best[v]))
                    w.write(made, scores, stands)
                    found.append(b.fadd(made, total))
                return found

            def mix(number: Any, begin: Any, end: Any) -> None:
                places = [
                    column(b.add(number, w.whole(n)), w.whole(LANES * v)) for n in range(SUMS) for v in range(VECTORS)
                ]

                def more(place: Any, *sums: Any) -> Sequence[Any]:
                    parts = [w.read(lanes, scores, column(place, w.whole(LANES * v))) for v in range(VECTORS)]
                    line, found = row(value, place, "value"), list[Any]()
                    for n in range(SUMS):
                        same = w.spread(w.read(w.float, line, b.add(number, w.whole(n))), lanes)
                        found += [w.fma(same, one, sums[len(found) + v]) for v, one in enumerate(parts)]
                    return found

                sums = w.each(begin, end, 1, [w.read(lanes, results, one) for one in places], more)
                for made, one in zip(sums, places, strict=True):
                    w.write(made, results, one)

            def chunk(place: Any, *totals: Any) -> Sequence[Any]:
                end = less(b.add(place, w.whole(CHUNK)), behind)
                made = w.each(place, end, 1, totals, power)
                w.each(zero, w.whole(width), SUMS, [], lambda number: mix(number, place, end))
                return made

            nothing, empty = w.filled(lanes, float("-inf")), w.filled(lanes, 0.0)
            all_turned(turn_in)
            best = w.each(zero, behind, SUMS, [nothing] * VECTORS, group)
            w.each(zero, w.whole(QUERIES * width), LANES, [], lambda place: w.write(empty, results, place))
            totals = w.each(zero, behind, CHUNK, [empty] * VECTORS, chunk)
            for v, total in enumerate(totals):
                w.write(b.fdiv(w.filled(lanes, 1.0), total), shares, w.whole(LANES * v))
            all_turned(turn_out)

        w.each(first, last, 1, [], piece)

    return compiled(part)
