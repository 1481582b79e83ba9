"""Sentence embeddings by hand: tokens' states averaged over real tokens, compared by cosine similarity.

python examples/embeddings_by_hand.py [FOLDER or owner/name]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from samovar import AutoModel, AutoTokenizer

SENTENCES = ["A man is eating a meal.", "Someone is having lunch.", "The stock market fell today."]


def main(name: str) -> None:
    """Print the matrix of similarities."""
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
    batch = tokenizer(SENTENCES, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch)[0]
    mask = batch["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    for sentence, row in zip(SENTENCES, vectors @ vectors.T, strict=True):
        print("  ".join(f"{value:5.2f}" for value in row), " ", sentence)


if __name__ == "__main__":
    default = Path("~/.cache/samovar/assets/all-MiniLM-L6-v2").expanduser()
    main(sys.argv[1] if len(sys.argv) > 1 else str(default))
