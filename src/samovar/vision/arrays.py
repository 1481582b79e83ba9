"""Arrays and tensors as pictures: which axis holds the channels, which numbers mean black and white."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from samovar.errors import ImageError, InputError

logger = logging.getLogger(__name__)

CHANNEL_COUNTS = (1, 3, 4)
LAYOUTS = ("channels_first", "channels_last")
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's conversion to L


def is_array(value: Any) -> bool:
    """Whether `value` is a NumPy array, a torch tensor, or converts itself to an array (JAX and others)."""
    return isinstance(value, np.ndarray) or is_tensor(value) or (hasattr(value, "__array__") and hasattr(value, "ndim"))


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor, told without importing torch."""
    return hasattr(value, "detach") and hasattr(value, "cpu") and hasattr(value, "ndim")


def as_numpy(value: Any) -> np.ndarray:
    """The values of an array or tensor, on the CPU and without gradient; nothing is copied that need not be."""
    if is_tensor(value):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return np.asarray(value)


def checked(value: Any) -> np.ndarray:
    """`value` as a NumPy array of finite numbers with at least one pixel. Raises `ImageError`."""
    array = as_numpy(value)
    if array.dtype.kind not in "buif":
        raise ImageError(f"An image cannot hold values of type {array.dtype}.", "Pass integers, floats or booleans.")
    if array.size == 0:
        raise ImageError(f"The array has no pixels: its shape is {array.shape}.", "Pass an image with pixels.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise ImageError(f"{bad} of {array.size} pixel values are NaN or infinite.", "Clean the array first.")
    return array


def channels_first(array: np.ndarray, layout: str | None = None) -> np.ndarray:
    """A view (channels, height, width) of an image array; two dimensions are one grey channel.

    `layout` is `channels_first` or `channels_last`; without it, the axis of length 1, 3 or 4 holds the channels. When
    the first and the last axis both fit, the first is taken and a warning says so.
    """
    if layout not in (None, *LAYOUTS):
        raise InputError(f"input_data_format {layout!r} is unknown.", f"Use {' or '.join(LAYOUTS)}.")
    if array.ndim == 2:
        return array[None]
    if array.ndim != 3:
        raise ImageError(
            f"An image array has 2 or 3 dimensions, this one has {array.ndim}: {array.shape}.",
            "Use (height, width, channels) or (channels, height, width).",
        )
    first, last = array.shape[0] in CHANNEL_COUNTS, array.shape[2] in CHANNEL_COUNTS
    if layout is None and first and last:
        logger.warning(
            "An image of shape %s can be read in two ways; its first axis is taken for the channels. "
            "Pass input_data_format='channels_last' for the other.",
            array.shape,
        )
    layout = layout or ("channels_first" if first else "channels_last")
    if not (first if layout == "channels_first" else last):
        raise ImageError(
            f"No axis of the shape {array.shape} has 1, 3 or 4 channels where they are expected"
            f" ({layout.replace('_', ' ')}).",
            "Use (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels.",
        )
    return array if layout == "channels_first" else array.transpose(2, 0, 1)


def from_sixteen_bit(values: np.ndarray) -> np.ndarray:
    """uint8 from 0 … 65535, rounded: 257 steps become one."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def is_unit_range(array: np.ndarray) -> bool:
    """Whether floating-point values all lie in 0 … 1, where 1 is white."""
    return bool(array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1)


def eight_bit(array: np.ndarray) -> tuple[np.ndarray, float]:
    """uint8 values of the same shape, and the factor that leads back to the scale that was given (1 or 1/255).

    - uint8 stays; bool becomes 0 and 255.
    - Other integers within 0 … 255 stay. uint16 beyond that is scaled from 0 … 65535.
    - Floats within 0 … 1 are multiplied by 255 and cut to whole steps; the factor is then 1/255. Floats within
      0 … 255 are rounded.

    Anything else raises `ImageError`: clipping would silently change the picture.
    """
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array, 1.0
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255), 1.0
    low, high = array.min(), array.max()
    if is_unit_range(array):
        # Through float32, so that 100/255 stored as float32 gives 100 rather than 99.
        return (array.astype(np.float64) * 255).astype(np.float32).astype(np.uint8), 1 / 255
    if low >= 0 and high <= 255:
        return (np.rint(array) if kind == "f" else array).astype(np.uint8), 1.0
    if array.dtype == np.uint16:
        return from_sixteen_bit(array), 1.0
    raise ImageError(
        f"Pixel values from {low:g} to {high:g} ({array.dtype}) are neither in 0 … 1 (float) nor in 0 … 255.",
        "Scale them to one of these ranges; if they are normalised already, pass do_resize=False, do_rescale=False "
        "and do_normalize=False.",
    )


def match_channels(array: np.ndarray, channels: int | None, on_white: bool) -> np.ndarray:
    """`array` (channels, height, width) with this number of channels, of the same type; `None` keeps its own.

    Grey is repeated, colour becomes luma, alpha is dropped or composited onto white when `on_white`.
    """
    if channels is None or len(array) == channels:
        return array
    whole = array.dtype.kind != "f"
    white = 255.0 if whole or array.max() > 1 else 1.0
    if len(array) == 4:
        if on_white:
            alpha = array[3:] / white
            array = finish(alpha * array[:3] + (1 - alpha) * white, array.dtype)
        array = array[:3]
    elif len(array) == 1:
        array = np.repeat(array, 3, axis=0)
    if channels == 1:
        return finish(np.tensordot(LUMA, array, 1)[None], array.dtype)
    if channels == 4:
        return np.concatenate([array, np.full_like(array[:1], white)])
    return array


def finish(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`values` in `dtype`, rounded when that holds whole numbers."""
    return (values if dtype.kind == "f" else np.round(values)).astype(dtype)
