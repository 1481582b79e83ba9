"""One picture in any form → an upright 8-bit PIL image."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from samovar.errors import ImageError, InputTypeError
from samovar.vision import arrays
from samovar.vision.fetch import fetch

ORIENTATION = 0x0112  # EXIF tag: how the camera was held; 1 is upright
MODE_OF = {1: "L", 3: "RGB", 4: "RGBA"}
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # more than 8 bits a channel
GREY_MODES = ("1", "L", "LA", "La")
PASS_AN_IMAGE = "Pass a path, URL, data URL, encoded bytes, PIL image, NumPy array or torch tensor."


def load_image(value: Any, *, timeout: float | None = None) -> Image.Image:
    """An upright 8-bit RGB image from a path, URL, data URL, encoded bytes, PIL image, NumPy array or torch tensor.

    - *Orientation*: the EXIF tag is applied and removed.
    - *Alpha* is dropped, greyscale is repeated, palettes and CMYK are converted, an animation gives its first frame.
    - *16-bit greyscale* is scaled: `round(value / 257)`, so that 65535 becomes 255. Pillow would clip at 255 instead.
      A 32-bit integer image counts as 8-bit when no value is above 255, and as 16-bit otherwise.
    - *Arrays* are (height, width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels;
      see `arrays.eight_bit` for how bool, 16-bit and floating values are read.
    - *URLs* get `timeout` seconds in all (30 when not given) and 64 MiB; nothing is fetched while `HF_HUB_OFFLINE`
      is set.

    Raises `ImageError` (missing, damaged, empty, oversized or unreadable image), `InputTypeError` (not an image at
    all) and `OfflineError`.
    """
    if isinstance(value, Image.Image):
        return to_mode(upright(value), 3)
    if is_encoded(value):
        return to_mode(decode(*read_encoded(value, timeout)), 3)
    if arrays.is_array(value):
        pixels, _ = arrays.eight_bit(arrays.channels_first(arrays.checked(value)))
        return to_mode(from_array(pixels), 3)
    raise not_an_image(value)


def not_an_image(value: Any) -> InputTypeError:
    """The error for a value that is no image in any form."""
    given = "None" if value is None else f"{type(value).__name__} ({str(value)[:40]})"
    return InputTypeError(f"Image expected, got {given}.", PASS_AN_IMAGE)


def is_encoded(value: Any) -> bool:
    """Whether `value` is, or leads to, the bytes of an image file."""
    return isinstance(value, str | bytes | bytearray | memoryview | os.PathLike)


def read_encoded(value: Any, timeout: float | None = None) -> tuple[bytes, str]:
    """The bytes of an image file, and a name for messages."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), f"Bytes (length {len(value)})"
    return fetch(value, timeout)


def decode(data: bytes, name: str) -> Image.Image:
    """The upright first frame of an encoded image. `name` says in messages where the bytes came from."""
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).", "Download or write the file again.")
    try:
        image = Image.open(BytesIO(data))
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image in a known format ({len(data)} bytes that start with {data[:8]!r}).",
            "Check that it is a JPEG, PNG, WebP, GIF, BMP, TIFF … file rather than, say, an HTML page.",
        ) from error
    except Exception as error:
        raise damaged(name, error) from error
    return upright(image, name)


def upright(image: Image.Image, name: str = "") -> Image.Image:
    """`image`, decoded, with its EXIF orientation applied and the tag removed (so that twice is the same as once)."""
    name = name or str(getattr(image, "filename", "") or "The image")
    try:
        image.load()
    except Exception as error:
        raise damaged(name, error) from error
    if 0 in image.size:
        raise ImageError(f"{name} has no pixels: it is {image.width} × {image.height}.", "Pass an image with pixels.")
    try:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # Unreadable metadata says nothing about the pixels.
        return image
    return ImageOps.exif_transpose(image) if turned else image


def damaged(name: str, error: Exception) -> ImageError:
    """What a decoder stumbled over. Decoders of damaged files raise nearly every type of exception there is."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageError(
            f"{name} is too large to be opened safely: {error}",
            "If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS, or make it smaller first.",
        )
    return ImageError(
        f"{name} is damaged: {error or type(error).__name__}.", "Download or write the file again; it may be cut short."
    )


def from_array(pixels: np.ndarray) -> Image.Image:
    """An L, RGB or RGBA image from uint8 values (channels, height, width)."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def to_mode(image: Image.Image, channels: int | None, on_white: bool = False) -> Image.Image:
    """`image` with 8 bits a channel and 1 (L), 3 (RGB) or 4 (RGBA) `channels`; `None` keeps its own number of these.

    Alpha is dropped, or composited onto white when `on_white`.
    """
    if image.mode in DEEP_MODES:
        image = narrow(image)
    if image.mode == "La":  # Pillow converts grey with premultiplied alpha to nothing else.
        image = image.convert("LA")
    transparent = "A" in image.getbands() or image.info.get("transparency") is not None
    if channels is None:
        channels = 1 if image.mode in GREY_MODES else 4 if image.mode == "RGBA" else 3
    if transparent and channels != 4:
        # Palettes too: Pillow cannot drop their transparency in one step without a warning.
        if on_white:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        elif image.mode == "P":
            image = image.convert("RGBA")
    mode = MODE_OF[channels]
    if image.mode == mode:
        return image
    try:
        return image.convert(mode)
    except ValueError as error:
        raise ImageError(
            f"An image of mode {image.mode} cannot become {mode}: {error}.", "Convert it to RGB first."
        ) from error


def narrow(image: Image.Image) -> Image.Image:
    """An L image from one with 16-bit, 32-bit integer or floating-point grey values."""
    values = arrays.checked(np.asarray(image))
    if image.mode != "F":
        # The mode I;16 declares its range; in the mode I anything can stand.
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(
                f"Grey values from {values.min()} to {values.max()} fit neither 8 nor 16 bits.",
                "Scale them to 0 … 255 first.",
            )
        if image.mode == "I" and values.max() <= 255:
            return Image.fromarray(values.astype(np.uint8))
        return Image.fromarray(arrays.from_sixteen_bit(values))
    return Image.fromarray(arrays.eight_bit(values[None])[0][0])
