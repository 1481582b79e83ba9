"""In a worker: `feature-extraction` with what its clients may ask for, vectors of length 1 and fewer numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Vectors:
    """A model's vectors: of a model of embeddings one for each text, of any other one for each token."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = None
        if (Path(folder) / "modules.json").is_file():
            from samovar import SentenceTransformer

            self.model: Any = SentenceTransformer(folder)
            self.embeds = True
        else:
            from samovar import pipeline

            self.model = pipeline("feature-extraction", model=folder, trust_remote_code=False)
            self.embeds = False

    def __call__(
        self,
        inputs: Any,
        normalize: bool = False,
        dimensions: int | None = None,
        prompt_name: str | None = None,
        **options: Any,
    ) -> Any:
        """One text → its vectors as lists; a list → a list."""
        if self.embeds:
            found = self.model.encode(inputs, prompt_name=prompt_name)
            return cut(found, normalize, dimensions).tolist()
        made = self.model(inputs, **options)
        if not normalize and dimensions is None:
            return made
        many = made if isinstance(inputs, list) else [made]
        shortened = [cut(one, normalize, dimensions).tolist() for one in many]
        return shortened if isinstance(inputs, list) else shortened[0]


def cut(vectors: Any, normalize: bool, dimensions: int | None) -> Any:
    """The first `dimensions` numbers of each vector, of length 1 if so asked."""
    import numpy as np

    array = np.asarray(vectors, np.float32)[..., :dimensions]
    if normalize:
        array = array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)
    return array
