"""From a picture in any form to the pixel values that a model was trained on.

Reading order: `fetch` (bytes) → `image` (an upright 8-bit picture) and `arrays` (numbers) → `sizes` → `transforms` →
`steps` (what to do with one image) → `processor` (batches, files) → `families` (defaults) → `load` (by name).
"""

from samovar.vision.image import load_image as load_image
