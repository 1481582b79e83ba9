"""Translations against one or several references each; over all rows together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samovar.evaluate.columns import (
    TEXT_LISTS,
    TEXTS,
    MetricError,
    checked_tokenizer,
    is_number,
    shown,
    whole_number,
)
from samovar.evaluate.spec import metric
from samovar.extras import require

TRANSLATIONS = {"predictions": TEXTS, "references": TEXT_LISTS}


def streams(references: list[list[str]]) -> list[list[str | None]]:
    """Rows of references → one list per number of reference, None where a row has fewer."""
    most = max(len(row) for row in references)
    return [[row[number] if number < len(row) else None for row in references] for number in range(most)]


def corpus(name: str, kind: str, predictions: list[str], references: list[list[str]], **options: Any) -> Any:
    """The score of all rows; what the library refuses as `MetricError`."""
    library = require("sacrebleu.metrics", f"The metric {name}")
    try:
        return getattr(library, kind)(**options).corpus_score(predictions, streams(references))
    except (ValueError, TypeError, RuntimeError, ImportError, AssertionError) as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise MetricError(f"{name}: {cause}", "Change the options or the inputs.") from error


def joined(tokens: list[str]) -> str:
    """Tokens as one text that splits into the same tokens again, also where they hold or are white space."""
    return " ".join(re.sub(r"\s", "\u2581", token) or "\u2581" for token in tokens)


@metric(
    columns=TRANSLATIONS,
    kind="translation",
    range="0 … 1",
    formula="brevity penalty · exp(mean of log n-gram precision, n = 1 … max_order)",
    source="Papineni et al., BLEU, ACL 2002",
    library="sacrebleu (tokenisation 13a)",
)
def bleu(
    predictions: list[str],
    references: list[list[str]],
    *,
    tokenizer: Callable[[str], Sequence[str]] | None = None,
    max_order: int = 4,
    smooth: bool = False,
) -> dict[str, Any]:
    """How many n-grams of the predictions stand in the references; the reference of nearest length counts.

    `tokenizer` is a function from a text to its tokens; `smooth` adds one to the counts of n-grams above n = 1 (Lin
    and Och, COLING 2004). Without smoothing the value is 0 as soon as one order has no match.

    >>> result = load("bleu").compute(predictions=["hello there general kenobi"],
    ...                               references=[["hello there general kenobi", "hello there !"]])
    >>> round(result["bleu"], 4), result["precisions"]
    (1.0, [1.0, 1.0, 1.0, 1.0])
    """
    whole_number("max_order", max_order, 1)
    if tokenizer is not None:
        split = checked_tokenizer(tokenizer)
        predictions = [joined(split(text)) for text in predictions]
        references = [[joined(split(text)) for text in row] for row in references]
    found = corpus(
        "bleu",
        "BLEU",
        predictions,
        references,
        tokenize="13a" if tokenizer is None else "none",
        smooth_method="add-k" if smooth else "none",
        smooth_value=1 if smooth else None,
        max_ngram_order=max_order,
        force=True,
    )
    return {
        "bleu": found.score / 100,
        "precisions": [value / 100 for value in found.precisions],
        "brevity_penalty": found.bp,
        "length_ratio": found.sys_len / found.ref_len if found.ref_len else 0.0,
        "translation_length": found.sys_len,
        "reference_length": found.ref_len,
    }


@metric(
    columns=TRANSLATIONS,
    kind="translation",
    range="0 … 100",
    formula="100 · BLEU, with a stated tokenisation",
    source="Post, A call for clarity in reporting BLEU scores, WMT 2018",
    library="sacrebleu",
)
def sacrebleu(
    predictions: list[str],
    references: list[list[str]],
    *,
    smooth_method: str = "exp",
    smooth_value: float | None = None,
    force: bool = False,
    lowercase: bool = False,
    tokenize: str | None = None,
    use_effective_order: bool = False,
) -> dict[str, Any]:
    """BLEU that can be compared between papers: the library tokenises (13a, or `zh`, `ja-mecab`, `char`, …).

    Tokenisations by SentencePiece (`flores200`, …) need the library's model file beforehand: nothing is fetched.

    >>> result = load("sacrebleu").compute(predictions=["hello there general kenobi", "on our way to ankh morpork"],
    ...     references=[["hello there general kenobi", "hello there !"], ["goodbye ankh morpork", "ankh morpork"]])
    >>> round(result["score"], 4), result["counts"]
    (39.7635, [6, 4, 2, 1])
    """
    check_tokenizer(tokenize)
    if smooth_value is not None and not is_number(smooth_value):
        raise MetricError(f"smooth_value={shown(smooth_value)}.", "Give a number.")
    found = corpus(
        "sacrebleu",
        "BLEU",
        predictions,
        references,
        lowercase=lowercase,
        force=force,
        tokenize=tokenize,
        smooth_method=smooth_method,
        smooth_value=smooth_value,
        effective_order=use_effective_order,
    )
    return {
        "score": found.score,
        "counts": found.counts,
        "totals": found.totals,
        "precisions": found.precisions,
        "bp": found.bp,
        "sys_len": found.sys_len,
        "ref_len": found.ref_len,
    }


def check_tokenizer(name: str | None) -> None:
    """Raise `MetricError` for a tokenisation that the library does not have, or whose model it would fetch."""
    known = sorted(require("sacrebleu.metrics", "The metric sacrebleu").BLEU.TOKENIZERS)
    if name is None:
        return
    if name not in known:
        raise MetricError(f"There is no tokenisation {shown(name)}.", f"There are: {', '.join(known)}.")
    models = require("sacrebleu.tokenizers.tokenizer_spm", "The metric sacrebleu")
    if name in models.SPM_MODELS:
        path = Path(models.SACREBLEU_DIR, "models", Path(models.SPM_MODELS[name]["url"]).name)
        if not path.is_file():
            raise MetricError(
                f"The tokenisation {name} needs the file {path}, which is not there.",
                "Choose another tokenisation, or fetch it where there is a network:"
                f" sacrebleu REFERENCES -i TRANSLATIONS --tokenize {name}.",
            )


@metric(
    columns=TRANSLATIONS,
    kind="translation",
    range="0 … 100",
    formula="F_β of character n-grams; of words too where word_order > 0 (chrF++: 2)",
    source="Popović, chrF, WMT 2015; chrF++, WMT 2017",
    library="sacrebleu",
)
def chrf(
    predictions: list[str],
    references: list[list[str]],
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: float = 2,
    lowercase: bool = False,
    whitespace: bool = False,
    eps_smoothing: bool = False,
) -> dict[str, Any]:
    """Shared pieces of words: kinder than BLEU to languages with many word forms.

    >>> round(load("chrf").compute(predictions=["Чай готов."], references=[["Чай уже готов."]])["score"], 2)
    46.33
    """
    if whole_number("char_order", char_order, 0) + whole_number("word_order", word_order, 0) == 0:
        raise MetricError("char_order and word_order are both 0: there is nothing to compare.", "Give one of them.")
    if not is_number(beta) or not beta >= 0:
        raise MetricError(f"beta={shown(beta)}.", "Give a number ≥ 0: how many times recall counts precision's weight.")
    found = corpus(
        "chrf",
        "CHRF",
        predictions,
        references,
        char_order=char_order,
        word_order=word_order,
        beta=beta,
        lowercase=lowercase,
        whitespace=whitespace,
        eps_smoothing=eps_smoothing,
    )
    return {"score": found.score, "char_order": char_order, "word_order": word_order, "beta": beta}


@metric(
    columns=TRANSLATIONS,
    kind="translation",
    range="0 … ∞; 100 is an edit a word",
    better="lower",
    formula="100 · edits (insert, delete, replace, shift) / mean length of the references",
    source="Snover et al., A study of translation edit rate, AMTA 2006",
    library="sacrebleu",
)
def ter(
    predictions: list[str],
    references: list[list[str]],
    *,
    normalized: bool = False,
    ignore_punct: bool = False,
    support_zh_ja_chars: bool = False,
    case_sensitive: bool = False,
) -> dict[str, Any]:
    """How many edits turn the prediction into a reference.

    >>> load("ter").compute(predictions=["does this sentence match"], references=[["does this sentence match??"]])
    {'score': 25.0, 'num_edits': 1, 'ref_length': 4.0}
    """
    found = corpus(
        "ter",
        "TER",
        predictions,
        references,
        normalized=normalized,
        no_punct=ignore_punct,
        asian_support=support_zh_ja_chars,
        case_sensitive=case_sensitive,
    )
    return {"score": found.score, "num_edits": found.num_edits, "ref_length": found.ref_length}


@metric(
    columns=TRANSLATIONS,
    kind="translation",
    range="0 … 1",
    formula="min(precision, recall) of all n-grams, n = min_len … max_len",
    source="Wu et al., Google's neural machine translation system, 2016 (arXiv:1609.08144)",
    library="nltk `corpus_gleu` (tokenisation 13a)",
)
def google_bleu(
    predictions: list[str],
    references: list[list[str]],
    *,
    tokenizer: Callable[[str], Sequence[str]] | None = None,
    min_len: int = 1,
    max_len: int = 4,
) -> dict[str, Any]:
    """BLEU made for single sentences; alike in both directions.

    >>> load("google_bleu").compute(predictions=["the cat sat"], references=[["the cat sat down"]])
    {'google_bleu': 0.6}
    """
    if whole_number("max_len", max_len, 1) < whole_number("min_len", min_len, 1):
        raise MetricError(f"min_len={min_len} is above max_len={max_len}.", "Exchange them.")
    split = tokenizer_13a() if tokenizer is None else checked_tokenizer(tokenizer)
    scorer = require("nltk.translate.gleu_score", "google_bleu")
    rows = [[split(text) for text in row] for row in references]
    hypotheses = [split(text) for text in predictions]
    return {"google_bleu": float(scorer.corpus_gleu(rows, hypotheses, min_len, max_len))}


def tokenizer_13a() -> Callable[[str], list[str]]:
    """The tokenisation of the NIST script mteval-v13a."""
    tokenizer = require("sacrebleu.tokenizers.tokenizer_13a", "Tokenisation").Tokenizer13a()
    return lambda text: tokenizer(text).split()
