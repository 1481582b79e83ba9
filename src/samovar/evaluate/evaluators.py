"""`evaluator(task)`: run a pipeline over a data set, and measure its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from samovar.errors import did_you_mean
from samovar.evaluate.columns import MetricError, Values
from samovar.evaluate.core import Metric, listed, load
from samovar.evaluate.results import Results
from samovar.extras import require

STRATEGIES = ("simple", "bootstrap")


class Evaluator:
    """A task's way from a data set's rows to a metric's columns; a task is a subclass of a few lines."""

    task: ClassVar[str]
    default_metric: ClassVar[str] = "accuracy"
    input_column: ClassVar[str] = "text"
    label_column: ClassVar[str] = "label"
    # Keyword arguments that every call of the pipeline gets.
    options: ClassVar[dict[str, Any]] = {}

    def compute(
        self,
        model_or_pipeline: Any,
        data: Any,
        subset: str | None = None,
        split: str | None = None,
        metric: str | Metric | None = None,
        tokenizer: Any = None,
        image_processor: Any = None,
        strategy: str = "simple",
        confidence_level: float = 0.95,
        n_resamples: int = 9999,
        device: Any = None,
        random_state: int | None = None,
        input_column: str | None = None,
        label_column: str | None = None,
        label_mapping: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        **columns: str | None,
    ) -> Results:
        """The metric's values, and how long the pipeline took.

        `model_or_pipeline` is a pipeline, a model, or a name; `data` a `datasets.Dataset`, a list of dictionaries, a
        dictionary of columns, a pandas table, or a data set's name with `subset` and `split`. `label_mapping` turns
        the model's labels into the data's; by default the model's own `label2id` where the data holds numbers.
        `strategy="bootstrap"` gives each value as `score`, `confidence_interval` and `standard_error`, from
        `n_resamples` draws of rows (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

        Beside them: `total_time_in_seconds`, `samples_per_second`, `latency_in_seconds`.
        """
        if strategy not in STRATEGIES:
            raise MetricError(f"There is no strategy {strategy!r}.", f"Choose among {listed(STRATEGIES)}.")
        names = {"input": input_column or self.input_column, "label": label_column or self.label_column}
        names |= {key.removesuffix("_column"): name for key, name in columns.items() if name is not None}
        table = Table(data, subset, split)
        pipe = self.pipeline(model_or_pipeline, tokenizer, image_processor, device)
        measure = load(metric or self.metric_for(table, names)) if not isinstance(metric, Metric) else metric
        inputs = list(self.inputs(table, names))
        options = self.options_for(table, names) | ({"batch_size": batch_size} if batch_size else {})
        began = time.perf_counter()
        answers = list(pipe(iter(inputs), **options))
        taken = time.perf_counter() - began
        mapping = label_mapping or getattr(getattr(getattr(pipe, "model", None), "config", None), "label2id", None)
        batch = self.columns(answers, table, names, mapping, label_mapping is not None)
        rows = measure.converted(batch)
        results = measure.evaluate(rows, {})
        if strategy == "bootstrap":
            results = bootstrapped(measure, rows, results, confidence_level, n_resamples, random_state)
        count = len(inputs)
        return Results(
            results,
            total_time_in_seconds=taken,
            samples_per_second=count / taken,
            latency_in_seconds=taken / count,
        )

    # What a task decides ------------------------------------------------------------------------------------------

    def metric_for(self, table: Table, names: Mapping[str, str]) -> str:
        """The metric where none was named."""
        return self.default_metric

    def options_for(self, table: Table, names: Mapping[str, str]) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call."""
        return dict(self.options)

    def inputs(self, table: Table, names: Mapping[str, str]) -> Iterable[Any]:
        """What the pipeline is given."""
        return table.column(names["input"])

    def columns(
        self, answers: list[Any], table: Table, names: Mapping[str, str], mapping: Mapping[str, Any] | None, given: bool
    ) -> dict[str, Any]:
        """The metric's columns."""
        references = table.column(names["label"])
        labels = [(answer[0] if isinstance(answer, list) else answer)["label"] for answer in answers]
        if given or (mapping and not isinstance(references[0], str)):
            labels = [mapped(label, mapping or {}) for label in labels]
        return {"predictions": labels, "references": references}

    def pipeline(self, model: Any, tokenizer: Any, image_processor: Any, device: Any) -> Callable[..., Any]:
        """A pipeline for the task; one that was given must be for it."""
        if not hasattr(model, "preprocess") and (isinstance(model, str | Path) or hasattr(model, "config")):
            from samovar import pipeline

            parts = {"tokenizer": tokenizer, "image_processor": image_processor, "device": device}
            return pipeline(self.task, model=model, **{k: v for k, v in parts.items() if v is not None})
        if not callable(model):
            raise MetricError(f"{type(model).__name__} is no model.", "Give a pipeline, a model, a folder or a name.")
        task = getattr(model, "task", "") or self.task
        if task != self.task:
            raise MetricError(f"This evaluator is for {self.task}, the pipeline for {task}.", f"evaluator({task!r})")
        return model


class TextClassificationEvaluator(Evaluator):
    """One label a text, or a pair of texts with `second_input_column`."""

    task = "text-classification"

    def inputs(self, table: Table, names: Mapping[str, str]) -> Iterable[Any]:
        """Texts, or dictionaries of two."""
        first = table.column(names["input"])
        if "second_input" not in names:
            return first
        second = table.column(names["second_input"])
        return [{"text": text, "text_pair": pair} for text, pair in zip(first, second, strict=True)]


class ImageClassificationEvaluator(Evaluator):
    """One label an image."""

    task = "image-classification"
    input_column = "image"
    options = {"top_k": 1}


class TokenClassificationEvaluator(Evaluator):
    """A tag a word: rows of words and rows of tags, compared by entities."""

    task = "token-classification"
    default_metric = "seqeval"
    input_column, label_column = "tokens", "ner_tags"
    options = {"aggregation_strategy": "none", "ignore_labels": []}

    def inputs(self, table: Table, names: Mapping[str, str]) -> Iterable[Any]:
        """Words joined by spaces."""
        return [" ".join(words) for words in table.column(names["input"])]

    def columns(
        self, answers: list[Any], table: Table, names: Mapping[str, str], mapping: Mapping[str, Any] | None, given: bool
    ) -> dict[str, Any]:
        """Each word has the tag of its first token; a word that was cut off has none: `O`."""
        known = {index: name for name, index in (mapping or {}).items()}
        tags = [
            [known.get(tag, tag) if not isinstance(tag, str) else tag for tag in row]
            for row in table.column(names["label"])
        ]
        predicted = []
        for words, answer in zip(table.column(names["input"]), answers, strict=True):
            at_start = {token["start"]: token["entity"] for token in reversed(answer)}
            starts = np.cumsum([0, *[len(word) + 1 for word in words]])[: len(words)].tolist()
            predicted.append([at_start.get(start, "O") for start in starts])
        return {"predictions": predicted, "references": tags}


class QuestionAnsweringEvaluator(Evaluator):
    """A span of the context a question; `squad_v2` where some questions have no answer."""

    task = "question-answering"
    default_metric = "squad"
    input_column, label_column = "question", "answers"

    def metric_for(self, table: Table, names: Mapping[str, str]) -> str:
        """By whether every question has an answer."""
        return "squad" if all(answers["text"] for answers in table.column(names["label"])) else "squad_v2"

    def options_for(self, table: Table, names: Mapping[str, str]) -> dict[str, Any]:
        """An empty answer is allowed where the data has such."""
        return {"handle_impossible_answer": self.metric_for(table, names) == "squad_v2"}

    def inputs(self, table: Table, names: Mapping[str, str]) -> Iterable[Any]:
        """Questions with their contexts."""
        contexts = table.column(names.get("context", "context"))
        questions = table.column(names.get("question", names["input"]))
        return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]

    def columns(
        self, answers: list[Any], table: Table, names: Mapping[str, str], mapping: Mapping[str, Any] | None, given: bool
    ) -> dict[str, Any]:
        """Records of ids and texts; rows are numbered where the data has no ids."""
        wanted = table.column(names["label"])
        column = names.get("id", "id")
        ids = [str(one) for one in (table.column(column) if column in table.names else range(len(wanted)))]
        second = self.metric_for(table, names) == "squad_v2"
        predictions = [
            {"id": key, "prediction_text": answer["answer"]}
            | ({"no_answer_probability": float(answer["answer"] == "")} if second else {})
            for key, answer in zip(ids, answers, strict=True)
        ]
        references = [{"id": key, "answers": dict(texts)} for key, texts in zip(ids, wanted, strict=True)]
        return {"predictions": predictions, "references": references}


EVALUATORS: dict[str, type[Evaluator]] = {
    kind.task: kind
    for kind in (
        TextClassificationEvaluator,
        TokenClassificationEvaluator,
        QuestionAnsweringEvaluator,
        ImageClassificationEvaluator,
    )
}
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def evaluator(task: str) -> Evaluator:
    """The evaluator of a task. Raises `MetricError` with those that there are."""
    name = ALIASES.get(task, task)
    if name not in EVALUATORS:
        hint = did_you_mean(task, [*EVALUATORS, *ALIASES])
        raise MetricError(f"There is no evaluator for {task!r}.", f"{hint} There are: {listed(EVALUATORS)}.".strip())
    return EVALUATORS[name]()


def mapped(label: str, mapping: Mapping[str, Any]) -> Any:
    """The data's name for a model's label."""
    if label not in mapping:
        raise MetricError(
            f"The model's label {label!r} is not in label_mapping.", f"It maps {listed(map(repr, mapping))}."
        )
    return mapping[label]


class Table:
    """A data set by columns, whatever it came as."""

    def __init__(self, data: Any, subset: str | None = None, split: str | None = None) -> None:
        if isinstance(data, str):
            data = loaded(data, subset, split)
        if isinstance(data, Sequence):
            rows = list(data)
            if not rows or not all(isinstance(row, Mapping) for row in rows):
                raise MetricError("data holds no rows.", "Give a list of dictionaries, one a row.")
            data = {name: [row.get(name) for row in rows] for name in rows[0]}
        self.data = data
        names = getattr(data, "column_names", None) or getattr(data, "columns", None)
        self.names = list(names if names is not None else getattr(data, "keys", list)())
        if not self.names:
            raise MetricError(f"data is {type(data).__name__}, which has no columns.", "Give a table or a Dataset.")

    def column(self, name: str) -> list[Any]:
        """One column. Raises `MetricError` with those that there are."""
        if name not in self.names:
            raise MetricError(
                f"The data has no column {name!r}.",
                f"It has {listed(map(str, self.names))}: name the right ones, such as input_column=….",
            )
        values = list(self.data[name])
        if not values:
            raise MetricError("The data has no rows.", "Give at least one.")
        return [value.item() if isinstance(value, np.generic) else value for value in values]


def loaded(name: str, subset: str | None, split: str | None) -> Any:
    """A data set by name: the split that was named, else test, validation or train."""
    datasets = require("datasets", "Loading a data set by name")
    data = datasets.load_dataset(name, subset, split=split)
    if split is not None:
        return data
    for choice in ("test", "validation", "train"):
        if choice in data:
            return data[choice]
    return data[next(iter(data))]


def bootstrapped(
    metric: Metric, rows: Mapping[str, Values], full: Results, level: float, draws: int, seed: int | None
) -> Results:
    """Each number as score, interval and error, by scipy's bias-corrected bootstrap over rows."""
    stats = require("scipy.stats", "The bootstrap")
    count = len(next(iter(rows.values())))

    def drawn(index: np.ndarray) -> Iterator[tuple[str, Values]]:
        for name, values in rows.items():
            yield name, values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]

    results = Results()
    for key, score in full.items():
        if not isinstance(score, int | float):
            continue
        found = stats.bootstrap(
            (np.arange(count),),
            lambda index, key=key: metric.evaluate(dict(drawn(index)), {})[key],
            vectorized=False,
            n_resamples=draws,
            confidence_level=level,
            rng=seed,
        )
        low, high = found.confidence_interval
        results[key] = {
            "confidence_interval": (float(low), float(high)),
            "standard_error": float(found.standard_error),
            "score": score,
        }
    return results
