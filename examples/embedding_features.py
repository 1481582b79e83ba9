"""Embeddings as features for a classical model: the third way of fine-tuning, in seconds and without a gradient.

python examples/embedding_features.py [FOLDER or owner/name]

Film-review snippets → `SentenceTransformer.encode` → scikit-learn's logistic regression; accuracy on held-out snippets
beside the majority's, as a pandas table of features would be used anywhere.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

import fetch_assets

from samovar import SentenceTransformer, evaluate


def main(name: str) -> None:
    """Encode, fit, measure."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows = [(rating > 0, text) for rating, text in fetch_assets.snippets("movies")]
    random.Random(0).shuffle(rows)
    labels, texts = (list(column) for column in zip(*rows[:4000], strict=True))
    model = SentenceTransformer(name)
    features = pd.DataFrame(model.encode(texts), index=pd.Index(texts, name="text"))
    print(f"features: {features.shape[0]} texts × {features.shape[1]} numbers")

    train, test = slice(0, 3000), slice(3000, None)
    classifier = LogisticRegression(C=10, max_iter=2000).fit(features[train], labels[train])
    metric = evaluate.combine(["accuracy", "f1", "matthews_correlation"])
    results = metric.compute(predictions=classifier.predict(features[test]), references=labels[test])
    majority = max(np.mean(labels[test]), 1 - np.mean(labels[test]))
    print(f"accuracy: {results['accuracy']:.3f} (the majority's: {majority:.3f})")
    print(results.to_json())


if __name__ == "__main__":
    default = Path("~/.cache/samovar/assets/all-MiniLM-L6-v2").expanduser()
    main(sys.argv[1] if len(sys.argv) > 1 else str(default))
