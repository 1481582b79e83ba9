"""Smaller embeddings: whole numbers of 8 bits, or one bit a feature (Shakir et al., Embedding quantization, 2024)."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from samovar.errors import InputError, did_you_mean

logger = logging.getLogger(__name__)

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
# Below this many rows the range of each feature is a guess.
ENOUGH = 100


def check_precision(precision: str) -> None:
    """Raise `InputError` for a precision that there is not."""
    if precision not in PRECISIONS:
        hint = did_you_mean(str(precision), PRECISIONS)
        raise InputError(f"There is no precision {precision!r}.", f"{hint} All: {', '.join(PRECISIONS)}.".strip())


def quantize_embeddings(
    embeddings: Any,
    precision: str,
    ranges: np.ndarray | None = None,
    calibration_embeddings: np.ndarray | None = None,
) -> np.ndarray:
    """float32 (rows, dim) → int8 or uint8 (rows, dim), or packed signs (rows, dim / 8) as int8 or uint8.

    8-bit steps lie between each feature's least and greatest value: `ranges` (2, dim), those of
    `calibration_embeddings`, or those of the embeddings themselves; what lies outside is clipped.
    """
    check_precision(precision)
    values = np.stack([np.asarray(row) for row in embeddings]) if isinstance(embeddings, list) else embeddings
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if values.ndim != 2 or values.dtype.kind != "f":
        raise InputError(f"Embeddings of shape {values.shape} and type {values.dtype}.", "Give floats (rows, dim).")
    if precision == "float32":
        return values.astype(np.float32)
    if precision.endswith("binary"):
        packed = np.packbits(values > 0, axis=-1)
        return packed if precision == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
    if ranges is None:
        measured = values if calibration_embeddings is None else np.asarray(calibration_embeddings)
        if len(measured) < ENOUGH:
            logger.warning(
                "The %s steps are set by %d embeddings; give `ranges` or more `calibration_embeddings`.",
                precision, len(measured),
            )  # fmt: skip
        ranges = np.vstack([measured.min(0), measured.max(0)])
    start, steps = ranges[0], (ranges[1] - ranges[0]) / 255
    scaled = np.floor((values - start) / np.where(steps == 0, 1, steps))
    low = 0 if precision == "uint8" else -128
    return np.clip(scaled + low, low, low + 255).astype(precision)
