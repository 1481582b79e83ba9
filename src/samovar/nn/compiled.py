"""Small programs compiled for this processor when they are first needed, that run on PyTorch's own threads.

For what PyTorch has no fast kernel for. Compiling takes some hundredths of a second and no compiler on the machine, but
the package `llvmlite` (the extra `fast`); without it, or where PyTorch's threads are not OpenMP's, `compiled` gives
None and callers go on with PyTorch alone. The threads are PyTorch's: two pools would wait for each other's cores.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import torch

# What stands behind each program, whose function `@part` reads what does not change from call to call at `%fixed`, and
# does the pieces of work from `%first` up to, and not with, `%last`.
THREADS = """
%job = type { ptr, ptr, ptr, i64 }
declare void @GOMP_parallel(ptr, ptr, i32, i32)
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()

define internal void @share(ptr %job) {
  %at0 = getelementptr %job, ptr %job, i32 0, i32 0
  %at1 = getelementptr %job, ptr %job, i32 0, i32 1
  %at2 = getelementptr %job, ptr %job, i32 0, i32 2
  %at3 = getelementptr %job, ptr %job, i32 0, i32 3
  %fixed = load ptr, ptr %at0
  %given = load ptr, ptr %at1
  %out = load ptr, ptr %at2
  %pieces = load i64, ptr %at3
  %number = call i32 @omp_get_thread_num()
  %many = call i32 @omp_get_num_threads()
  %thread = sext i32 %number to i64
  %threads = sext i32 %many to i64
  %next = add i64 %thread, 1
  %before = mul i64 %pieces, %thread
  %first = udiv i64 %before, %threads
  %after = mul i64 %pieces, %next
  %last = udiv i64 %after, %threads
  call void @part(ptr %fixed, ptr %given, ptr %out, i64 %first, i64 %last)
  ret void
}

define void @run(ptr %fixed, ptr %given, ptr %out, i64 %pieces, i32 %threads) {
  %job = alloca %job
  %at0 = getelementptr %job, ptr %job, i32 0, i32 0
  %at1 = getelementptr %job, ptr %job, i32 0, i32 1
  %at2 = getelementptr %job, ptr %job, i32 0, i32 2
  %at3 = getelementptr %job, ptr %job, i32 0, i32 3
  store ptr %fixed, ptr %at0
  store ptr %given, ptr %at1
  store ptr %out, ptr %at2
  store i64 %pieces, ptr %at3
  call void @GOMP_parallel(ptr @share, ptr %job, i32 %threads, i32 0)
  ret void
}
"""
# What the programs call, and the libraries that may hold it.
CALLED = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
LIBRARIES = ("libgomp", "libiomp5", "libomp")
# The first version of `llvmlite` that is new enough.
OLDEST = (0, 45)
# Numbers of a vector.
LANES = 16
# Bytes ahead that memory is asked for: rows are short, and a processor itself looks ahead within a page only.
AHEAD = 4096

# (fixed, given, out, pieces of work, threads), addresses and numbers. Addresses that a caller gives must be those of
# memory that lives, and is large enough, until the call returns.
Program = Callable[[int, int, int, int, int], None]
# (writer, fixed, given, out, first, last): writes the body of `@part`.
Part = Callable[["Writer", Any, Any, Any, Any, Any], None]
# Engines own the code that they have made; LLVM makes it in one context, for one thread at a time.
engines: list[Any] = []
compiling = threading.Lock()


def available() -> bool:
    """Whether programs can be compiled here."""
    return openmp() is not None and compiler()


@cache
def bits(number: float) -> int:
    """A float's bits, as a field of a call."""
    return int.from_bytes(struct.pack("<f", number), "little")


def recorded() -> bool:
    """Whether operations of PyTorch are being recorded, which these programs are not, and sizes may be symbols."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


@cache
def compiler() -> bool:
    """Whether there is an `llvmlite` whose pointers have no types, as these programs are written."""
    if importlib.util.find_spec("llvmlite") is None:
        return False
    return tuple(int(part) for part in metadata.version("llvmlite").split(".")[:2]) >= OLDEST


@cache
def openmp() -> str | None:
    """The file of the OpenMP library whose threads PyTorch works on; None where it has others."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            loaded = {line.split(maxsplit=5)[-1].strip() for line in file}
    except OSError:
        return None
    named = [path for path in loaded if os.path.basename(path).startswith(LIBRARIES)]
    found = sorted(path for path in named if all(hasattr(ctypes.CDLL(path), name) for name in CALLED))
    # Other packages bring theirs; PyTorch's lies beside it, or is the system's.
    own = [path for path in found if path.startswith(os.path.dirname(torch.__file__))]
    return next(iter(own or found), None)


def compiled(write: Part) -> Program | None:
    """The program whose part `write` writes, ready to be called; None where it cannot be compiled."""
    library = openmp()
    if library is None or not compiler():
        return None
    with compiling:
        llvm = importlib.import_module("llvmlite.binding")
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        loaded = ctypes.CDLL(library)
        for name in CALLED:
            llvm.add_symbol(name, ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value)
        # By itself LLVM uses half of the width that these processors have.
        whole = ",-prefer-256-bit" if llvm.get_process_triple().startswith("x86_64") else ""
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten() + whole, opt=3
        )
        module = llvm.parse_assembly(Writer.module(write) + THREADS)
        module.verify()
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        engines.append((engine, machine))
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int32)
        return kind(engine.get_function_address("run"))


class Writer:
    """Writes a program: values are those of `llvmlite.ir`, whose builder `b` is there for what has no method here."""

    def __init__(self, module: Any, builder: Any) -> None:
        self.ir = importlib.import_module("llvmlite.ir")
        self.module_, self.b = module, builder
        self.byte, self.i32, self.i64 = self.ir.IntType(8), self.ir.IntType(32), self.ir.IntType(64)
        self.float, self.address = self.ir.FloatType(), self.ir.PointerType()

    @classmethod
    def module(cls, write: Part) -> str:
        """The module in LLVM's language."""
        ir = importlib.import_module("llvmlite.ir")
        module = ir.Module()
        kinds = [ir.PointerType()] * 3 + [ir.IntType(64)] * 2
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name="part")
        writer = cls(module, ir.IRBuilder(function.append_basic_block()))
        write(writer, *function.args)
        writer.b.ret_void()
        return str(module)

    def vector(self, kind: Any, width: int) -> Any:
        """So many numbers side by side."""
        return self.ir.VectorType(kind, width)

    def whole(self, number: int) -> Any:
        """A whole number of 64 bits."""
        return self.ir.Constant(self.i64, number)

    def filled(self, kind: Any, number: float) -> Any:
        """A float, or a vector of which all numbers are the same."""
        if isinstance(kind, self.ir.VectorType):
            return self.ir.Constant(kind, [self.ir.Constant(kind.element, number)] * kind.count)
        return self.ir.Constant(kind, number)

    def spread(self, number: Any, kind: Any) -> Any:
        """A vector of which all numbers are `number`."""
        first = self.b.insert_element(self.ir.Constant(kind, self.ir.Undefined), number, self.ir.Constant(self.i32, 0))
        places = self.ir.Constant(self.vector(self.i32, kind.count), None)
        return self.b.shuffle_vector(first, first, places)

    def counted(self, first: Any, other: Any) -> Any:
        """Of each number of a vector whether its place, counted from `first`, is at least `other`."""
        places = self.ir.Constant(self.vector(self.i64, LANES), list(range(LANES)))
        found = self.b.add(self.spread(first, places.type), places)
        return self.b.icmp_signed(">=", found, self.spread(other, places.type))

    def room(self, count: Any) -> Any:
        """The address of room for so many floats on the stack; asked for before anything is repeated."""
        room = self.b.alloca(self.float, count)
        room.align, room.type = 64, self.address  # of no kind, as all addresses here
        return room

    def turned(self, rows: Sequence[Any]) -> list[Any]:
        """Columns of as many vectors as each has numbers: upper and lower halves are put between each other."""
        count, kind = len(rows), self.vector(self.i32, len(rows))
        low, high = (
            self.ir.Constant(kind, [first + number // 2 + count * (number % 2) for number in range(count)])
            for first in (0, count // 2)
        )
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
            rows = [self.b.shuffle_vector(*pair, order) for pair in pairs for order in (low, high)]
        return list(rows)

    def fields(self, fixed: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """Values of 64 bits each that lie one behind the other."""
        return {name: self.read(kind, fixed, place, self.i64) for place, (name, kind) in enumerate(kinds.items())}

    def at(self, base: Any, place: Any, kind: Any) -> Any:
        """The address of the number at `place` of those of a kind that begin at `base`."""
        return self.b.gep(base, [self.whole(place) if isinstance(place, int) else place], source_etype=kind)

    def read(self, kind: Any, base: Any, place: Any, element: Any = None) -> Any:
        """What lies at `place`, counted in numbers of the kind `element`, of a vector those in it."""
        element = element or getattr(kind, "element", kind)
        return self.b.load(self.at(base, place, element), typ=kind, align=1 if element == self.byte else 4)

    def write(self, value: Any, base: Any, place: Any) -> None:
        """Put a number, or a vector, at `place`."""
        self.b.store(value, self.at(base, place, getattr(value.type, "element", value.type)), align=4)

    def ask_for(self, base: Any, place: Any, kind: Any) -> None:
        """Have memory give what lies a while behind that place."""
        ahead = self.at(self.at(base, place, kind), AHEAD, self.byte)
        numbers = [self.ir.Constant(self.i32, number) for number in (0, 3, 1)]  # to be read, often, as data
        self.call("llvm.prefetch.p0", self.ir.VoidType(), [ahead, *numbers])

    def call(self, name: str, kind: Any, given: Sequence[Any], fast: tuple[str, ...] = ()) -> Any:
        """One of LLVM's own functions."""
        function = self.module_.globals.get(name)
        if function is None:
            signature = self.ir.FunctionType(kind, [one.type for one in given])
            function = self.ir.Function(self.module_, signature, name=name)
        return self.b.call(function, given, fastmath=fast)

    def fma(self, one: Any, other: Any, more: Any) -> Any:
        """`one * other + more` of vectors, rounded once."""
        return self.call(f"llvm.fma.v{one.type.count}f32", one.type, [one, other, more])

    def summed(self, vector: Any) -> Any:
        """The sum of a vector, in any order."""
        name = f"llvm.vector.reduce.fadd.v{vector.type.count}f32"
        return self.call(name, self.float, [self.filled(self.float, 0.0), vector], ("reassoc",))

    def exp(self, x: Any) -> Any:
        """e^x of a vector, to a float's last bits: 2^n · e^r, n whole and |r| ≤ ln 2 / 2, by Taylor's series.

        Below −87 it is 0, where a float's smallest normal number is near, and above 89 infinite.
        """
        b, kind, whole = self.b, x.type, self.vector(self.i32, x.type.count)
        lowest, highest = self.filled(kind, -88.0), self.filled(kind, 89.0)
        # What is no number is neither less nor more, and stays.
        x = b.select(b.fcmp_ordered("<", x, lowest), lowest, x)
        x = b.select(b.fcmp_ordered(">", x, highest), highest, x)
        # Added to a number this large, n stands in the last bits of what comes out.
        large = self.filled(kind, 1.5 * 2**23)
        shifted = self.fma(x, self.filled(kind, 1.4426950408889634), large)
        turns = b.fsub(shifted, large)
        rest = self.fma(turns, self.filled(kind, -0.693359375), x)
        rest = self.fma(turns, self.filled(kind, 2.12194440054690583e-4), rest)
        total = self.polynomial(rest, [1 / factor for factor in (1, 1, 2, 6, 24, 120, 720)])
        exponent = b.add(b.bitcast(shifted, whole), self.ir.Constant(whole, [127] * kind.count))
        power = b.shl(exponent, self.ir.Constant(whole, [23] * kind.count))
        return b.fmul(total, b.bitcast(power, kind))

    def polynomial(self, x: Any, factors: Sequence[float]) -> Any:
        """The sum of `factors[n] · xⁿ` of a vector."""
        total = self.filled(x.type, factors[-1])
        for factor in reversed(factors[:-1]):
            total = self.fma(total, x, self.filled(x.type, factor))
        return total

    def each(
        self, first: Any, last: Any, step: int, state: Sequence[Any], body: Callable[..., Sequence[Any] | None]
    ) -> list[Any]:
        """What `body(place, *state)` makes of the state at places from `first`, by `step`, below `last`."""
        before, b = self.b.block, self.b
        head, inside, behind = (b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        place, kept = b.phi(first.type), [b.phi(one.type) for one in state]
        b.cbranch(b.icmp_signed("<", place, last), inside, behind)
        b.position_at_end(inside)
        made = body(place, *kept) or ()
        after, end = b.add(place, self.whole(step)), b.block
        b.branch(head)
        for phi, start, next_ in zip([place, *kept], [first, *state], [after, *made], strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(next_, end)
        b.position_at_end(behind)
        return kept
