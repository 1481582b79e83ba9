"""Image processors: from images in any form to `pixel_values`, as a checkpoint's `preprocessor_config.json` says."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image

from samovar.errors import ImageError, InputError, InputTypeError, SaveError, did_you_mean
from samovar.hub.publish import Shareable, shares
from samovar.vision import arrays
from samovar.vision.batch import BatchFeature, checked_format, stacked
from samovar.vision.image import load_image, upright
from samovar.vision.sizes import Shape, SizeRule, fit, parse_size
from samovar.vision.steps import Steps
from samovar.vision.transforms import write_normalised

PREPROCESSOR_FILE = "preprocessor_config.json"
# Keys of the file that name a class instead of setting a step.
TYPE_KEYS = ("image_processor_type", "feature_extractor_type")
SIZES = ("size", "crop_size", "pad_size")
# Arguments of a call that other tools of the field accept and that change nothing here.
WITHOUT_EFFECT = frozenset({"disable_grouping", "image_seq_length"})


class ImageProcessor(Shareable):
    """Convert to RGB → resize → crop the centre → rescale → normalise, each as the settings say.

    Settings are the keys of `preprocessor_config.json`, given as keyword arguments, readable and settable as
    attributes, and overridable in each call:

    - `do_convert_rgb`: turn any image into RGB, and composite transparency of images in memory onto white. Without
      it, an image still gets as many channels as `image_mean` lists, but transparency is just dropped.
    - `do_resize`, `size`, `resample`: `size` is `{"height", "width"}` (stretches), `{"shortest_edge"}`,
      `{"longest_edge"}`, both edges or `{"max_height", "max_width"}` (keep the ratio), a pair, or an int (a square,
      or the shortest edge where `default_to_square` is false); `resample` is Pillow's number of a filter.
    - `do_center_crop`, `crop_size`: cut out the centre; black fills up where the image is smaller.
    - `do_rescale`, `rescale_factor`: multiply, usually by 1/255. Applied to whatever is given: floating-point arrays
      that lie in 0 … 1 already want `do_rescale=False` (said once as a warning).
    - `do_normalize`, `image_mean`, `image_std`: subtract and divide, per channel or by one number.
    - `do_pad`, `pad_size`: after all that, zeros at the bottom and right up to `pad_size`, or up to the largest
      image of the batch.

    `None` stands for the class's default. Keys that are no setting are kept in `extra`, readable as attributes, and
    written back by `save_pretrained`. Raises `ConfigError` when a setting cannot be used.
    """

    family: ClassVar[str] = ""  # what a file calls this class; empty for the general one
    size_rule: ClassVar[SizeRule] = staticmethod(fit)
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_convert_rgb": None,
        "do_resize": True,
        "default_to_square": True,  # before the size, which is read by it
        "size": {"height": 224, "width": 224},
        "resample": int(Image.Resampling.BILINEAR),
        "do_center_crop": False,
        "crop_size": None,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pad": None,
        "pad_size": None,
    }
    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, **settings: Any) -> None:
        names = [settings.pop(key, None) for key in TYPE_KEYS]
        self.origin = next((name for name in names if name), "")
        for name, default in self.defaults.items():
            value = settings.pop(name, None)
            setattr(self, name, copy.deepcopy(default) if value is None else value)
        self.extra: dict[str, Any] = settings
        self.steps()  # A setting that cannot be used is reported now, not with the first image.

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        hint = did_you_mean(name, [*self.defaults, *extra])
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}. {hint}".rstrip())

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("extra", {}):
            self.extra[name] = value
            return
        if name in SIZES:
            value = parse_size(value, name, name != "size" or self.default_to_square)
        object.__setattr__(self, name, value)

    # Images → pixel values ----------------------------------------------------------------------------------------

    def __call__(self, images: Any, return_tensors: str | None = None, **overrides: Any) -> BatchFeature:
        """Prepare one image, a list of images, or a 4-dimensional array of images.

        Returns `pixel_values` in float32: a tensor (`"pt"`) or array (`"np"`) (batch, channels, height, width), or a
        list of arrays (channels, height, width) when `return_tensors` is `None`.

        `overrides` are settings for this call. `input_data_format` (`"channels_first"`, `"channels_last"`) says
        where arrays hold their channels, `device` where a `"pt"` batch shall go.

        Raises `ImageError` (an image cannot be read; in a batch it says which), `InputTypeError` (not an image),
        `InputError` (unknown argument) and `ConfigError` (unusable setting).
        """
        tensors = checked_format(return_tensors)
        device = overrides.pop("device", None)
        steps = self.steps(**overrides)
        values = as_list(images)
        outputs: list[np.ndarray] = []
        whole: np.ndarray | None = None
        for index, value in enumerate(values):
            try:
                pixels, unit = steps.run(value)
            except ImageError as error:
                if len(values) == 1:
                    raise
                cause = f"Image {index} of the {len(values)} (counted from 0): {error.cause}"
                raise ImageError(cause, error.next_step) from error
            # The first image's shape is nearly always everyone's, so all are written straight into one array.
            if whole is None:
                whole = np.empty((len(values), *pixels.shape), np.float32)
            fits = pixels.shape == whole.shape[1:]
            slot = whole[index] if fits else np.empty(pixels.shape, np.float32)
            write_normalised(pixels, slot, *steps.constants(len(pixels), unit))
            outputs.append(slot)
        if steps.pads:
            whole = padded(outputs, steps.pad_to)
            outputs = list(whole)
        elif any(output.shape != outputs[0].shape for output in outputs):
            whole = None
        batch = BatchFeature(pixel_values=stacked(outputs, whole, tensors))
        return batch.to(device) if device is not None and tensors == "pt" else batch

    preprocess = __call__

    def prepare(self, image: Any, **overrides: Any) -> np.ndarray:
        """One image as float32 (channels, height, width); safe to call from several threads at once."""
        steps = self.steps(**overrides)
        pixels, unit = steps.run(image)
        out = np.empty(pixels.shape, np.float32)
        write_normalised(pixels, out, *steps.constants(len(pixels), unit))
        return padded([out], steps.pad_to)[0] if steps.pad_to else out

    def output_size(self, image: Any, **overrides: Any) -> Shape:
        """(height, width) that `image` will have, for packing batches by pixels.

        Free for a processor whose outputs all have one size and for PIL images and arrays; others are decoded.
        """
        steps = self.steps(**overrides)
        if steps.pad_to or steps.crop or (steps.size and "height" in steps.size):
            return steps.output_size(1, 1)
        if arrays.is_array(image):
            _, height, width = arrays.channels_first(arrays.as_numpy(image), steps.layout).shape
        else:
            loaded = upright(image) if isinstance(image, Image.Image) else load_image(image)
            width, height = loaded.size
        return steps.output_size(height, width)

    def steps(self, **overrides: Any) -> Steps:
        """The settings, with those of one call on top, checked and compiled."""
        if overrides.get("data_format", "channels_first") not in (None, "channels_first"):
            raise InputError(
                f"data_format = {overrides['data_format']!r}, but pixel_values are always channels_first.",
                "Transpose the result.",
            )
        settings = {name: getattr(self, name) for name in self.defaults}
        for name, value in overrides.items():
            if name not in settings and name not in ("input_data_format", "data_format") and name not in WITHOUT_EFFECT:
                hint = did_you_mean(name, settings) or f"The settings are: {', '.join(settings)}."
                raise InputError(f"{type(self).__name__} has no setting {name!r}.", hint)
            if value is not None:
                settings[name] = getattr(value, "value", value) if name == "input_data_format" else value
        return Steps.compile(settings, type(self).size_rule)

    # Files --------------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read `preprocessor_config.json` of a folder or repository, or a JSON file itself.

        Called on `ImageProcessor`, it gives the family that the file names, and the general steps for a name that it
        does not know. Keyword arguments are settings that win over the file's, or say where files come from
        (`revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`).

        Raises `FileMissingError`, `CorruptFileError`, `ConfigError` and `InputError` (unknown argument).
        """
        from samovar.vision.load import named_family, read_settings

        settings, overrides, _ = read_settings(pretrained_model_name_or_path, **kwargs)
        kind: type[Self] = cls
        if cls is ImageProcessor:
            kind = named_family(settings) or cls  # type: ignore[assignment]
        return kind.from_dict(settings, **overrides)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **overrides: Any) -> Self:
        """A processor from a file's content; `overrides` win. Raises `InputError` for one that neither knows."""
        for name in overrides:
            if name not in cls.defaults and name not in settings:
                hint = did_you_mean(name, cls.defaults) or f"The settings are: {', '.join(cls.defaults)}."
                raise InputError(f"{cls.__name__} has no setting {name!r}.", hint)
        return cls(**copy.deepcopy({**settings, **overrides}))

    def to_dict(self) -> dict[str, Any]:
        """The content of `preprocessor_config.json`: every setting spelled out, and the keys that were kept."""
        values: dict[str, Any] = {**copy.deepcopy(self.extra), "image_processor_type": self.type_name()}
        for name, default in self.defaults.items():
            value = plain(getattr(self, name))
            # Sizes are written as mappings, so the rule for plain integers is of interest only where it is unusual.
            if value is not None and not (name == "default_to_square" and value == default):
                values[name] = value
        return dict(sorted(values.items()))

    def type_name(self) -> str:
        """The class name to write, such that other tools of the field find the right steps."""
        from samovar.vision.families import canonical

        # The general steps with every setting spelled out are what the plainest family does.
        return self.family or canonical(self.origin) or "ViTImageProcessor"

    def to_json_string(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @shares
    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `preprocessor_config.json` into `folder`, beside the old one first, then renamed over it.

        Raises `SaveError`, with the old file as it was.
        """
        from samovar.hub.atomic import write_file

        folder = Path(save_directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{folder} cannot be made a folder: {error.strerror}.", "Choose another folder.") from error
        write_file(folder / PREPROCESSOR_FILE, self.to_json_string())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def as_list(images: Any) -> list[Any]:
    """Single images, lists, nested lists and arrays with a batch dimension, as one flat list."""
    if isinstance(images, list | tuple):
        flat = [image for item in images for image in as_list(item)]
        if not flat:
            raise InputTypeError("Images expected, got an empty list.", "Pass at least one image.")
        return flat
    if arrays.is_array(images) and images.ndim == 4:
        if not len(images):
            raise ImageError(f"The array holds no images: its shape is {tuple(images.shape)}.", "Pass at least one.")
        return list(images)
    return [images]


def padded(images: list[np.ndarray], shape: Shape | None) -> np.ndarray:
    """`images` (channels, height, width) in one array, zeros below and to the right of the smaller ones."""
    if len({len(image) for image in images}) > 1:
        raise ImageError("Images with different numbers of channels do not form a batch.", "Pass do_convert_rgb=True.")
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    target = shape or (height, width)
    if height > target[0] or width > target[1]:
        raise ImageError(f"Images of {height} × {width} do not fit into pad_size {target}.", "Enlarge pad_size.")
    out = np.zeros((len(images), len(images[0]), *target), np.float32)
    for slot, image in zip(out, images, strict=True):
        slot[:, : image.shape[1], : image.shape[2]] = image
    return out


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: tuples and arrays become lists, enumeration members their numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Image.Resampling):
        return int(value)
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
