"""Metrics that benchmarks agreed on: entities, GLUE, SuperGLUE, XNLI."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from samovar.evaluate.classification import MetricWarning, accuracy, f1, matthews_correlation
from samovar.evaluate.columns import LABELS, NUMBERS, TAGS, MetricError, refuse
from samovar.evaluate.questions import BIT, TEXT, TEXTS, best_matches, checked, numbers_under
from samovar.evaluate.regression import pearsonr, spearmanr
from samovar.evaluate.spec import Columns, metric
from samovar.extras import require

CLASSES = {"predictions": LABELS, "references": LABELS}


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
    IOB2, IOE1, IOE2, IOBES or BILOU; it counts with `mode="strict"` alone, where entities must follow it.

    >>> result = load("seqeval").compute(predictions=[["B-PER", "O", "B-LOC"]], references=[["B-PER", "O", "O"]])
    >>> result["PER"]["number"], result["overall_precision"], result["overall_recall"]
    (1, 0.5, 1.0)
    """
    for row, (found, wanted) in enumerate(zip(predictions, references, strict=True)):
        if len(found) != len(wanted):
            raise MetricError(f"Row {row} has {len(found)} predicted tags and {len(wanted)} true ones.", "One a token.")
        if "" in found or "" in wanted:
            raise MetricError(f"Row {row} has an empty tag.", "Write O where there is no entity.")
    if not any(references):
        raise MetricError("There is no tag in any row.", "Leave empty rows out, and give at least one other.")
    kind = scheme_of(scheme, mode, zero_division)
    library = require("seqeval.metrics", "The metric seqeval")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            report = library.classification_report(
                y_true=references, y_pred=predictions, suffix=suffix, output_dict=True, scheme=kind, mode=mode,
                sample_weight=sample_weight, zero_division=zero_division,
            )  # fmt: skip
        except (ValueError, KeyError) as error:
            cause = f"a tag begins with {error}, which no scheme has" if isinstance(error, KeyError) else str(error)
            raise MetricError(f"seqeval: {cause.rstrip('.')}.", "Pass the tags' scheme=, or leave mode out.") from error
        right = library.accuracy_score(y_true=references, y_pred=predictions)
    texts = [str(one.message).splitlines()[0] for one in caught]
    undefined = [text for text, one in zip(texts, caught, strict=True) if "UndefinedMetric" in one.category.__name__]
    if undefined:
        warnings.warn(f"seqeval divides by zero: {undefined[0]}", MetricWarning, 3)
    unread = sorted({text.split(" ")[0] for text in texts if "not to be NE tag" in text})
    if unread:
        warnings.warn(
            f"seqeval reads B-, I-, E- and S- tags, and cuts a first letter from others: {', '.join(unread[:5])}."
            ' BILOU needs mode="strict", scheme="BILOU"; tags with their letter at the end need suffix=True.',
            MetricWarning,
            3,
        )
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


SCHEMES = ("IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU")


def scheme_of(scheme: str | None, mode: str | None, zero_division: str | int) -> Any:
    """The library's class of a scheme. Raises `MetricError` for options that it would overlook."""
    if scheme is not None and scheme not in SCHEMES:
        raise MetricError(f"There is no scheme {scheme!r}.", f"There are: {', '.join(SCHEMES)}.")
    if mode not in (None, "strict"):
        raise MetricError(f"There is no mode {mode!r}.", 'Pass mode="strict", or leave it out.')
    if zero_division not in ("warn", 0, 1):
        raise MetricError(f"zero_division={zero_division!r}.", 'Give 0, 1 or "warn", which is 0 with a warning.')
    return None if scheme is None else getattr(require("seqeval.scheme", "The metric seqeval"), scheme)


# GLUE, SuperGLUE, XNLI --------------------------------------------------------------------------------------------

GLUE = ("sst2", "mnli", "mnli_mismatched", "mnli_matched", "cola", "stsb", "mrpc", "qqp", "qnli", "rte", "wnli", "hans")
SUPER_GLUE = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "wsc.fixed", "axb", "axg")


def both(predictions: Any, references: Any, average: str = "binary") -> dict[str, Any]:
    """Accuracy and F1. Raises `MetricError` for classes other than 0 and 1 where one of them counts as positive."""
    if average == "binary":
        check_bits(predictions=predictions, references=references)
    return accuracy(predictions, references) | f1(predictions, references, average=average)


def check_bits(**columns: Any) -> None:
    """Raise `MetricError` for a class that is neither 0 nor 1."""
    for name, values in columns.items():
        wrong = np.argwhere(~np.isin(np.asarray(values), (0, 1)))
        if len(wrong):
            row = int(wrong[0][0])
            raise refuse(
                name, row, values[row], "neither 0 nor 1", "This benchmark has two classes, of which 1 counts."
            )


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
        idx, query = '{"idx": {"passage", "query"}, ', numbers_under("passage", "query")
        return {
            "predictions": checked(idx + '"prediction_text"}', idx=query, prediction_text=TEXT),
            "references": checked(idx + '"answers": […]}', idx=query, answers=TEXTS),
        }
    if config == "multirc":
        idx, question = '{"idx": {"paragraph", "question", "answer"}, ', numbers_under("paragraph", "question")
        return {"predictions": checked(idx + '"prediction"}', idx=question, prediction=BIT), "references": LABELS}
    return CLASSES


@metric(
    columns=super_glue_columns,
    kind="benchmark",
    range="0 … 1; axb -1 … 1",
    formula="accuracy; cb: and macro F1; axb: Matthews; multirc: F1 by question and by answer; record: as squad / 100",
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
        return best_matches(by_idx(predictions, references))
    if config_name == "multirc":
        return multirc(predictions, references)
    if config_name == "cb":
        return both(predictions, references, "macro")
    return matthews_correlation(predictions, references) if config_name == "axb" else accuracy(predictions, references)


def by_idx(predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each query's prediction and answers. Raises `MetricError` for queries without either."""
    found = {(row["idx"]["passage"], row["idx"]["query"]): row["prediction_text"] for row in predictions}
    pairs = []
    for row, (prediction, query) in enumerate(zip(predictions, references, strict=True)):
        key = (query["idx"]["passage"], query["idx"]["query"])
        if not query["answers"]:
            raise refuse("references", row, query["idx"], "a query without an answer", "Leave such rows out.")
        if key not in found:
            raise refuse("references", row, query["idx"], "a query without a prediction", "Predict every query.")
        # Rows that stand side by side belong together, even where a query is there twice, as in the bootstrap.
        same = prediction["idx"] == query["idx"]
        pairs.append((prediction["prediction_text"] if same else found[key], query["answers"]))
    return pairs


def multirc(predictions: list[dict[str, Any]], references: Any) -> dict[str, Any]:
    """Questions with several right answers: all of them right; F1 by question; F1 over all answers."""
    check_bits(references=references)
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
