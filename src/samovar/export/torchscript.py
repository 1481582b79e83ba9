"""TorchScript by tracing: a `.pt` file for each part, which `torch.jit.load` and libtorch read without this library.

Upstream has deprecated TorchScript in favour of `torch.export`; it stays for programs that load nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from samovar.export.comparing import Runner
from samovar.export.parts import Part
from samovar.export.trace import quietly

PACKAGES: Sequence[str] = ()
OPTIONS: Sequence[str] = ()
NOTE = "note: PyTorch has deprecated TorchScript; new programs load torch-export."


def write(part: Part, folder: Path) -> None:
    """Write `<part>.pt`: the model's own graph, frozen, with its weights as constants."""
    # A trace by example would take a branch on values for the only one; the strict graph refuses such models.
    _ = part.program
    with quietly(), torch.no_grad():
        script = torch.jit.trace(part.module, tuple(part.example().values()), check_trace=False)
        # Through memory: PyTorch's own writer ends the process where the disk is full.
        (folder / f"{part.name}.pt").write_bytes(torch.jit.freeze(script).save_to_buffer())


def runner(part: Part, folder: Path) -> Runner:
    """The file, read back."""
    with quietly():
        module = torch.jit.load(folder / f"{part.name}.pt")

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [one.numpy() for one in module(*(torch.from_numpy(given[one.name]) for one in part.inputs))]

    return run
