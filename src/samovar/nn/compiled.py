"""Small programs in LLVM's language, compiled for this processor when they are first needed, on PyTorch's own threads.

For what PyTorch has no fast kernel for. Compiling takes some 15 ms and no compiler on the machine, but the package
`llvmlite` (the extra `fast`); without it, or where PyTorch's threads are not those of OpenMP, `compiled` gives None and
callers go on with PyTorch alone. The threads are PyTorch's: two pools of them would wait for each other's cores.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

# What stands before each program, which defines the function `@part`: it reads what does not change from call to call
# at `%fixed`, and does the pieces of work from `%first` up to, and not with, `%last`.
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
# Of vectors as wide as a program writes them, where the processor has such registers and LLVM would halve them.
WIDE = '\nattributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }\n'
# What the programs call, and the libraries that may hold it.
CALLED = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
LIBRARIES = ("libgomp", "libiomp5", "libomp")

# (fixed, given, out, pieces of work, threads), addresses and numbers.
Program = Callable[[int, int, int, int, int], None]
# Engines own the code that they have made.
engines: list[Any] = []


def available() -> bool:
    """Whether programs can be compiled here."""
    return importlib.util.find_spec("llvmlite") is not None and openmp() is not None


@cache
def openmp() -> str | None:
    """The file of the OpenMP library whose threads PyTorch works on; None where it has others."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            loaded = {line.split(maxsplit=5)[-1].strip() for line in file}
    except OSError:
        return None
    found = sorted(path for path in loaded if os.path.basename(path).startswith(LIBRARIES))
    # Other packages bring theirs; PyTorch's lies beside it, or is the system's.
    own = [path for path in found if path.startswith(os.path.dirname(torch.__file__))]
    return next(iter(own or found), None)


@cache
def compiled(text: str) -> Program | None:
    """The program, ready to be called; None where it cannot be compiled.

    `text` defines `void @part(ptr %fixed, ptr %given, ptr %out, i64 %first, i64 %last) #0`. It is trusted: addresses
    that a caller gives must be those of memory that lives, and is large enough, until the call returns.
    """
    library = openmp()
    if library is None or importlib.util.find_spec("llvmlite") is None:
        return None
    llvm = importlib.import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    loaded = ctypes.CDLL(library)
    for name in CALLED:
        llvm.add_symbol(name, ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    module = llvm.parse_assembly(THREADS + text + WIDE)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    engines.append((engine, machine))
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int32)
    return kind(engine.get_function_address("run"))
