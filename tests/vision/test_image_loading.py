"""`load_image`: every form of an image becomes an upright 8-bit RGB picture, or an error that says what is wrong."""

from __future__ import annotations

import base64
import contextlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samovar.errors import ImageError, InputTypeError
from samovar.vision import load_image


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


COLOUR = noise((12, 17, 3))
PNG = encoded(Image.fromarray(COLOUR))


def test_every_form_of_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    text = base64.b64encode(PNG).decode()
    forms = [
        path, str(path), PNG, bytearray(PNG), memoryview(PNG), Image.open(BytesIO(PNG)), Image.fromarray(COLOUR),
        f"data:image/png;base64,{text}", text, "\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
        COLOUR, COLOUR.transpose(2, 0, 1), COLOUR.astype(np.int32), COLOUR.astype(np.float64), COLOUR / 255,
        (COLOUR / 255).astype(np.float32), torch.from_numpy(COLOUR), torch.from_numpy(COLOUR).permute(2, 0, 1) / 255,
        torch.from_numpy(COLOUR).bfloat16(), torch.from_numpy(COLOUR).float().requires_grad_(),
    ]  # fmt: skip
    for form in forms:
        image = load_image(form)
        assert image.mode == "RGB"
        exact = np.asarray(image)
        limit = 1 if isinstance(form, torch.Tensor) and form.dtype == torch.bfloat16 else 0
        assert np.abs(exact.astype(int) - COLOUR).max() <= limit


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "PA", "RGBX", "La", "RGBa"])
def test_pillow_modes(mode: str) -> None:
    colour = Image.fromarray(COLOUR)
    image = colour.convert(mode[:-1] + "A").convert(mode) if mode in ("La", "RGBa") else colour.convert(mode)
    loaded = load_image(image)
    assert loaded.mode == "RGB"
    expected = colour
    if mode in ("1", "L", "LA", "La"):
        expected = colour.convert("1" if mode == "1" else "L")
    elif mode in ("P", "PA"):
        expected = image.convert("RGBA")
    # Colour models round on the way there and back.
    limit = {"YCbCr": 4, "HSV": 12}.get(mode, 0)
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(expected.convert("RGB"))).max() <= limit


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 25700, 32768, 65535]], np.uint16)
    expected = np.round(values / 257).astype(np.uint8)
    deep = Image.fromarray(values)
    forms: list[Any] = [deep, encoded(deep), encoded(deep, "TIFF"), Image.fromarray(values.astype(np.int32)), values]
    for form in forms:
        grey = np.asarray(load_image(form))
        assert np.array_equal(grey, np.repeat(expected[..., None], 3, -1))
    dark = Image.fromarray(np.array([[0, 200]], np.uint16))
    assert np.asarray(load_image(dark)).max() == 1  # The file says 16 bits, so 200 is nearly black.
    assert np.asarray(load_image(np.array([[0, 200]], np.uint16))).max() == 200  # An array's type says less.
    with pytest.raises(ImageError, match="neither 8 nor 16"):
        load_image(Image.fromarray(np.array([[0, 70000]], np.int32)))


def test_float_modes_and_booleans() -> None:
    ramp = np.linspace(0, 1, 50, dtype=np.float32).reshape(5, 10)
    small, large = np.asarray(load_image(Image.fromarray(ramp))), np.asarray(load_image(Image.fromarray(ramp * 255)))
    assert small.max() == large.max() == 255
    assert np.abs(small.astype(int) - large).max() <= 1
    assert np.asarray(load_image(np.array([[True, False]])))[0, :, 0].tolist() == [255, 0]


def test_orientation_is_applied_once() -> None:
    stripe = np.zeros((2, 4, 3), np.uint8)
    stripe[0, 0] = 255  # a white corner, top left
    corners = {1: (0, 0), 2: (0, 3), 3: (1, 3), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (3, 1), 8: (3, 0)}
    for orientation, corner in corners.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(Image.fromarray(stripe), "PNG", exif=exif)
        image = load_image(data)
        assert image.size == ((4, 2) if orientation < 5 else (2, 4))
        assert np.argwhere(np.asarray(image)[..., 0]).tolist() == [list(corner)]
        assert np.array_equal(load_image(image), image)
        assert np.array_equal(load_image(Image.open(BytesIO(data))), image)


def test_unreadable_orientation_does_not_hide_the_picture() -> None:
    image = load_image(encoded(Image.fromarray(COLOUR), "PNG", exif=b"Exif\x00\x00garbage that is no TIFF header"))
    assert np.array_equal(image, COLOUR)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue", "lime")]
    image = load_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.asarray(image)[0, 0].tolist() == [255, 0, 0]


def test_transparency_is_dropped() -> None:
    clear = Image.new("RGBA", (3, 3), (10, 20, 30, 0))
    palette = encoded(Image.fromarray(COLOUR).convert("P"), transparency=bytes(range(256)))
    assert np.asarray(load_image(clear))[0, 0].tolist() == [10, 20, 30]
    assert np.array_equal(load_image(palette), Image.fromarray(COLOUR).convert("P").convert("RGB"))


TIFF = encoded(Image.fromarray(COLOUR), "TIFF")
BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"<html>404</html>", "known format"),
    "truncated PNG": (PNG[: len(PNG) // 2], "damaged"),
    "flipped bytes": (PNG[:45] + bytes(255 - byte for byte in PNG[45:90]) + PNG[90:], "damaged"),
    "truncated JPEG": (encoded(Image.fromarray(noise((99, 99, 3))), "JPEG")[:2000], "damaged"),
    "truncated WebP": (encoded(Image.fromarray(noise((99, 99, 3))), "WEBP")[:2000], "WebP|damaged|format"),
    "truncated TIFF": (encoded(Image.fromarray(noise((99, 99, 3))), "TIFF")[:-9000], "damaged|format"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        load_image(path)
    assert "holiday.png" in caught.value.cause
    assert caught.value.next_step
    with pytest.raises(ImageError, match=message):
        load_image(data)


def test_damage_found_only_while_decoding_an_open_image(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded(Image.fromarray(noise((99, 99, 3))), "JPEG")[:2000])
    with Image.open(path) as image, pytest.raises(ImageError, match=r"cut\.jpg is damaged"):
        load_image(image)


def test_every_cut_and_most_bit_flips_are_survived() -> None:
    """Whatever stands in a file, there is an image or an ImageError."""
    generator = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = encoded(Image.fromarray(COLOUR), kind)
        for _ in range(40):
            data = bytearray(whole)
            data[generator.integers(len(data))] ^= 1 << generator.integers(8)
            for damaged in (bytes(data), whole[: generator.integers(len(whole))]):
                with contextlib.suppress(ImageError):
                    assert load_image(damaged).mode == "RGB"


@pytest.mark.parametrize("pixels", [150, 250])
def test_decompression_bombs(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the limit is an error of Pillow's, once is a warning; both stop here when warnings are errors."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="too large"):
        load_image(encoded(Image.new("L", (10, pixels // 10))))


WRONG_ARRAYS = {
    "no pixels": (np.zeros((0, 4, 3), np.uint8), "no pixels"),
    "two channels": (np.zeros((5, 6, 2), np.uint8), "1, 3 or 4 channels"),
    "one dimension": (np.zeros(5, np.uint8), "2 or 3 dimensions"),
    "a batch": (np.zeros((2, 5, 5, 3), np.uint8), "2 or 3 dimensions"),
    "NaN": (np.full((4, 4, 3), np.nan), "16|48"),
    "infinite": (np.full((4, 4), np.inf, np.float32), "infinite"),
    "negative": (np.full((4, 4), -1.5), "neither"),
    "too bright": (np.full((4, 4), 300), "neither"),
    "complex": (np.zeros((4, 4), complex), "complex"),
    "objects": (np.array([["a", None]], object), "object"),
}


@pytest.mark.parametrize(("array", "message"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_wrong_arrays(array: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(array)


def test_image_without_pixels() -> None:
    with pytest.raises(ImageError, match="0 × 5"):
        load_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("value", [None, 3, 2.5, {"a": 1}, [COLOUR], object()], ids=lambda value: type(value).__name__)
def test_not_an_image(value: Any) -> None:
    with pytest.raises(InputTypeError, match="Image expected"):
        load_image(value)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    for path in (tmp_path / "no.png", "no such picture.png", "", "no, " * 2000, "null\0byte"):
        with pytest.raises(ImageError, match="No image file"):
            load_image(path)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,@@@@", "not valid base64"),
        ("data:image/png;base64,", "empty"),
        ("data:text/plain,hello", "known format"),
    ],
)
def test_wrong_data_urls(url: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(url)
