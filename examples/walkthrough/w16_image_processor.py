"""Image processors: sizes, scaling and normalisation come from the checkpoint."""

import numpy as np
from PIL import Image

from samovar import AutoImageProcessor

processor = AutoImageProcessor.from_pretrained("google/vit-base-patch16-224")
image = Image.linear_gradient("L").convert("RGB").resize((300, 200))
pixel_values = processor(image, return_tensors="pt")["pixel_values"]
print(tuple(pixel_values.shape), round(pixel_values.min().item(), 2), round(pixel_values.max().item(), 2))
size = (processor.size["width"], processor.size["height"])
by_hand = np.asarray(image.resize(size, processor.resample), dtype="float32") / 255
by_hand = (by_hand - processor.image_mean) / processor.image_std
print("largest difference:", float(np.abs(pixel_values[0].numpy() - by_hand.transpose(2, 0, 1)).max()))
