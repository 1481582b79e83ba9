"""Import time, in fresh interpreters, taken in turns; the interpreter's own start is subtracted."""

from __future__ import annotations

from measure import Row, alternate, at_most

SNIPPETS = {
    "bare": "pass",
    "samovar": "import samovar, sys; assert 'torch' not in sys.modules",
    "torch": "import torch",
    "ours": "from samovar import pipeline, AutoModelForSequenceClassification",
    "ours with torch": "import torch; from samovar import pipeline, AutoModelForSequenceClassification, "
    "BertForSequenceClassification",
    "peer": "from transformers import pipeline, AutoModelForSequenceClassification",
}


def run() -> list[Row]:
    """The three import targets."""
    times = alternate(SNIPPETS, repeat=7)
    own = {name: value - times["bare"] for name, value in times.items()}
    return [
        at_most("import samovar (seconds)", f"{own['samovar']:.3f} s", "—", own["samovar"], 0.2),
        at_most(
            "import pipeline + Auto class ÷ import torch",
            f"{own['ours']:.3f} s",
            f"{own['torch']:.2f} s",
            own["ours"] / own["torch"],
            1.15,
        ),
        at_most(
            "the same with torch and an architecture ÷ import torch",
            f"{own['ours with torch']:.2f} s",
            f"{own['torch']:.2f} s",
            own["ours with torch"] / own["torch"],
            1.15,
        ),
        Row(
            "reference's import ÷ ours",
            f"{own['ours']:.3f} s",
            f"{own['peer']:.2f} s",
            own["peer"] / own["ours"],
            "",
            None,
        ),
    ]
