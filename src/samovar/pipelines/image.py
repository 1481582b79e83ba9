"""What all image pipelines share: reading and resizing images in the background, stacking a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from samovar.errors import InputError
from samovar.pipelines.base import Pipeline
from samovar.pipelines.packing import Item, Limits

# Pixels per batch, of one channel: 8 images of 224 x 224 on a CPU, where more only spill out of its caches.
CPU_BUDGET, ACCELERATOR_BUDGET = 8 * 224 * 224, 128 * 224 * 224


class ImagePipeline(Pipeline):
    """Base of the image tasks."""

    _load_image_processor = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.image_processor is None:
            raise InputError(f"{type(self).__name__} needs an image processor.", "Pass image_processor=, an object.")

    def limits(self, batch_size: int | None) -> Limits:
        """A budget of pixels; the window is small, as prepared images are large and mostly of one size."""
        if self.device.type == "cpu":
            return Limits(CPU_BUDGET, batch_size, window=32, chunk=4)
        return Limits(ACCELERATOR_BUDGET, batch_size, window=512, chunk=16)

    def prepare_many(self, inputs: list[Any], timeout: float | None = None, **options: Any) -> list[list[Item]]:
        """Each image as `pixel_values` (channels, height, width); images of other sizes go into other batches."""
        return [[self.image_item(self.pixels(value, timeout, options))] for value in inputs]

    def pixels(self, value: Any, timeout: float | None, options: dict[str, Any]) -> np.ndarray:
        """One image in any form, or a table's row with an `image` → (channels, height, width)."""
        if isinstance(value, dict) and "image" in value:
            value = value["image"]
        if timeout is not None and isinstance(value, str):
            from samovar.vision.image import load_image

            value = load_image(value, timeout=timeout)
        return np.asarray(self.image_processor(value, return_tensors="np", **options)["pixel_values"])[0]

    def image_item(self, pixels: np.ndarray) -> Item:
        """A prepared image as a row."""
        return Item({"pixel_values": pixels}, pixels.shape[-1] * pixels.shape[-2], group=pixels.shape)

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """Images of one size, stacked."""
        return {"pixel_values": torch.from_numpy(np.stack([item.features["pixel_values"] for item in items]))}
