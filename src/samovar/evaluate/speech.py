"""Transcripts against what was said; alignments by jiwer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from samovar.evaluate.columns import TEXTS, MetricError
from samovar.evaluate.spec import metric
from samovar.extras import require

TRANSCRIPTS = {name: replace(TEXTS, streamed=True) for name in ("predictions", "references")}
# Rows that are aligned at once: alignments are larger than the texts.
CHUNK = 1000


@metric(
    columns=TRANSCRIPTS,
    kind="speech",
    range="0 … ∞; above 1 where words are added",
    better="lower",
    formula="(substituted + deleted + inserted words) / words of the references",
    source="Morris, Maier and Green, From WER and RIL to MER and WIL, Interspeech 2004",
    library="jiwer",
)
def wer(predictions: Iterable[str], references: Iterable[str], *, concatenate_texts: bool = False) -> dict[str, Any]:
    """Word error rate, over all rows together.

    >>> load("wer").compute(predictions=["a cup of tea", "hot"], references=["a cup of the tea", "hot"])
    {'wer': 0.16666666666666666}
    """
    return {"wer": rate("process_words", predictions, references, concatenate_texts)}


@metric(
    columns=TRANSCRIPTS,
    kind="speech",
    range="0 … ∞; above 1 where characters are added",
    better="lower",
    formula="(substituted + deleted + inserted characters) / characters of the references",
    source="Morris, Maier and Green, From WER and RIL to MER and WIL, Interspeech 2004",
    library="jiwer",
)
def cer(predictions: Iterable[str], references: Iterable[str], *, concatenate_texts: bool = False) -> dict[str, Any]:
    """Character error rate, over all rows together: for languages without spaces, and for spelling.

    >>> load("cer").compute(predictions=["самавар"], references=["самовар"])
    {'cer': 0.14285714285714285}
    """
    return {"cer": rate("process_characters", predictions, references, concatenate_texts)}


def rate(function: str, predictions: Iterable[str], references: Iterable[str], joined: bool) -> float:
    """Errors over units, chunk by chunk. Raises `MetricError` for a reference without any."""
    align = getattr(require("jiwer", "Error rates"), function)
    if joined:
        predictions, references = [" ".join(predictions)], [" ".join(references)]
    rows = zip(predictions, references, strict=True)
    errors = units = first = 0
    while chunk := list(islice(rows, CHUNK)):
        for row, (_, reference) in enumerate(chunk, first):
            if not reference.strip():
                raise MetricError(f"references[{row}] is empty: there is nothing to get right.", "Leave such rows out.")
        first += len(chunk)
        found = align([reference for _, reference in chunk], [prediction for prediction, _ in chunk])
        errors += found.substitutions + found.deletions + found.insertions
        units += found.hits + found.substitutions + found.deletions
    return errors / units
