"""Which of several sentences say nearly the same as one: cosines of sentence vectors, many questions at once.

python examples/alike.py [FOLDER or owner/name of a sentence encoder]
"""

from __future__ import annotations

import sys
from pathlib import Path

from samovar import pipeline

ASKED = [
    {
        "source_sentence": "The film moved me to tears.",
        "sentences": ["I cried in the cinema.", "The tickets were cheap.", "A dull, cold film."],
    },
    {
        "source_sentence": "How do I reset my password?",
        "sentences": ["I forgot my login code.", "What does delivery cost?", "Where is my parcel?"],
    },
]


def main(name: str) -> None:
    """One line per question: the nearest sentence and its cosine."""
    alike = pipeline("sentence-similarity", model=name)
    for asked, scores in zip(ASKED, alike(ASKED), strict=True):
        best = max(range(len(scores)), key=scores.__getitem__)
        print(f"{scores[best]:.2f}  {asked['source_sentence']}  ~  {asked['sentences'][best]}")


if __name__ == "__main__":
    default = Path("~/.cache/samovar/assets/all-MiniLM-L6-v2").expanduser()
    main(sys.argv[1] if len(sys.argv) > 1 else str(default))
