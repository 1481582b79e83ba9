"""text-classification: one class, several classes, or a number for each text or pair of texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from samovar.auto import AutoModelForSequenceClassification, AutoTokenizer
from samovar.errors import InputError
from samovar.training.collators import DataCollatorWithPadding
from samovar.training.recipes.options import LABELS, PAIRS, TEXTS, Options, Prepared, column

PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")
SHORT = {"single": PROBLEMS[0], "multi": PROBLEMS[1], "regression": PROBLEMS[2]}


def problem_of(labels: list[Any], options: Options) -> str:
    """What the labels are: as said, or by their kind."""
    if options.problem is not None:
        if options.problem not in SHORT and options.problem not in PROBLEMS:
            raise InputError(f"--problem {options.problem!r} is not known.", f"One of: {', '.join(SHORT)}.")
        return SHORT.get(options.problem, options.problem)
    if any(isinstance(label, list) for label in labels) or options.label_separator:
        return PROBLEMS[1]
    return PROBLEMS[2] if any(isinstance(label, float) and label % 1 for label in labels) else PROBLEMS[0]


def texts_of(labels: Any, separator: str | None) -> list[str]:
    """The classes of one row with several."""
    if isinstance(labels, str):
        labels = [one.strip() for one in labels.split(separator)] if separator else [labels]
    return [str(one) for one in labels if str(one)]


def in_order(classes: set[str]) -> list[str]:
    """Class names sorted, numbers by value."""
    try:
        return sorted(classes, key=float)
    except ValueError:
        return sorted(classes)


def prepare(train: Any, held_out: Any, options: Options) -> Prepared:
    """Texts tokenized, labels numbered, a model with a new head of the right size."""
    text = column(train, options.text_column, TEXTS, "text")
    label = str(column(train, options.label_column, LABELS, "label"))
    pair = column(train, options.pair_column, PAIRS, "second text", required=False)
    pair = None if pair == text else pair
    problem = problem_of(train[label], options)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    if problem == PROBLEMS[2]:
        classes: list[str] = []
    elif problem == PROBLEMS[1]:
        classes = in_order({one for row in train[label] for one in texts_of(row, options.label_separator)})
    else:
        classes = in_order({class_name(one) for one in train[label] if one is not None})
        if len(classes) < 2:
            raise InputError(f"All labels are {classes}: there is nothing to tell apart.", "Look at the column.")
    numbers = {name: number for number, name in enumerate(classes)}

    def number(value: Any, name: str, row: int) -> Any:
        if problem == PROBLEMS[2]:
            try:
                return float(value)
            except (TypeError, ValueError):
                raise InputError(f"{name} row {row} has the label {value!r}.", "Regression needs numbers.") from None
        wanted = texts_of(value, options.label_separator) if problem == PROBLEMS[1] else [class_name(value)]
        unknown = [one for one in wanted if one not in numbers]
        if unknown:
            raise InputError(f"{name} row {row} has the label {unknown[0]!r}.", f"Known: {', '.join(classes)}.")
        if problem == PROBLEMS[0]:
            return numbers[wanted[0]]
        return [float(one in wanted) for one in classes]

    def encode(data: Any, name: str) -> list[dict[str, Any]]:
        second = list(map(text_of, data[pair])) if pair else None
        encoded = tokenizer(list(map(text_of, data[text])), second, truncation=True, max_length=options.max_length)
        return [
            {**{key: values[row] for key, values in encoded.items()}, "labels": number(value, name, row)}
            for row, value in enumerate(data[label])
        ]

    rows = encode(train, "Training"), encode(held_out, "Held-out")
    names = {"id2label": dict(enumerate(classes)), "label2id": numbers} if classes else {"num_labels": 1}
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, problem_type=problem, ignore_mismatched_sizes=True, **names
    )
    what = (
        f"{len(classes)} classes: {', '.join(classes[:8])}{' …' if len(classes) > 8 else ''}" if classes else "number"
    )
    columns = f"{text} + {pair}" if pair else str(text)
    return Prepared(
        model, tokenizer, *rows, DataCollatorWithPadding(tokenizer), METRICS[problem],
        {PROBLEMS[2]: "loss", PROBLEMS[1]: "f1"}.get(problem, "accuracy"),
        [f"{columns} → {label} ({problem.replace('_', ' ')}; {what})"],
    )  # fmt: skip


def class_name(value: Any) -> str:
    """A label as text; 1.0 of a column with gaps is 1."""
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def text_of(value: Any) -> str:
    """A text, empty where there is none."""
    return "" if value is None else str(value)


def single(found: Any) -> dict[str, float]:
    """Accuracy and macro F1."""
    guesses = np.argmax(found.predictions, axis=-1)
    both = {"predictions": guesses, "references": np.asarray(found.label_ids)}
    from samovar.evaluate import load

    return load("accuracy").compute(**both) | load("f1").compute(**both, average="macro")


def several(found: Any) -> dict[str, float]:
    """F1 over all decisions, and the share of rows where all are right."""
    guesses, truth = np.asarray(found.predictions) > 0, np.asarray(found.label_ids) > 0.5
    right = 2 * float((guesses & truth).sum())
    return {
        "f1": right / max(float(guesses.sum() + truth.sum()), 1.0),
        "subset_accuracy": float((guesses == truth).all(-1).mean()),
    }


def numbers_close(found: Any) -> dict[str, float]:
    """Mean squared and absolute error, and the correlation where it exists."""
    guesses, truth = np.asarray(found.predictions).reshape(-1), np.asarray(found.label_ids).reshape(-1)
    result = {"mse": float(((guesses - truth) ** 2).mean()), "mae": float(np.abs(guesses - truth).mean())}
    if len(truth) > 1 and guesses.std() > 0 and truth.std() > 0:
        result["pearson"] = float(np.corrcoef(guesses, truth)[0, 1])
    return result


METRICS = dict(zip(PROBLEMS, (single, several, numbers_close), strict=True))
