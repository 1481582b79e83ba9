"""image-classification: a folder of folders, whose names are the classes."""

from __future__ import annotations

from typing import Any

import torch

from samovar.auto import AutoImageProcessor, AutoModelForImageClassification
from samovar.errors import ImageError
from samovar.training.recipes.classification import single
from samovar.training.recipes.options import Options, Prepared


class Read:
    """Rows of `path` and `labels` → pixels and labels, read when they are needed."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch: `pixel_values` (batch, channels, height, width), `labels` (batch,)."""
        from PIL import Image

        images = []
        for row in rows:
            try:
                with Image.open(row["path"]) as image:
                    images.append(image.convert("RGB"))
            except OSError as error:
                raise ImageError(f"{row['path']} cannot be read: {error}.", "Remove it, or replace it.") from error
        pixels = self.processor(images, return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels, "labels": torch.tensor([row["labels"] for row in rows])}


def prepare(train: list[Any], held_out: list[Any], classes: list[str], options: Options) -> Prepared:
    """A model with a head of as many classes as there are folders."""
    processor = AutoImageProcessor.from_pretrained(options.model)
    model = AutoModelForImageClassification.from_pretrained(
        options.model, id2label=dict(enumerate(classes)), label2id={name: k for k, name in enumerate(classes)},
        ignore_mismatched_sizes=True,
    )  # fmt: skip
    shown = f"{', '.join(classes[:8])}{' …' if len(classes) > 8 else ''}"
    notes = [f"{len(train) + len(held_out)} images, {len(classes)} classes: {shown}"]
    return Prepared(model, processor, train, held_out, Read(processor), single, "accuracy", notes)
