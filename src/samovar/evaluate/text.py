"""Texts against texts: equal, overlapping, aligned."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samovar.evaluate.columns import TEXT_LISTS, TEXTS, MetricError, checked_tokenizer, is_number, shown
from samovar.evaluate.spec import metric
from samovar.extras import require

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
NO_DIGITS = str.maketrans("", "", string.digits)


@metric(
    columns={"predictions": TEXTS, "references": TEXTS},
    kind="text",
    range="0 … 1",
    formula="equal texts / all",
    source="Rajpurkar et al., SQuAD, EMNLP 2016",
    library="this package",
)
def exact_match(
    predictions: list[str],
    references: list[str],
    *,
    regexes_to_ignore: Sequence[str] | str | None = None,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
) -> dict[str, Any]:
    """The share of texts that equal their reference, after what shall be ignored is taken out of both.

    Where nothing is left of either, they count as equal only if they were equal before.

    >>> load("exact_match").compute(predictions=["The cat", "a dog!"], references=["the cat", "a dog"],
    ...                             ignore_case=True, ignore_punctuation=True)
    {'exact_match': 1.0}
    """

    expressions = [regexes_to_ignore] if isinstance(regexes_to_ignore, str) else list(regexes_to_ignore or ())

    def cleaned(text: str) -> str:
        for expression in expressions:
            text = re.sub(expression, "", text)
        text = text.lower() if ignore_case else text
        text = text.translate(NO_PUNCTUATION) if ignore_punctuation else text
        return text.translate(NO_DIGITS) if ignore_numbers else text

    def match(a: str, b: str) -> bool:
        left, other = cleaned(a), cleaned(b)
        return left == other and bool(left or a == b)

    try:
        equal = [match(a, b) for a, b in zip(predictions, references, strict=True)]
    except re.error as error:
        raise MetricError(f"{error.pattern!r} is no regular expression: {error}.", "Correct it.") from error
    except TypeError as error:
        raise MetricError(f"regexes_to_ignore={shown(expressions)} are no texts.", "Give strings.") from error
    return {"exact_match": float(np.mean(equal))}


@metric(
    columns={"predictions": TEXTS, "references": TEXT_LISTS},
    kind="text",
    range="0 … 1",
    formula="F1 of shared n-grams (rouge1, rouge2), or of the longest common subsequence (rougeL, rougeLsum)",
    source="Lin, ROUGE, ACL workshop Text summarization branches out, 2004",
    library="rouge-score",
)
def rouge(
    predictions: list[str],
    references: list[list[str]],
    *,
    rouge_types: Sequence[str] | str | None = None,
    use_aggregator: bool = True,
    use_stemmer: bool = False,
    tokenizer: Callable[[str], list[str]] | None = None,
) -> dict[str, Any]:
    """How much of a summary stands in its reference, and of the reference in it.

    Of several references the best counts. rougeLsum takes each line for a sentence. Values are plain means over rows,
    the same in every run: rouge-score's own aggregator draws rows at random and gives the median, which differs a
    little from run to run. `use_aggregator=False` gives a value a row. The library's own tokenizer, to which
    `use_stemmer` belongs, keeps Latin letters and digits only: pass `tokenizer` (a function from a text to its tokens)
    for other scripts, whose value is 0 without.

    >>> result = load("rouge").compute(predictions=["hello there"], references=[["hello there kenobi"]])
    >>> {name: round(value, 2) for name, value in result.items()}
    {'rouge1': 0.8, 'rouge2': 0.67, 'rougeL': 0.8, 'rougeLsum': 0.8}
    """
    types = list(rouge_types or ("rouge1", "rouge2", "rougeL", "rougeLsum"))
    types = [rouge_types] if isinstance(rouge_types, str) else types
    library = require("rouge_score.rouge_scorer", "The metric rouge")
    splitter = None if tokenizer is None else Splitter(checked_tokenizer(tokenizer))
    try:
        scorer = library.RougeScorer(types, use_stemmer=use_stemmer, tokenizer=splitter)
        rows = [scorer.score_multi(wanted, text) for text, wanted in zip(predictions, references, strict=True)]
    except (ValueError, TypeError) as error:
        raise MetricError(f"rouge: {error}.", "Types: rouge1 … rouge9, rougeL, rougeLsum.") from error
    values = {name: [float(row[name].fmeasure) for row in rows] for name in types}
    return {name: float(np.mean(row)) for name, row in values.items()} if use_aggregator else values


class Splitter:
    """A function as the library wants its tokenizers."""

    def __init__(self, function: Callable[[str], list[str]]) -> None:
        self.function = function

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text."""
        return self.function(text)


@metric(
    columns={"predictions": TEXTS, "references": TEXT_LISTS},
    kind="text",
    range="0 … 1",
    formula="P · R / (α P + (1 - α) R) · (1 - γ · (chunks / matches)^β) over words, stems and synonyms",
    source="Banerjee and Lavie, METEOR, ACL workshop 2005",
    library="nltk `meteor_score` with WordNet",
)
def meteor(
    predictions: list[str],
    references: list[list[str]],
    *,
    alpha: float = 0.9,
    beta: float = 3,
    gamma: float = 0.5,
) -> dict[str, Any]:
    """Words that are equal, of one stem or synonyms, and how well they keep their order. English.

    Words are those of nltk's Treebank tokenizer. Synonyms come from WordNet, which nltk finds among its data; nothing
    is fetched. Of several references the best counts; the value is the mean over rows.

    >>> result = load("meteor").compute(predictions=["the physician arrived"], references=["the doctor arrived"])
    >>> round(result["meteor"], 4)
    0.9815
    """
    for name, value, most in (("alpha", alpha, 1.0), ("beta", beta, float("inf")), ("gamma", gamma, 1.0)):
        if not is_number(value) or not 0 <= value <= most:
            raise MetricError(
                f"{name}={shown(value)}.", f"Give a number {f'from 0 to {most:g}' if most == 1 else '≥ 0'}."
            )
    scores = require("nltk.translate.meteor_score", "The metric meteor")
    words = require("nltk.tokenize", "The metric meteor").TreebankWordTokenizer().tokenize
    try:
        values = [
            scores.meteor_score([words(other) for other in wanted], words(text), alpha=alpha, beta=beta, gamma=gamma)
            for text, wanted in zip(predictions, references, strict=True)
        ]
    except LookupError as error:
        refused = "Refused" in str(error)
        raise MetricError(
            f"nltk {'refuses its' if refused else 'has no'} WordNet, from which meteor takes synonyms.",
            "Make its files writable by their owner alone (chmod -R go-w)."
            if refused
            else "Where there is a network: python -m nltk.downloader wordnet; else put the folder corpora/wordnet"
            " into one that the variable NLTK_DATA names.",
        ) from error
    return {"meteor": float(np.mean(values))}
