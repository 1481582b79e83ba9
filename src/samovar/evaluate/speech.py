"""Transcripts against what was said; alignments by jiwer."""

from __future__ import annotations

from typing import Any

from samovar.evaluate.columns import TEXTS, MetricError
from samovar.evaluate.spec import metric
from samovar.extras import require

TRANSCRIPTS = {"predictions": TEXTS, "references": TEXTS}
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
def wer(predictions: list[str], references: list[str], *, concatenate_texts: bool = False) -> dict[str, Any]:
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
def cer(predictions: list[str], references: list[str], *, concatenate_texts: bool = False) -> dict[str, Any]:
    """Character error rate, over all rows together: for languages without spaces, and for spelling.

    >>> load("cer").compute(predictions=["самавар"], references=["самовар"])
    {'cer': 0.14285714285714285}
    """
    return {"cer": rate("process_characters", predictions, references, concatenate_texts)}


def rate(function: str, predictions: list[str], references: list[str], joined: bool) -> float:
    """Errors over units, chunk by chunk. Raises `MetricError` for a reference without any."""
    align = getattr(require("jiwer", "Error rates"), function)
    if joined:
        predictions, references = [" ".join(predictions)], [" ".join(references)]
    for row, reference in enumerate(references):
        if not reference.strip():
            raise MetricError(f"references[{row}] is empty: there is nothing to get right.", "Leave such rows out.")
    errors = units = 0
    for start in range(0, len(references), CHUNK):
        found = align(references[start : start + CHUNK], predictions[start : start + CHUNK])
        errors += found.substitutions + found.deletions + found.insertions
        units += found.hits + found.substitutions + found.deletions
    return errors / units
