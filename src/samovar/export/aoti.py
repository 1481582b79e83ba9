"""AOTInductor: each part compiled to machine code in a `.pt2` package, which PyTorch loads from Python and C++.

The code is for the kind of processor that compiled it. Weights lie in the package; above 2 GB they are mapped.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from samovar.errors import ExportError
from samovar.export.archive import archive
from samovar.export.comparing import Runner
from samovar.export.parts import Part
from samovar.export.trace import quietly

PACKAGES: Sequence[str] = ()
OPTIONS: Sequence[str] = ()
NOTE = "note: the code is compiled for this kind of processor; export again on another."

# As many threads as the machine has that runs it, and not as many as the one that compiled it. Headers that are
# compiled ahead would outlive the folder that they lie in.
SETTINGS = {"cpp.dynamic_threads": True, "aot_inductor.precompile_headers": False}


def check() -> None:
    """Raise `ExportError` where there is no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError) as error:
        asked = os.environ.get("CXX", "g++")
        raise ExportError(
            f"AOTInductor compiles with a C++ compiler, and {asked} does not run here.",
            "Install one (Debian, Ubuntu: apt install g++), or name yours in the environment variable CXX.",
        ) from error


def write(part: Part, folder: Path) -> None:
    """Write `<part>.pt2`. Raises `ExportError` for what the compiler refuses."""
    from torch._inductor.utils import fresh_cache

    program = part.program
    try:
        # A folder of its own: in the shared one, two processes that compile the same graph read each other's halves.
        with (
            quietly(),
            tempfile.TemporaryDirectory() as own,
            fresh_cache(dir=own),
            archive(folder / f"{part.name}.pt2") as file,
        ):
            torch._inductor.aoti_compile_and_package(program, package_path=file, inductor_configs=dict(SETTINGS))
    except OSError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"AOTInductor does not compile {part.name}: {reason}", "Export as torch-export, or another head."
        ) from error


def runner(part: Part, folder: Path) -> Runner:
    """The package, read back."""
    with quietly():
        package = torch._inductor.aoti_load_package(str(folder / f"{part.name}.pt2"))

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return [one.numpy() for one in package(*(torch.from_numpy(given[one.name]) for one in part.inputs))]

    return run
