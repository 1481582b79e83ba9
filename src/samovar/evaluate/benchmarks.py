"""Metrics that benchmarks agreed on: question answering, entities, GLUE, SuperGLUE, XNLI."""

from __future__ import annotations

import re
import string
import warnings
from collections import Counter
from typing import Any

import numpy as np

from samovar.evaluate.classification import MetricWarning, accuracy, f1, matthews_correlation
from samovar.evaluate.columns import LABELS, NUMBERS, TAGS, MetricError, records, refuse
from samovar.evaluate.regression import pearsonr, spearmanr
from samovar.evaluate.spec import Columns, metric
from samovar.extras import require

CLASSES = {"predictions": LABELS, "references": LABELS}
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


# Question answering -----------------------------------------------------------------------------------------------


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces: how the benchmark compares answers."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def word_f1(prediction: str, answer: str) -> float:
    """F1 of shared words; two empty answers are equal."""
    found, wanted = normalised(prediction).split(), normalised(answer).split()
    if not found or not wanted:
        return float(found == wanted)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted))


def by_id(predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> list[tuple[Any, list[str]]]:
    """Each question's prediction and answers. Raises `MetricError` for ids that are missing or there twice."""
    found = {row["id"]: row for row in predictions}
    if len(found) < len(predictions):
        raise MetricError("Some ids are predicted twice.", "Give one prediction a question.")
    pairs = []
    for row, question in enumerate(references):
        if question["id"] not in found:
            raise refuse("references", row, question["id"], "an id without a prediction", "Predict every question.")
        answers = question["answers"]
        texts = answers["text"] if isinstance(answers, dict) else [one["text"] for one in answers]
        pairs.append((found[question["id"]], [texts] if isinstance(texts, str) else list(texts)))
    return pairs


ANSWERS = records('{"id", "answers": {"text": […], …}}', "id", "answers")


@metric(
    columns={"predictions": records('{"id", "prediction_text"}', "id", "prediction_text"), "references": ANSWERS},
    kind="question-answering",
    range="0 … 100",
    formula="exact_match: equal answers; f1: shared words; the best of each question's answers; mean · 100",
    source="Rajpurkar et al., SQuAD, EMNLP 2016",
    library="this package, by the benchmark's definition",
)
def squad(predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, Any]:
    """Spans of text as answers: case, punctuation and English articles do not count.

    >>> predictions = [{"id": "1", "prediction_text": "the Eiffel tower"}]
    >>> references = [{"id": "1", "answers": {"text": ["Eiffel Tower", "tower"], "answer_start": [4, 11]}}]
    >>> load("squad").compute(predictions=predictions, references=references)
    {'exact_match': 100.0, 'f1': 100.0}
    """
    pairs = by_id(predictions, references)
    for prediction, answers in pairs:
        if not answers:
            raise MetricError(f"Question {prediction['id']!r} has no answer.", "Use squad_v2, which knows such.")
    exact = [any(normalised(p["prediction_text"]) == normalised(a) for a in answers) for p, answers in pairs]
    shared = [max(word_f1(p["prediction_text"], a) for a in answers) for p, answers in pairs]
    return {"exact_match": 100 * float(np.mean(exact)), "f1": 100 * float(np.mean(shared))}


@metric(
    columns={
        "predictions": records(
            '{"id", "prediction_text", "no_answer_probability"}', "id", "prediction_text", "no_answer_probability"
        ),
        "references": ANSWERS,
    },
    kind="question-answering",
    range="0 … 100",
    formula="as squad; a question without answer is right when the prediction is empty",
    source="Rajpurkar et al., Know what you don't know, ACL 2018",
    library="this package, by the benchmark's definition",
)
def squad_v2(
    predictions: list[dict[str, Any]], references: list[dict[str, Any]], *, no_answer_threshold: float = 1.0
) -> dict[str, Any]:
    """As squad, where some questions have no answer: one whose `no_answer_probability` is above the threshold counts
    as empty. The values named best are those at the best threshold.

    >>> predictions = [{"id": "1", "prediction_text": "", "no_answer_probability": 0.9}]
    >>> result = load("squad_v2").compute(predictions=predictions, references=[{"id": "1", "answers": {"text": []}}])
    >>> result["exact"], result["NoAns_f1"]
    (100.0, 100.0)
    """
    pairs = by_id(predictions, references)
    answered = np.array([any(normalised(a) for a in answers) for _, answers in pairs])
    silent = np.array([float(p["no_answer_probability"]) for p, _ in pairs])
    # Answers that are nothing but articles or punctuation count as none.
    wanted = [[a for a in answers if normalised(a)] or [""] for _, answers in pairs]
    texts = [str(p["prediction_text"]) for p, _ in pairs]
    both_of = list(zip(texts, wanted, strict=True))
    raw = {
        "exact": np.array([max(float(normalised(t) == a) for a in map(normalised, w)) for t, w in both_of]),
        "f1": np.array([max(word_f1(t, a) for a in w) for t, w in both_of]),
    }
    results: dict[str, Any] = {}
    scores = {name: np.where(silent > no_answer_threshold, ~answered, values) for name, values in raw.items()}
    groups = [("", np.ones(len(pairs), dtype=bool)), ("HasAns_", answered), ("NoAns_", ~answered)]
    for prefix, chosen in groups:
        if chosen.any():
            results |= {f"{prefix}{name}": 100 * float(values[chosen].mean()) for name, values in scores.items()}
            results[f"{prefix}total"] = int(chosen.sum())
    for name, values in raw.items():
        best, threshold = best_threshold(values, silent, answered, np.array([bool(text) for text in texts]))
        results |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
    return results


def best_threshold(
    scores: np.ndarray, silent: np.ndarray, answered: np.ndarray, spoken: np.ndarray
) -> tuple[float, float]:
    """The best mean score when questions are answered in the order of rising silence, and where to stop."""
    order = np.argsort(silent, kind="stable")
    # Answering adds a right answer's score; to a question without answer it takes away the point for silence.
    gains = np.where(answered, scores, np.where(spoken, -1.0, 0.0))[order]
    totals = np.concatenate([[0.0], np.cumsum(gains)]) + int((~answered).sum())
    place = int(totals.argmax())
    return 100 * float(totals[place]) / len(scores), float(silent[order[place - 1]]) if place else 0.0


# Entities ---------------------------------------------------------------------------------------------------------


@metric(
    columns={"predictions": TAGS, "references": TAGS},
    kind="token-classification",
    range="0 … 1",
    formula="precision, recall and F1 of whole entities; accuracy of tags",
    source="Tjong Kim Sang and De Meulder, CoNLL-2003",
    library="seqeval",
)
def seqeval(
    predictions: list[list[str]],
    references: list[list[str]],
    *,
    suffix: bool = False,
    scheme: str | None = None,
    mode: str | None = None,
    sample_weight: list[int] | None = None,
    zero_division: str | int = "warn",
) -> dict[str, Any]:
    """Entities from tags such as `B-PER`, `I-PER`, `O`: right only with both ends and the type.

    One dictionary for each type (`precision`, `recall`, `f1`, `number`), and `overall_…` values. `scheme` is IOB1,
    IOB2, IOE1, IOE2, IOBES or BILOU; with `mode="strict"` tags must follow it.

    >>> result = load("seqeval").compute(predictions=[["B-PER", "O", "B-LOC"]], references=[["B-PER", "O", "O"]])
    >>> result["PER"]["number"], result["overall_precision"], result["overall_recall"]
    (1, 0.5, 1.0)
    """
    for row, (found, wanted) in enumerate(zip(predictions, references, strict=True)):
        if len(found) != len(wanted):
            raise MetricError(f"Row {row} has {len(found)} predicted tags and {len(wanted)} true ones.", "One a token.")
    library = require("seqeval.metrics", "The metric seqeval")
    kind = None
    if scheme is not None:
        kind = getattr(require("seqeval.scheme", "The metric seqeval"), str(scheme), None)
        if kind is None:
            raise MetricError(f"There is no scheme {scheme!r}.", "IOB1, IOB2, IOE1, IOE2, IOBES or BILOU.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = library.classification_report(
            y_true=references, y_pred=predictions, suffix=suffix, output_dict=True, scheme=kind, mode=mode,
            sample_weight=sample_weight, zero_division=zero_division,
        )  # fmt: skip
        right = library.accuracy_score(y_true=references, y_pred=predictions)
    undefined = [str(one.message).splitlines()[0] for one in caught if "UndefinedMetric" in one.category.__name__]
    if undefined:
        warnings.warn(f"seqeval divides by zero: {undefined[0]}", MetricWarning, 3)
    overall = report.pop("micro avg")
    types = {name: row for name, row in report.items() if name not in ("macro avg", "weighted avg")}
    results: dict[str, Any] = {
        name: {
            "precision": float(row["precision"]),
            "recall": float(row["recall"]),
            "f1": float(row["f1-score"]),
            "number": int(row["support"]),
        }
        for name, row in types.items()
    }
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        results[f"overall_{name}"] = float(overall[key])
    return results | {"overall_accuracy": float(right)}


# GLUE, SuperGLUE, XNLI --------------------------------------------------------------------------------------------

GLUE = ("sst2", "mnli", "mnli_mismatched", "mnli_matched", "cola", "stsb", "mrpc", "qqp", "qnli", "rte", "wnli", "hans")
SUPER_GLUE = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "wsc.fixed", "axb", "axg")


def both(predictions: Any, references: Any, average: str = "binary") -> dict[str, Any]:
    """Accuracy and F1."""
    return accuracy(predictions, references) | f1(predictions, references, average=average)


@metric(
    columns=lambda config: {"predictions": NUMBERS, "references": NUMBERS} if config == "stsb" else CLASSES,
    kind="benchmark",
    range="0 … 1; cola and stsb -1 … 1",
    formula="accuracy; cola: Matthews correlation; mrpc and qqp: accuracy and F1; stsb: Pearson and Spearman",
    source="Wang et al., GLUE, ICLR 2019",
    library="scikit-learn and scipy, through the metrics of those names",
    configs=GLUE,
)
def glue(predictions: Any, references: Any, *, config_name: str) -> dict[str, Any]:
    """What each data set of GLUE is measured by.

    >>> load("glue", "mrpc").compute(predictions=[0, 1, 1], references=[0, 1, 0])
    {'accuracy': 0.6666666666666666, 'f1': 0.6666666666666666}
    """
    if config_name == "cola":
        return matthews_correlation(predictions, references)
    if config_name == "stsb":
        straight, ranks = pearsonr(predictions, references), spearmanr(predictions, references)
        return {"pearson": straight["pearsonr"], "spearmanr": ranks["spearmanr"]}
    return both(predictions, references) if config_name in ("mrpc", "qqp") else accuracy(predictions, references)


def super_glue_columns(config: str | None) -> Columns:
    """Most take classes; two take records."""
    if config == "record":
        idx = '{"idx": {"passage", "query"}, '
        return {
            "predictions": records(idx + '"prediction_text"}', "idx", "prediction_text"),
            "references": records(idx + '"answers": […]}', "idx", "answers"),
        }
    if config == "multirc":
        answers = records('{"idx": {"paragraph", "question", "answer"}, "prediction"}', "idx", "prediction")
        return {"predictions": answers, "references": LABELS}
    return CLASSES


@metric(
    columns=super_glue_columns,
    kind="benchmark",
    range="0 … 1; axb -1 … 1; record 0 … 100",
    formula="accuracy; cb: and macro F1; axb: Matthews; multirc: F1 by question and by answer; record: as squad",
    source="Wang et al., SuperGLUE, NeurIPS 2019",
    library="scikit-learn, through the metrics of those names",
    configs=SUPER_GLUE,
)
def super_glue(predictions: Any, references: Any, *, config_name: str) -> dict[str, Any]:
    """What each data set of SuperGLUE is measured by.

    >>> load("super_glue", "cb").compute(predictions=[0, 1, 2], references=[0, 1, 2])
    {'accuracy': 1.0, 'f1': 1.0}
    """
    if config_name == "record":
        texts = [p["prediction_text"] for p in predictions]
        answers = [row["answers"] for row in references]
        exact = [max(normalised(t) == normalised(a) for a in row) for t, row in zip(texts, answers, strict=True)]
        shared = [max(word_f1(t, a) for a in row) for t, row in zip(texts, answers, strict=True)]
        return {"exact_match": 100 * float(np.mean(exact)), "f1": 100 * float(np.mean(shared))}
    if config_name == "multirc":
        return multirc(predictions, references)
    if config_name == "cb":
        return both(predictions, references, "macro")
    return matthews_correlation(predictions, references) if config_name == "axb" else accuracy(predictions, references)


def multirc(predictions: list[dict[str, Any]], references: Any) -> dict[str, Any]:
    """Questions with several right answers: all of them right; F1 by question; F1 over all answers."""
    found = np.array([int(row["prediction"]) for row in predictions])
    wanted = np.asarray(references)
    questions: dict[tuple[Any, Any], list[int]] = {}
    for place, row in enumerate(predictions):
        questions.setdefault((row["idx"]["paragraph"], row["idx"]["question"]), []).append(place)
    groups = list(questions.values())
    exact = [bool((found[rows] == wanted[rows]).all()) for rows in groups]
    shared = [f1(found[rows], wanted[rows], average="macro")["f1"] for rows in groups]
    return {
        "exact_match": float(np.mean(exact)),
        "f1_m": float(np.mean(shared)),
        "f1_a": float(f1(found, wanted)["f1"]),
    }


@metric(
    columns=CLASSES,
    kind="benchmark",
    range="0 … 1",
    formula="right predictions / all",
    source="Conneau et al., XNLI, EMNLP 2018",
    library="scikit-learn, through `accuracy`",
)
def xnli(predictions: Any, references: Any) -> dict[str, Any]:
    """Natural language inference in fifteen languages.

    >>> load("xnli").compute(predictions=[0, 1], references=[0, 1])
    {'accuracy': 1.0}
    """
    return accuracy(predictions, references)
