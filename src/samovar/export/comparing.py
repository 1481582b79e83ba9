"""What was exported beside the PyTorch model, on several sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from samovar.errors import ExportError
from samovar.export.inputs import Sizes
from samovar.export.parts import Part

Array = np.ndarray
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
    """The largest difference of one part at one size."""

    part: str
    sizes: dict[str, int]
    largest: float
    output: str

    def __str__(self) -> str:
        shape = ", ".join(f"{name} {value}" for name, value in self.sizes.items())
        return f"{self.part} ({shape}): {self.largest:.1e} in {self.output}"


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
    worst, where = 0.0, part.outputs[0]
    for name, ours, theirs in zip(part.outputs, expected, found, strict=True):
        if tuple(ours.shape) != tuple(theirs.shape):
            raise ExportError(
                f"{name} of {part.name} is {tuple(theirs.shape)} at {sizes}; the model's is {tuple(ours.shape)}.",
                "This size became fixed while it was traced: report the architecture.",
            )
        if ours.numel():
            apart = np.abs(ours.double().numpy() - np.asarray(theirs, dtype=np.float64))
            largest = float(apart.max()) if np.isfinite(apart).all() else float("inf")
            if largest > worst:
                worst, where = largest, name
    return Difference(part.name, sizes, worst, where)
