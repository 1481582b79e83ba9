"""The families of image processors: one set of steps, told apart by their defaults and their size rule.

A class here is one row of a table. A new family is a row with the defaults of its checkpoints, plus its model types in
`FOR_MODEL_TYPE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from PIL import Image

from samovar.vision.processor import ImageProcessor
from samovar.vision.sizes import SizeRule, centre_fraction

BICUBIC = int(Image.Resampling.BICUBIC)
# Statistics of the 400 million web images that CLIP was trained on (https://arxiv.org/abs/2103.00020).
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


class ViTImageProcessor(ImageProcessor):
    """ViT: stretched to 224 × 224, values in −1 … 1 (https://arxiv.org/abs/2010.11929)."""

    family = "ViTImageProcessor"


class DeiTImageProcessor(ImageProcessor):
    """DeiT: stretched to 256 × 256, centre of 224 × 224 (https://arxiv.org/abs/2012.12877)."""

    family = "DeiTImageProcessor"
    defaults: ClassVar[Mapping[str, Any]] = {
        **ImageProcessor.defaults,
        "size": {"height": 256, "width": 256},
        "resample": BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
    }


class BitImageProcessor(ImageProcessor):
    """BiT and DINOv2: shortest edge 224, centre of 224 × 224 (https://arxiv.org/abs/1912.11370)."""

    family = "BitImageProcessor"
    defaults: ClassVar[Mapping[str, Any]] = {
        **ImageProcessor.defaults,
        "do_convert_rgb": True,
        "size": {"shortest_edge": 224},
        "default_to_square": False,
        "resample": BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }


class CLIPImageProcessor(BitImageProcessor):
    """CLIP: the same defaults as BiT."""

    family = "CLIPImageProcessor"


class ConvNextImageProcessor(ImageProcessor):
    """ConvNeXt and ResNet: the centre `crop_pct` of the image, or all of it from 384 pixels on.

    The recipe of https://arxiv.org/abs/2201.03545; see `sizes.centre_fraction` for the rule.
    """

    family = "ConvNextImageProcessor"
    size_rule: ClassVar[SizeRule] = staticmethod(centre_fraction)
    defaults: ClassVar[Mapping[str, Any]] = {
        **ImageProcessor.defaults,
        "size": {"shortest_edge": 384},
        "default_to_square": False,
        "resample": BICUBIC,
        "crop_pct": 224 / 256,
    }


# There is one implementation of each; checkpoints saved by others also use the second name.
ViTImageProcessorFast = ViTImageProcessor
DeiTImageProcessorFast = DeiTImageProcessor
BitImageProcessorFast = BitImageProcessor
CLIPImageProcessorFast = CLIPImageProcessor
ConvNextImageProcessorFast = ConvNextImageProcessor

FAMILIES = (ViTImageProcessor, DeiTImageProcessor, BitImageProcessor, CLIPImageProcessor, ConvNextImageProcessor)

# Class name, as files spell it → class.
IMAGE_PROCESSORS: dict[str, type[ImageProcessor]] = {
    kind.family + suffix: kind for kind in FAMILIES for suffix in ("", "Fast")
}

# Model type → class, for files that name no class.
FOR_MODEL_TYPE: dict[str, type[ImageProcessor]] = {
    "vit": ViTImageProcessor,
    "deit": DeiTImageProcessor,
    "dinov2": BitImageProcessor,
    "resnet": ConvNextImageProcessor,
    "convnext": ConvNextImageProcessor,
}


def canonical(name: str) -> str:
    """A class name without its older endings: `ViTFeatureExtractor` and `ViTImageProcessorFast` are one family."""
    name = name.removesuffix("Fast").removesuffix("Pil")
    return name.removesuffix("FeatureExtractor") + "ImageProcessor" if name.endswith("FeatureExtractor") else name
