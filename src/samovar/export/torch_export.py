"""`torch.export`: a `.pt2` file for each part, which `torch.export.load` reads without this library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from samovar.export.archive import archive
from samovar.export.comparing import Runner
from samovar.export.parts import Part

PACKAGES: Sequence[str] = ()
OPTIONS: Sequence[str] = ()


def write(part: Part, folder: Path) -> None:
    """Write `<part>.pt2`: graph, weights and the example that was traced, without paths of this machine."""
    for node in part.program.graph.nodes:
        node.meta.pop("stack_trace", None)
    with archive(folder / f"{part.name}.pt2") as file:
        torch.export.save(part.program, file)


def runner(part: Part, folder: Path) -> Runner:
    """The file, read back."""
    module = torch.export.load(folder / f"{part.name}.pt2").module()

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [one.numpy() for one in module(*(torch.from_numpy(given[one.name]) for one in part.inputs))]

    return run
