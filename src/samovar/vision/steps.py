"""What is done with one image: the checked and compiled form of an image processor's settings."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from PIL import Image

from samovar.errors import ConfigError
from samovar.vision import arrays
from samovar.vision.image import decode, from_array, is_encoded, not_an_image, read_encoded, to_mode, upright
from samovar.vision.sizes import Shape, Size, SizeRule, fixed, parse_size
from samovar.vision.transforms import centre_crop, centre_crop_array, resize

logger = logging.getLogger(__name__)
FILTERS = {int(member): member.name.lower() for member in Image.Resampling}
said_already: set[str] = set()


@dataclasses.dataclass(frozen=True, slots=True)
class Steps:
    """Convert → resize → centre crop → (rescale and normalise, as one multiply-add per channel)."""

    on_white: bool  # composite transparency of images in memory onto white
    channels: int | None  # 1, 3 or 4; None keeps each image's own
    size: Size | None  # None: no resizing
    size_rule: SizeRule
    crop_pct: float | None
    resample: int
    crop: Shape | None
    rescales: bool
    scale: np.ndarray  # one value, or one per channel
    offset: np.ndarray
    pads: bool
    pad_to: Shape | None
    layout: str | None  # of arrays; None infers it

    @classmethod
    def compile(cls, settings: Mapping[str, Any], size_rule: SizeRule) -> Self:
        """Check the settings of a processor and a call. Raises `ConfigError`."""
        given = settings.get
        square = bool(given("default_to_square", True))
        size = crop = pad_to = None
        if given("do_resize"):
            size = parse_size(given("size"), "size", square)
            if size is None:
                raise ConfigError("do_resize is on, but there is no size.", "Set size, or do_resize to False.")
        if given("do_center_crop"):
            wanted = parse_size(given("crop_size"), "crop_size")
            if wanted is None:
                raise ConfigError("do_center_crop is on, but there is no crop_size.", "Set crop_size.")
            crop = fixed(wanted, "crop_size")
        if given("do_pad") and (padded := parse_size(given("pad_size"), "pad_size")):
            pad_to = fixed(padded, "pad_size")
        crop_pct = given("crop_pct")
        if crop_pct is not None and not (is_number(crop_pct) and 0 < crop_pct <= 1):
            raise ConfigError(f"crop_pct = {crop_pct!r} is not a fraction above 0, up to 1.", "A usual value is 0.875.")
        scale, offset = multiply_add(settings)
        convert = given("do_convert_rgb")
        return cls(
            on_white=bool(convert),
            channels=3 if convert else len(scale) if len(scale) > 1 or is_list_of_one(settings) else None,
            size=size,
            size_rule=size_rule,
            crop_pct=crop_pct,
            resample=resampling(given("resample")),
            crop=crop,
            rescales=bool(given("do_rescale")),
            scale=scale,
            offset=offset,
            pads=bool(given("do_pad")),
            pad_to=pad_to,
            layout=given("input_data_format"),
        )

    def run(self, value: Any) -> tuple[np.ndarray, float]:
        """One image, in any form that `load_image` takes, up to but not including normalisation.

        Returns values (channels, height, width), and the factor that their scale still has to be multiplied with.
        """
        unit = 1.0
        if isinstance(value, Image.Image):
            image = to_mode(upright(value), self.channels, self.on_white)
        elif is_encoded(value):
            image = to_mode(decode(*read_encoded(value)), self.channels or 3)
        elif arrays.is_array(value):
            array = arrays.channels_first(arrays.checked(value), self.layout)
            self.warn_of_small_values(array)
            if array.dtype.kind in "ub":
                array, unit = arrays.eight_bit(array)
            array = arrays.match_channels(array, self.channels, self.on_white)
            if self.size is None:
                return (array if self.crop is None else centre_crop_array(array, self.crop)), unit
            array, unit = arrays.eight_bit(array)
            image = from_array(array)
        else:
            raise not_an_image(value)
        if self.size is not None:
            shape, crop = self.size_rule(self.size, self.crop_pct, image.height, image.width)
            if crop is None and self.crop is not None:
                image = resize(image, shape, self.crop, self.resample)
            else:
                image = resize(image, shape, crop, self.resample)
        if self.crop is not None:
            image = centre_crop(image, self.crop)
        pixels = np.asarray(image)
        return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), unit

    def constants(self, channels: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """The multiply-add of each channel, in float32. Raises `ConfigError` when mean and channels disagree."""
        if len(self.scale) not in (1, channels):
            raise ConfigError(
                f"image_mean or image_std has {len(self.scale)} values for an image with {channels} channels.",
                "Give one value, or one per channel.",
            )
        scale = np.broadcast_to(self.scale * unit, channels).astype(np.float32)
        return scale, np.broadcast_to(self.offset, channels).astype(np.float32)

    def output_size(self, height: int, width: int) -> Shape:
        """(height, width) that an image of this size will have."""
        shape = (height, width)
        if self.size is not None:
            resized, crop = self.size_rule(self.size, self.crop_pct, height, width)
            shape = crop or resized
        return self.pad_to or self.crop or shape

    def warn_of_small_values(self, array: np.ndarray) -> None:
        """Say once that values of 0 … 1 are about to be divided by 255 a second time."""
        if self.rescales and "scale" not in said_already and arrays.is_unit_range(array) and array.any():
            said_already.add("scale")
            logger.warning(
                "An image with floating-point values in 0 … 1 was given, and do_rescale multiplies them by "
                "rescale_factor once more. Pass do_rescale=False if they are scaled already."
            )


def multiply_add(settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset, one value or one per channel: `(x * factor - mean) / std = x * scale + offset`."""
    factor: Any = 1.0
    if settings.get("do_rescale"):
        factor = settings.get("rescale_factor")
        if not is_number(factor):
            raise ConfigError(f"rescale_factor = {factor!r} is not a number.", "A usual value is 1/255.")
    mean, std = np.zeros(1), np.ones(1)
    if settings.get("do_normalize"):
        mean, std = numbers(settings, "image_mean"), numbers(settings, "image_std")
        if not std.all():
            raise ConfigError("image_std holds a zero, which cannot divide.", "Use the statistics of the training set.")
        if len(mean) != len(std) and 1 not in (len(mean), len(std)):
            raise ConfigError(f"image_mean has {len(mean)} values and image_std {len(std)}.", "Give one per channel.")
    mean, std = np.broadcast_arrays(mean, std)
    return factor / std, -mean / std


def numbers(settings: Mapping[str, Any], name: str) -> np.ndarray:
    """A setting that is a number or a list of 1, 3 or 4 numbers."""
    value = settings.get(name)
    values = list(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else [value]
    if len(values) not in arrays.CHANNEL_COUNTS or not all(is_number(number) for number in values):
        raise ConfigError(f"{name} = {value!r} is not a number, nor 1, 3 or 4 numbers.", "Give one per channel.")
    return np.array(values, np.float64)


def is_list_of_one(settings: Mapping[str, Any]) -> bool:
    """Whether the statistics are spelled out for a single channel, which asks for grey images."""
    if not settings.get("do_normalize"):
        return False
    return any(
        isinstance(settings.get(name), Sequence | np.ndarray) and len(settings[name]) == 1
        for name in ("image_mean", "image_std")
    )


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number (a bool is none)."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def resampling(value: Any) -> int:
    """Pillow's number of a resampling filter, given as that number or as its name."""
    by_name = {name: number for number, name in FILTERS.items()}
    number = by_name.get(value.lower()) if isinstance(value, str) else value
    if isinstance(number, bool) or number not in FILTERS:
        known = ", ".join(f"{number} {name}" for number, name in sorted(FILTERS.items()))
        raise ConfigError(f"resample = {value!r} is not a resampling filter.", f"Use one of: {known}.")
    return int(number)
