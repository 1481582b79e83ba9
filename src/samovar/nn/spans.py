"""Tensors that lie one behind the other in memory, so that one product reads them all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def spanned(tensors: Sequence[Tensor]) -> Tensor | None:
    """One view of tensors whose first dimensions follow each other in one storage, without a copy."""
    first = tensors[0].detach()
    storage, place = first.untyped_storage().data_ptr(), first.storage_offset()
    for one in tensors:
        other = one.untyped_storage().data_ptr() != storage or one.stride() != first.stride()
        if other or one.shape[1:] != first.shape[1:] or one.storage_offset() != place:
            return None
        place += one.shape[0] * one.stride(0)
    if len(tensors) == 1:
        return first
    return first.as_strided((sum(one.shape[0] for one in tensors), *first.shape[1:]), first.stride())


def put_side_by_side(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies of tensors (rows, columns) that lie one behind the other."""
    return list(torch.cat(list(tensors)).split([len(one) for one in tensors]))
