"""`ImageProcessor`: batches, settings, errors; values are compared with the reference library in tests/parity."""

from __future__ import annotations

import copy
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samovar.errors import ConfigError, ImageError, InputError, InputTypeError
from samovar.vision import steps
from samovar.vision.families import BitImageProcessor, ConvNextImageProcessor, DeiTImageProcessor, ViTImageProcessor
from samovar.vision.processor import ImageProcessor


def noise(*shape: int) -> np.ndarray:
    """Random bytes."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def picture(height: int = 30, width: int = 40) -> Image.Image:
    """A picture of noise."""
    return Image.fromarray(noise(height, width, 3))


@pytest.mark.parametrize("tensors", [None, "np", "pt"])
def test_forms_of_output(tensors: str | None) -> None:
    values = ViTImageProcessor(size=16)([picture(), picture(8, 9)], return_tensors=tensors)["pixel_values"]
    if tensors is None:
        assert [value.shape for value in values] == [(3, 16, 16)] * 2
    else:
        assert tuple(values.shape) == (2, 3, 16, 16)
    assert str(values[0].dtype).endswith("float32")
    assert isinstance(values, {None: list, "np": np.ndarray, "pt": torch.Tensor}[tensors])


def test_batch_equals_single_and_prepare() -> None:
    processor = BitImageProcessor()
    pictures = [
        picture(),
        picture(300, 99),
        Image.fromarray(noise(20, 20)),
        noise(50, 60, 3),
        torch.from_numpy(noise(3, 7, 70)),
    ]
    batch = processor(pictures, return_tensors="np").pixel_values
    for index, image in enumerate(pictures):
        assert np.array_equal(batch[index], processor(image, return_tensors="np").pixel_values[0])
        assert np.array_equal(batch[index], processor.prepare(image))
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(pool.map(processor.prepare, pictures), batch, strict=True))


def test_batch_feature() -> None:
    batch = ViTImageProcessor(size=8)(picture(), return_tensors="pt")
    batch["labels"] = torch.tensor([3])
    assert batch.pixel_values is batch["pixel_values"]
    assert batch.to("cpu", torch.float16) is batch
    assert batch.pixel_values.dtype == torch.float16
    assert batch.labels.dtype == torch.int64
    assert batch.to(dtype=torch.float64).pixel_values.dtype == torch.float64
    assert batch.to(torch.bfloat16).pixel_values.dtype == torch.bfloat16
    assert pickle.loads(pickle.dumps(batch)).labels.item() == 3
    with pytest.raises(AttributeError, match="pixel_values"):
        _ = batch.pixels


def test_nothing_of_the_callers_changes() -> None:
    array, processor = noise(20, 30, 3), DeiTImageProcessor()
    before, settings = array.copy(), processor.to_dict()
    processor(array, size=9, do_center_crop=False, return_tensors="np").pixel_values[:] = 7
    assert np.array_equal(array, before)
    assert processor.to_dict() == settings
    untouched = noise(20, 30, 3).astype(np.float32)
    processor(untouched, do_resize=False, do_center_crop=False, do_rescale=False, do_normalize=False)["pixel_values"][
        0
    ][:] = 7
    assert np.array_equal(untouched, before)


def test_attributes_are_settings() -> None:
    processor = BitImageProcessor()
    processor.size = 50
    processor.crop_size = [20, 30]
    assert processor.size == {"shortest_edge": 50}
    assert processor.crop_size == {"height": 20, "width": 30}
    processor.do_normalize = False
    values = processor(picture(), return_tensors="np").pixel_values
    assert values.shape == (1, 3, 20, 30)
    assert values.min() >= 0
    again = copy.deepcopy(processor)
    assert again == processor
    again.do_rescale = False
    assert again != processor
    with pytest.raises(AttributeError, match="image_mean"):
        _ = processor.image_meen


def test_none_means_the_default() -> None:
    processor = DeiTImageProcessor(size=None, image_mean=None, do_resize=None)
    assert processor == DeiTImageProcessor()
    same = processor(picture(), size=None, do_center_crop=None, return_tensors="np").pixel_values
    assert np.array_equal(same, DeiTImageProcessor()(picture(), return_tensors="np").pixel_values)


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [
        ({"longest_edge": 50}, (100, 20), (50, 10)),
        ({"longest_edge": 50}, (1, 500), (1, 50)),
        ({"shortest_edge": 10}, (20, 45), (10, 22)),
        ({"shortest_edge": 10, "longest_edge": 15}, (20, 200), (2, 15)),
        ({"max_height": 9, "max_width": 9}, (1, 900), (1, 9)),
        (7, (3, 3), (7, 7)),
        ((5, 6), (3, 3), (5, 6)),
    ],
)
def test_output_sizes(size: Any, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    processor = ViTImageProcessor(size=size)
    assert processor.prepare(picture(*shape)).shape == (3, *expected)
    assert processor.output_size(picture(*shape)) == expected
    assert processor.output_size(noise(3, *shape)) == expected
    assert processor.output_size(torch.zeros(3, *shape)) == expected


@pytest.mark.parametrize("kind", [ViTImageProcessor, DeiTImageProcessor, BitImageProcessor, ConvNextImageProcessor])
def test_predicted_size_of_the_families(kind: type[ImageProcessor]) -> None:
    for settings in (
        {},
        {"size": {"shortest_edge": 64}},
        {"do_center_crop": True, "crop_size": 31},
        {"do_resize": False},
    ):
        processor = kind(**settings)
        for shape in [(30, 40), (1, 9), (100, 33)]:
            assert processor.prepare(picture(*shape)).shape[1:] == processor.output_size(picture(*shape))


def test_predicted_size_of_a_turned_file() -> None:
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = 6
    picture(20, 50).save(buffer, "JPEG", exif=exif)
    processor = ViTImageProcessor(size={"shortest_edge": 10})
    assert processor.output_size(buffer.getvalue()) == (25, 10) == processor.prepare(buffer.getvalue()).shape[1:]


def test_images_of_different_shapes() -> None:
    processor = ViTImageProcessor(do_resize=False)
    pictures = [picture(4, 5), picture(6, 3)]
    assert [value.shape for value in processor(pictures).pixel_values] == [(3, 4, 5), (3, 6, 3)]
    with pytest.raises(ImageError, match=r"\(3, 4, 5\) and \(3, 6, 3\)"):
        processor(pictures, return_tensors="pt")
    whole = processor(pictures, return_tensors="pt", do_pad=True).pixel_values
    assert tuple(whole.shape) == (2, 3, 6, 5)
    assert not whole[0, :, 4:].any()
    assert processor.prepare(picture(4, 5), do_pad=True, pad_size=8).shape == (3, 8, 8)
    with pytest.raises(ImageError, match="pad_size"):
        processor(pictures, do_pad=True, pad_size=3)
    with pytest.raises(ImageError, match="channels"):
        processor([picture(), noise(4, 4)], do_pad=True, do_normalize=False)


def test_channels_follow_the_statistics() -> None:
    colour, grey = ViTImageProcessor(size=8), ViTImageProcessor(size=8, image_mean=[0.5], image_std=[0.5])
    rgba = Image.new("RGBA", (9, 9), (255, 0, 0, 0))
    forms: list[Any] = [picture(), noise(9, 9), rgba, noise(9, 9, 4), noise(9, 9, 3) / 255, Image.new("CMYK", (5, 5))]
    for resize in (True, False):
        for form in forms:
            assert colour.prepare(form, do_resize=resize).shape[0] == 3
            assert grey.prepare(form, do_resize=resize).shape[0] == 1
    red = colour.prepare(rgba)[:, 0, 0]
    assert red.tolist() == [1, -1, -1]  # dropped
    assert BitImageProcessor(do_normalize=False).prepare(rgba)[:, 0, 0].tolist() == [1, 1, 1]  # onto white
    luma = ViTImageProcessor(image_mean=[0.0], image_std=[1.0], do_resize=False)
    by_pillow = luma.prepare(picture())
    assert np.abs(by_pillow - luma.prepare(noise(30, 40, 3))).max() <= 1.01 / 255
    four = ViTImageProcessor(image_mean=[0.5] * 4, image_std=[0.5] * 4, size=8)
    assert four.prepare(picture()).shape == four.prepare(noise(9, 9, 3)).shape == (4, 8, 8)


def test_layout_of_arrays(caplog: pytest.LogCaptureFixture) -> None:
    processor = ViTImageProcessor(do_resize=False)
    both = noise(3, 5, 3)
    assert processor.prepare(both).shape == (3, 5, 3)
    assert "two ways" in caplog.text
    caplog.clear()
    assert processor.prepare(both, input_data_format="channels_last").shape == (3, 3, 5)
    assert processor.prepare(both, input_data_format="channels_first").shape == (3, 5, 3)
    assert not caplog.text
    with pytest.raises(ImageError, match="channels last"):
        processor.prepare(noise(3, 5, 6), input_data_format="channels_last")
    with pytest.raises(InputError, match="sideways"):
        processor.prepare(both, input_data_format="sideways")
    with pytest.raises(InputError, match="channels_first"):
        processor(both, data_format="channels_last")


def test_values_scaled_already_are_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "said_already", set())
    unit, processor = noise(9, 9, 3) / 255, ViTImageProcessor(size=9)
    processor(unit, do_rescale=False)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        processor([unit, unit])
        processor(unit)
    assert [record.getMessage().count("do_rescale=False") for record in caplog.records] == [1]
    scaled = processor(unit, do_rescale=False, return_tensors="np").pixel_values
    assert np.abs(scaled - processor(noise(9, 9, 3), return_tensors="np").pixel_values).max() < 1e-6


def test_extreme_ratio_without_a_crop_is_refused() -> None:
    with pytest.raises(ImageError, match="aspect ratio is extreme"):
        ViTImageProcessor(size={"shortest_edge": 400}).prepare(picture(1, 3000))
    assert BitImageProcessor().prepare(picture(1, 9000)).shape == (3, 224, 224)
    assert BitImageProcessor(crop_size=300).prepare(picture(9000, 1)).shape == (3, 300, 300)


WRONG_SETTINGS: dict[str, dict[str, Any]] = {
    "size text": {"size": "big"},
    "size zero": {"size": 0},
    "size bool": {"size": True},
    "size float": {"size": {"shortest_edge": 22.5}},
    "size key": {"size": {"shortest_edge": 22, "height": 3}},
    "size triple": {"size": [1, 2, 3]},
    "crop edge": {"do_center_crop": True, "crop_size": {"shortest_edge": 3}},
    "no crop": {"do_center_crop": True},
    "resample": {"resample": 17},
    "resample name": {"resample": "sharp"},
    "mean text": {"image_mean": "half"},
    "mean of two": {"image_mean": [0.5, 0.5]},
    "std zero": {"image_std": [0.5, 0, 0.5]},
    "lengths": {"image_mean": [0.5] * 4},
    "factor": {"rescale_factor": "1/255"},
}


@pytest.mark.parametrize("settings", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ViTImageProcessor(**settings)
    with pytest.raises(ConfigError):
        ViTImageProcessor()(picture(), **settings)


def test_more_wrong_settings() -> None:
    for fraction in (0, -1, 1.5, "0.9"):
        with pytest.raises(ConfigError, match="crop_pct"):
            ConvNextImageProcessor(crop_pct=fraction)
    with pytest.raises(ConfigError, match="3 values for an image with 4"):
        ViTImageProcessor(image_mean=[0.5] * 3, image_std=0.5, do_convert_rgb=None).steps().constants(4, 1.0)
    with pytest.raises(InputError, match="do_resiz"):
        ViTImageProcessor()(picture(), do_resiz=False)
    with pytest.raises(InputError, match="return_tensors"):
        ViTImageProcessor()(picture(), return_tensors="tf")


def test_resample_names_and_numbers() -> None:
    by_number = ViTImageProcessor(resample=3).prepare(picture())
    for resample in ("bicubic", Image.Resampling.BICUBIC):
        assert np.array_equal(by_number, ViTImageProcessor(resample=resample).prepare(picture()))


def test_wrong_images() -> None:
    processor = ViTImageProcessor(size=8)
    for wrong in (None, 5, [], [[]], {"image": 1}):
        with pytest.raises(InputTypeError, match="expected"):
            processor(wrong)
    with pytest.raises(ImageError, match="no images"):
        processor(np.zeros((0, 4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="Image 1 of the 3") as caught:
        processor([picture(), b"not an image", picture()])
    assert "known format" in caught.value.cause
    with pytest.raises(ImageError, match="NaN"):
        processor.prepare(np.full((4, 4, 3), np.nan), do_resize=False)
