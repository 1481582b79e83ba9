"""Native: the model is an ordinary PyTorch module, its outputs have names, its labels integer keys."""

import sys

import torch
from PIL import Image

from samovar import AutoImageProcessor, AutoModelForImageClassification

vit_id = "google/vit-base-patch16-224"
image = Image.open(sys.argv[1]) if len(sys.argv) > 1 else Image.linear_gradient("L").convert("RGB")
processor = AutoImageProcessor.from_pretrained(vit_id)
model = AutoModelForImageClassification.from_pretrained(vit_id)
inputs = processor(image, return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
print("module:", isinstance(model, torch.nn.Module), "logits:", tuple(logits.shape))
print("class:", model.config.id2label[logits.argmax(-1).item()])
