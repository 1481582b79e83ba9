"""In a worker: files of a request as pipelines take them, and what pipelines answer as JSON can carry it."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

from samovar.errors import InputError

# More pixels than any camera has; a small file can unpack to many.
MOST_PIXELS = 64_000_000


def given(value: Any) -> Any:
    """An input as pipelines take it: `{"file": "image", "bytes": …}` becomes the image, also inside a mapping."""
    if isinstance(value, dict) and set(value) == {"file", "bytes"}:
        data = base64.b64decode(value["bytes"])
        return image(data) if value["file"] == "image" else data
    if isinstance(value, dict):
        return {key: given(one) for key, one in value.items()}
    return value


def image(data: bytes) -> Any:
    """The picture. Raises `InputError` for what is none, and for one that is too large."""
    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(data))
        if opened.width * opened.height > MOST_PIXELS:
            raise InputError(f"The picture has {opened.width} × {opened.height} pixels.", "Send a smaller one.")
        return opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("This is no picture that can be read.", "Send a PNG, JPEG, WebP or GIF file.") from error


def plain(value: Any) -> Any:
    """Arrays and tensors as lists, pictures as PNG and sounds as WAV in base64."""
    if hasattr(value, "getbands"):
        out = io.BytesIO()
        value.save(out, "PNG")
        return base64.b64encode(out.getvalue()).decode()
    return value.tolist() if hasattr(value, "tolist") else str(value)


def answered(value: Any) -> Any:
    """A pipeline's answer: a sound, which pipelines give as numbers and a rate, as a file."""
    if isinstance(value, dict) and {"audio", "sampling_rate"} <= set(value):
        return {"file": base64.b64encode(wav(value["audio"], int(value["sampling_rate"]))).decode()}
    return value


def wav(samples: Any, rate: int) -> bytes:
    """Numbers from -1 to 1, `(samples,)` or `(channels, samples)`, as a WAV file of 16 bits."""
    import numpy as np

    array = np.atleast_2d(np.asarray(samples, np.float32))
    numbers = (np.clip(array, -1, 1).T * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(numbers.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(numbers.tobytes())
    return out.getvalue()
