"""A model as ONNX: exported, checked, run by pipelines and sentence embeddings through onnxruntime, and in int8.

python examples/export_onnx.py [FOLDER or owner/name]

Needs `pip install 'samovar[export]'`. The folder it writes is what any program with onnxruntime reads.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

import fetch_assets

from samovar import SentenceTransformer, export_model, pipeline

TEXTS = [
    "A samovar boils on the table.",
    "The kettle is hot.",
    "Shares fell sharply on Monday.",
    "Investors sold their stocks.",
]


def main(name: str) -> None:
    """Export twice, compare embeddings."""
    with tempfile.TemporaryDirectory() as folder:
        plain, rounded = Path(folder) / "float32", Path(folder) / "int8"
        print(export_model(name, "onnx", plain))
        print(export_model(name, "onnx", rounded, quantization="int8"))
        for one in (plain, rounded):
            print(f"{one.name}: {(one / 'model.onnx').stat().st_size / 1e6:.0f} MB")

        expected = SentenceTransformer(name).encode(TEXTS, normalize_embeddings=True)
        for one in (plain, rounded):
            found = SentenceTransformer(str(one)).encode(TEXTS, normalize_embeddings=True)
            print(f"{one.name}: smallest cosine with PyTorch's embeddings {(found * expected).sum(1).min():.4f}")

        alike = pipeline("sentence-similarity", model=str(rounded))
        scores = alike(source_sentence=TEXTS[0], sentences=TEXTS[1:])
        print("most like the first:", TEXTS[1 + int(np.argmax(scores))])


if __name__ == "__main__":
    default, _ = fetch_assets.fetch(fetch_assets.ENCODER, fetch_assets.assets_folder())
    main(sys.argv[1] if len(sys.argv) > 1 else str(default))
