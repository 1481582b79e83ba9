"""What was exported beside the PyTorch model, on several sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import ExportError
from samovar.export.inputs import Sizes
from samovar.export.parts import Part

Array = np.ndarray
TOLERANCE = 1e-4
Runner = Callable[[Mapping[str, Array]], Sequence[Array]]

# One text of one token, more and longer ones than were traced, and a past that holds nothing.
SIZES: tuple[Sizes, ...] = (
    {"batch_size": 1, "sequence_length": 1, "past_sequence_length": 6, "encoder_sequence_length": 1, "num_choices": 2,
     "height": 64, "width": 96},
    {"batch_size": 2, "sequence_length": 9, "past_sequence_length": 0, "encoder_sequence_length": 5, "num_choices": 2,
     "height": 96, "width": 64},
    {"batch_size": 5, "sequence_length": 17, "past_sequence_length": 3, "encoder_sequence_length": 19, "num_choices": 3,
     "height": 128, "width": 160},
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """The largest difference of one part at one size.

    `relative` is the root mean square of a difference beside that of its output, the worst of all outputs; `agreeing`
    how often the largest number of a row stands at the same place. They judge what is rounded on purpose.
    """

    part: str
    sizes: dict[str, int]
    largest: float
    output: str
    relative: float = 0.0
    agreeing: float = 1.0

    def __str__(self) -> str:
        shape = ", ".join(f"{name} {value}" for name, value in self.sizes.items())
        rounded = f", {self.relative:.1%} of its size, {self.agreeing:.0%} of answers alike"
        return f"{self.part} ({shape}): {self.largest:.1e} in {self.output}{rounded if self.relative > 1e-3 else ''}"


def exact(**options: Any) -> tuple[float, str]:
    """What a format that rounds nothing may differ by, and in which measure."""
    return TOLERANCE, "largest"


def compared(part: Part, run: Runner, sizes: Sequence[Sizes] = SIZES) -> Iterator[Difference]:
    """The difference at each size. Raises `ExportError` for outputs of another number, shape or finiteness."""
    names = {word for one in part.inputs for dim in one.dims if isinstance(dim, str) for word in dim.split(" + ")}
    for number, all_sizes in enumerate(sizes):
        chosen = {name: all_sizes[name] for name in sorted(names)}
        given = part.example(chosen, seed=number + 1)
        expected = part.run(given)
        try:
            found = run({name: tensor.numpy() for name, tensor in given.items()})
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(
                f"What was exported of {part.name} does not run at {chosen}: {reason}",
                "Export without the options that change shapes, or another format.",
            ) from error
        yield difference(part, chosen, expected, found)


def difference(part: Part, sizes: dict[str, int], expected: Sequence[Tensor], found: Sequence[Array]) -> Difference:
    """The largest difference over all outputs."""
    if len(found) != len(expected):
        raise ExportError(f"{part.name} gave {len(found)} outputs where the model has {len(expected)}.", "Report this.")
    worst, where, relative, agreeing = 0.0, part.outputs[0], 0.0, 1.0
    for name, ours, theirs in zip(part.outputs, expected, found, strict=True):
        if tuple(ours.shape) != tuple(theirs.shape):
            raise ExportError(
                f"{name} of {part.name} is {tuple(theirs.shape)} at {sizes}; the model's is {tuple(ours.shape)}.",
                "This size became fixed while it was traced: report the architecture.",
            )
        if ours.numel():
            wanted, given = ours.double().numpy(), np.asarray(theirs, dtype=np.float64)
            apart = np.abs(wanted - given)
            largest = float(apart.max()) if np.isfinite(apart).all() else float("inf")
            if largest > worst:
                worst, where = largest, name
            relative = max(relative, float(np.sqrt((apart**2).mean() / max((wanted**2).mean(), 1e-24))))
            agreeing = min(agreeing, float((wanted.argmax(-1) == given.argmax(-1)).mean()))
    return Difference(part.name, sizes, worst, where, relative, agreeing)
