"""What the demo learns from: rated snippets with a label, and the same as a data set to publish."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from fetch_assets import snippets

LABELS = {0: "negative", 1: "positive"}
UNDECIDED = 0.5  # Snippets whose mean rating (−4…4) is nearer to zero than this are neither: left out.
HELD_OUT = 2000
KINDS = {"movies": "film reviews", "products": "product reviews", "tweets": "tweets"}
EXAMPLES = (
    "A quiet, clever film that I could watch again tomorrow.",
    "Two hours of my life that nobody will give back to me.",
    "The acting is fine, but the story goes nowhere.",
    "Not bad at all!",
)
Rated = list[tuple[str, int]]  # text, label

CARD = """---
license: mit
language: [en]
pretty_name: Rated snippets
task_categories: [text-classification]
size_categories: [10K<n<100K]
configs:
{configs}
---
# Rated snippets

Sentences of film reviews, product reviews and tweets, each rated from −4 to 4 by several people and called `negative`
or `positive` by the mean; those nearer to zero than {undecided} are left out. Film reviews come in two splits.

C.J. Hutto & E. Gilbert, *VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text*,
ICWSM 2014.
"""


@contextmanager
def stage(label: str) -> Iterator[list[str]]:
    """Print a step's name, then its time and what it has to say."""
    print(f"  {label:<50}", end="", flush=True)
    began, notes = time.perf_counter(), list[str]()
    yield notes
    if sys.stdout.isatty():  # A progress bar may have taken the line.
        print(f"\r  {label:<50}", end="")
    print(f"{time.perf_counter() - began:6.1f} s   {'  '.join(notes)}", flush=True)


def rated(kind: str) -> Rated:
    """Snippets that their raters found positive or negative, with the label."""
    return [(text, int(rating > 0)) for rating, text in snippets(kind) if abs(rating) >= UNDECIDED]


def film_reviews(seed: int) -> tuple[Rated, Rated]:
    """Reviews to learn from, and reviews that are held out."""
    films = rated("movies")
    random.Random(seed).shuffle(films)
    return films[HELD_OUT:], films[:HELD_OUT]


def write_data(folder: Path, seed: int) -> None:
    """The snippets as a data set of three configurations: a card, and a Parquet file for each split."""
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(LABELS.values()))})
    lines = []
    for kind in KINDS:
        splits = dict(zip(("train", "test"), film_reviews(seed), strict=True)) if kind == "movies" else {}
        (folder / kind).mkdir()
        lines += [f"- config_name: {kind}", *(["  default: true"] if splits else []), "  data_files:"]
        for split, rows in (splits or {"test": rated(kind)}).items():
            columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
            Dataset.from_dict(columns, features).to_parquet(folder / kind / f"{split}.parquet")
            lines += [f"  - split: {split}", f"    path: {kind}/{split}.parquet"]
    (folder / "README.md").write_text(CARD.format(configs="\n".join(lines), undecided=UNDECIDED), "utf-8")
