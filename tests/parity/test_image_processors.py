"""Pixel values equal the reference library's: family by family, and through files in both directions."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from samovar.vision import load_image
from samovar.vision.families import FAMILIES, IMAGE_PROCESSORS, ImageProcessor
from samovar.vision.load import load_image_processor

FAMILY_NAMES = [kind.family for kind in FAMILIES]
# Float32 rounds a multiply-add and a subtraction followed by a division differently, by a few units in the last place.
TOLERANCE = 1e-6
SHAPES = [(1, 1), (1, 40), (40, 1), (2, 3), (17, 301), (223, 225), (224, 224), (300, 200), (257, 255), (640, 480)]


def photographs() -> list[Path]:
    """The two photographs that scikit-learn ships."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations
    return sorted(Path(spec.submodule_search_locations[0], "datasets", "images").glob("*.jpg"))


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pictures() -> list[Image.Image]:
    """Photographs, and noise of odd and extreme shapes."""
    return [load_image(path) for path in photographs()] + [Image.fromarray(noise((*shape, 3))) for shape in SHAPES]


def reference(family: str, **settings: Any) -> Any:
    """The reference library's processor that works through Pillow."""
    return getattr(transformers, family + "Pil")(**settings)


def pixels(processor: Any, image: Any, **kwargs: Any) -> np.ndarray:
    """`pixel_values` of one call."""
    return processor(image, return_tensors="np", **kwargs)["pixel_values"]


def assert_same(ours: Any, theirs: Any, images: Any, **kwargs: Any) -> None:
    """Both give the same values for each image."""
    for image in images:
        expected, actual = pixels(theirs, image, **kwargs), pixels(ours, image, **kwargs)
        assert actual.dtype == np.float32
        assert actual.shape == expected.shape
        scale = max(1.0, float(np.abs(expected).max()) / 4)
        assert np.abs(actual - expected).max() <= TOLERANCE * scale


SETTINGS: list[dict[str, Any]] = [
    {},
    {"size": 96},
    {"size": [40, 61]},
    {"size": {"height": 31, "width": 77}},
    {"size": {"shortest_edge": 100}},
    {"size": {"shortest_edge": 384}, "resample": 2},
    {"do_center_crop": True, "crop_size": 300},
    {"do_center_crop": True, "crop_size": {"height": 33, "width": 50}},
    {"do_resize": False, "do_center_crop": True, "crop_size": [51, 300]},
    {"do_resize": False, "do_center_crop": False},
    {"do_rescale": False},
    {"do_normalize": False},
    {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.9, 0.8, 0.7], "rescale_factor": 1 / 127.5},
    {"image_mean": 0.4, "image_std": 0.3},
    *({"resample": number, "size": {"height": 50, "width": 60}} for number in range(6)),
]


def stretches(settings: dict[str, Any]) -> bool:
    """Whether the size names a height and a width."""
    size = settings.get("size")
    return isinstance(size, list) or (isinstance(size, dict) and "height" in size)


# The families share their steps, so one of each size rule takes every setting, and the others the first five.
CASES = [
    pytest.param(family, settings, id=f"{family}-{settings}")
    for family in FAMILY_NAMES
    for settings in (SETTINGS if family in ("ViTImageProcessor", "ConvNextImageProcessor") else SETTINGS[:5])
    # The reference stops with an AttributeError where a ConvNeXt size is no edge; here it stretches.
    if family != "ConvNextImageProcessor" or not stretches(settings)
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "settings"), CASES)
def test_settings_given_to_the_class(family: str, settings: dict[str, Any]) -> None:
    assert_same(IMAGE_PROCESSORS[family](**settings), reference(family, **settings), pictures())


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 500), (500, 1)])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_extreme_ratio(family: str, shape: tuple[int, int]) -> None:
    image = Image.fromarray(noise((*shape, 3)))
    small = {"size": {"shortest_edge": 112}}
    assert_same(IMAGE_PROCESSORS[family](**small), reference(family, **small), [image])
    assert_same(IMAGE_PROCESSORS[family](), reference(family), [image])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_settings_given_to_the_call(family: str) -> None:
    ours, theirs = IMAGE_PROCESSORS[family](), reference(family)
    images = pictures()[:4]
    assert_same(ours, theirs, images, size={"shortest_edge": 90}, do_center_crop=True, crop_size=64, resample=2)
    assert_same(ours, theirs, images, do_normalize=False)
    assert_same(ours, theirs, images)  # The call before has changed nothing.


@pytest.mark.slow
@pytest.mark.parametrize("crop_pct", [0.5, 0.875, 0.95, 1.0])
@pytest.mark.parametrize("edge", [32, 224, 383, 384])
def test_convnext_rule(edge: int, crop_pct: float) -> None:
    settings = {"size": {"shortest_edge": edge}, "crop_pct": crop_pct}
    images = [Image.fromarray(noise((*shape, 3))) for shape in [(50, 70), (401, 400), (33, 33), (60, 300)]]
    name = "ConvNextImageProcessor"
    assert_same(IMAGE_PROCESSORS[name](**settings), reference(name, **settings), images)


@pytest.mark.slow
def test_centre_of_a_very_large_resize_is_within_one_step() -> None:
    """Here only the centre is computed: 1 × 900 pixels would become 224 × 201,600 first."""
    image = Image.fromarray(noise((1, 900, 3)))
    ours, theirs = IMAGE_PROCESSORS["CLIPImageProcessor"](), reference("CLIPImageProcessor")
    difference = np.abs(pixels(ours, image) - pixels(theirs, image))
    assert difference.max() <= 1 / 255 / 0.26 + TOLERANCE
    assert (difference > TOLERANCE).mean() < 0.01


@pytest.mark.parametrize(
    "size", [{"shortest_edge": 60, "longest_edge": 90}, {"max_height": 50, "max_width": 80}], ids=str
)
def test_bounded_sizes(size: dict[str, int]) -> None:
    images = [
        Image.fromarray(noise((*shape, 3))) for shape in [(60, 90), (60, 91), (100, 20), (33, 200), (61, 60), (7, 7)]
    ]
    assert_same(IMAGE_PROCESSORS["ViTImageProcessor"](size=size), reference("ViTImageProcessor", size=size), images)


ARRAYS = {
    "uint8 last": noise((40, 50, 3)),
    "uint8 first": noise((3, 40, 50)),
    "grey last": noise((40, 50, 1)),
    "RGBA last": noise((40, 50, 4)),
    "RGBA first": noise((4, 40, 50)),
    "int64": noise((40, 50, 3)).astype(np.int64),
    "whole floats": noise((40, 50, 3)).astype(np.float32),
    "unit floats": np.random.default_rng(1).random((40, 50, 3)),
    "unit float32": np.random.default_rng(1).random((3, 40, 50), dtype=np.float32),
    "unit RGBA": np.random.default_rng(1).random((4, 40, 50), dtype=np.float32),
}


@pytest.mark.parametrize("do_rescale", [True, False])
@pytest.mark.parametrize("do_resize", [True, False])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_and_tensors(array: np.ndarray, do_resize: bool, do_rescale: bool) -> None:
    ours, theirs = IMAGE_PROCESSORS["BitImageProcessor"](), reference("BitImageProcessor")
    assert_same(ours, theirs, [array, torch.from_numpy(array)], do_resize=do_resize, do_rescale=do_rescale)


def test_batches() -> None:
    ours, theirs = IMAGE_PROCESSORS["DeiTImageProcessor"](), reference("DeiTImageProcessor")
    array = noise((4, 30, 20, 3))
    nested = [[Image.fromarray(image) for image in array[:2]], [Image.fromarray(image) for image in array[2:]]]
    for images in (array, list(array), torch.from_numpy(array.transpose(0, 3, 1, 2).copy()), nested):
        assert np.abs(pixels(ours, images) - pixels(theirs, images)).max() <= TOLERANCE
    ours, theirs = IMAGE_PROCESSORS["ViTImageProcessor"](), reference("ViTImageProcessor")
    several = [Image.fromarray(noise((*shape, 3))) for shape in [(10, 20), (30, 5)]]
    for pad in ({"do_pad": True}, {"do_pad": True, "pad_size": {"height": 40, "width": 50}}):
        assert_same(ours, theirs, [several], do_resize=False, **pad)


def test_pillow_modes_with_conversion() -> None:
    """Transparency is composited onto white for images in memory."""
    ours, theirs = IMAGE_PROCESSORS["BitImageProcessor"](), reference("BitImageProcessor")
    colour = Image.fromarray(noise((30, 40, 4)), "RGBA")
    palette = colour.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    clear = palette.copy()
    clear.info["transparency"] = 3
    images = [
        colour,
        palette,
        clear,
        *(colour.convert("RGB").convert(mode) for mode in ("1", "L", "CMYK", "YCbCr", "HSV")),
    ]
    images.append(colour.convert("LA"))
    assert_same(ours, theirs, images)


def test_grey_model() -> None:
    settings = {"image_mean": [0.5], "image_std": [0.25], "size": {"height": 28, "width": 28}}
    images = [Image.fromarray(noise((30, 40))), noise((30, 40, 1))]
    assert_same(IMAGE_PROCESSORS["ViTImageProcessor"](**settings), reference("ViTImageProcessor", **settings), images)


def saved(image: Image.Image, path: Path, **options: Any) -> str:
    """The path of `image` in a file."""
    image.save(path, **options)
    return str(path)


def test_files(tmp_path: Path) -> None:
    """Paths are read as the reference reads them: upright, without alpha."""
    ours, theirs = IMAGE_PROCESSORS["CLIPImageProcessor"](), reference("CLIPImageProcessor")
    colour = Image.fromarray(noise((30, 40, 4)), "RGBA")
    paths = [str(path) for path in photographs()]
    paths += [saved(colour, tmp_path / "alpha.png"), saved(colour.convert("L"), tmp_path / "grey.png")]
    paths.append(saved(colour.convert("CMYK"), tmp_path / "cmyk.jpg"))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        paths.append(saved(colour.convert("RGB"), tmp_path / f"turned{orientation}.jpg", exif=exif))
    assert_same(ours, theirs, paths)
    for path in paths:
        assert np.array_equal(load_image(path), transformers.image_utils.load_image(path))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_folder_of_the_reference_loads_here(family: str, tmp_path: Path) -> None:
    theirs = reference(family, size={"shortest_edge": 128}, image_mean=[0.3, 0.4, 0.5], do_normalize=True)
    theirs.save_pretrained(tmp_path)
    images = pictures()[:3]
    for ours in (load_image_processor(tmp_path), ImageProcessor.from_pretrained(tmp_path)):
        assert type(ours) is IMAGE_PROCESSORS[family]
        assert_same(ours, theirs, images)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_folder_saved_here_loads_in_the_reference(family: str, tmp_path: Path) -> None:
    ours = IMAGE_PROCESSORS[family](
        size={"shortest_edge": 128}, image_std=[0.3, 0.4, 0.5], do_rescale=True, mood="calm"
    )
    ours.save_pretrained(tmp_path)
    images = pictures()[:3]
    for theirs in (
        getattr(transformers, family + "Pil").from_pretrained(tmp_path),
        transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil"),
    ):
        assert_same(ours, theirs, images)
        assert theirs.mood == "calm"


def test_general_processor_loads_in_the_reference(tmp_path: Path) -> None:
    ours = ImageProcessor(
        size={"shortest_edge": 70}, do_center_crop=True, crop_size=64, resample=3, do_convert_rgb=True
    )
    ours.save_pretrained(tmp_path)
    assert_same(ours, transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil"), pictures()[:3])


# As they stand in checkpoints of 2021 and 2022: feature extractors, plain numbers for sizes.
OLD_FILES: dict[str, dict[str, Any]] = {
    "vit": {
        "do_normalize": True, "do_resize": True, "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 224,
    },
    "deit": {
        "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "DeiTFeatureExtractor", "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 256,
    },
    "resnet": {
        "crop_pct": 0.875, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 224,
    },
    "clip": {
        "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224,
    },
    "dinov2": {
        "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256},
    },
}  # fmt: skip


@pytest.mark.parametrize("content", OLD_FILES.values(), ids=OLD_FILES)
def test_old_files(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    ours = load_image_processor(tmp_path)
    theirs = getattr(transformers, ours.family + "Pil").from_pretrained(tmp_path)
    assert_same(ours, theirs, pictures()[:6])
