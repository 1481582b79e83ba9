"""Rows under a mask through a graph that reads none: without their padding, texts of one length at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from samovar.errors import InputError


def run_unpadded(
    run: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], given: Mapping[str, Tensor], per_token: Collection[str]
) -> dict[str, Tensor]:
    """The outputs of `run` for `given`, in which `attention_mask` (batch, …, sequence) says what is padding.

    Padding may stand on either side. Outputs named in `per_token` (batch, sequence, …) are 0 there. Raises `InputError`
    for choices of one question that are not equally long.
    """
    mask = given["attention_mask"].bool()
    seen = mask.flatten(1, -2)[:, 0] if mask.ndim > 2 else mask
    if mask.ndim > 2 and not bool((mask.flatten(1, -2) == seen[:, None]).all()):
        raise InputError("This graph reads no mask, and choices are of several lengths.", "Give one choice at a time.")
    length = mask.shape[-1]
    places = torch.arange(length)
    first = torch.where(seen, places, length).amin(-1)
    last = torch.where(seen, places, -1).amax(-1) + 1
    found: dict[str, Tensor] = {}
    for start, end in torch.unique(torch.stack([first, last], 1), dim=0).tolist():
        rows = ((first == start) & (last == end)).nonzero()[:, 0]
        cut = {
            name: value[rows][..., start:end] if value.shape == mask.shape else value[rows][:, start:end]
            for name, value in given.items()
            if name != "attention_mask"
        }
        for name, part in run(cut).items():
            tokens = name in per_token
            if name not in found:
                found[name] = part.new_zeros(len(mask), *([length] if tokens else []), *part.shape[1 + tokens :])
            if tokens:
                found[name][rows, start:end] = part
            else:
                found[name][rows] = part
    return found
