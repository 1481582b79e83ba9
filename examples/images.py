"""From a photograph to pixel values and through a vision transformer, as in the field's code.

    python examples/images.py PHOTOGRAPH [FOLDER or owner/name]

Without a checkpoint the network is new, so its answer means nothing; the steps are the same.
"""

from __future__ import annotations

import sys

import torch

from samovar import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)


def main(photograph: str, name: str | None) -> None:
    """Print the size of the pixel values and the best label."""
    if name is None:
        processor = ViTImageProcessor()
        model = ViTForImageClassification(ViTConfig(num_hidden_layers=2, num_labels=3)).eval()
    else:
        processor = AutoImageProcessor.from_pretrained(name)
        model = AutoModelForImageClassification.from_pretrained(name)
    inputs = processor(photograph, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    print("pixel values:", tuple(inputs["pixel_values"].shape))
    print("best label:  ", model.config.id2label[logits.argmax(-1).item()], "" if name else "(of a new network)")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
