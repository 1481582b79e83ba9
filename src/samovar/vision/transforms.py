"""Resize, crop and normalise: the operations on one image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from samovar.errors import ImageError
from samovar.vision.sizes import Shape

# Resized images beyond this are never built whole when only their centre is wanted: a 1 × 5000 image with a shortest
# edge of 224 would become 224 × 1,120,000.
LARGE = 2**25


def resize(image: Image.Image, shape: Shape, crop: Shape | None, resample: int) -> Image.Image:
    """`image` at `shape` (height, width), then its centre of size `crop`, if given.

    Raises `ImageError` when an uncropped result would exceed Pillow's limit for safe images.
    """
    height, width = shape
    box = None
    if height * width > LARGE and crop is not None:
        box, (height, width) = centre_box(image, shape, crop)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and height * width > limit:
        raise ImageError(
            f"An image of {image.height} × {image.width} pixels would be resized to {height} × {width}.",
            "Its aspect ratio is extreme: cut it, or give a size with a height and a width.",
        )
    image = image.resize((width, height), Image.Resampling(resample), box=box)
    return image if crop is None else centre_crop(image, crop)


def centre_box(
    image: Image.Image, shape: Shape, crop: Shape
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """The part (left, top, right, bottom) of `image` that the centre of the resized one comes from, and its new size.

    Resizing this part gives the same picture as resizing all and cropping, to within one step of 255: Pillow keeps
    the corners of a box in single precision.
    """
    (height, width), (crop_height, crop_width) = shape, crop
    top, left = max((height - crop_height) // 2, 0), max((width - crop_width) // 2, 0)
    new_height, new_width = min(crop_height, height), min(crop_width, width)
    x, y = image.width / width, image.height / height
    return (
        (left * x, top * y, min((left + new_width) * x, image.width), min((top + new_height) * y, image.height)),
        (new_height, new_width),
    )


def centre_crop(image: Image.Image, shape: Shape) -> Image.Image:
    """The centre of `image` at `shape` (height, width); where the image is smaller, black fills up."""
    height, width = shape
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if (image.height, image.width) == shape:
        return image
    return image.crop((left, top, left + width, top + height))


def centre_crop_array(array: np.ndarray, shape: Shape) -> np.ndarray:
    """`centre_crop` for values (channels, height, width)."""
    out = np.zeros((len(array), *shape), array.dtype)
    inside: list[slice] = []
    source: list[slice] = []
    for have, want in zip(array.shape[1:], shape, strict=True):
        start = (have - want) // 2
        source.append(slice(max(start, 0), min(start + want, have)))
        inside.append(slice(max(-start, 0), max(-start, 0) + min(want, have)))
    out[:, *inside] = array[:, *source]
    return out


def write_normalised(array: np.ndarray, out: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> None:
    """`out[c] = array[c] * scale[c] + offset[c]`, both (channels, height, width), `out` in float32.

    One channel at a time and in place, so that the values go from bytes to their final slot with no copy between.
    """
    for channel, values in enumerate(array):
        slot = out[channel]
        np.multiply(values, scale[channel], out=slot, dtype=np.float32, casting="same_kind")
        if offset[channel]:
            np.add(slot, offset[channel], out=slot)
