"""`evaluator(task)`: run a pipeline over a data set, and measure its answers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from samovar.errors import did_you_mean
from samovar.evaluate.bootstrap import bootstrap, check_bootstrap
from samovar.evaluate.columns import MetricError, plain
from samovar.evaluate.core import CombinedMetrics, Metric, listed, load
from samovar.evaluate.results import Results
from samovar.evaluate.table import Table

STRATEGIES = ("simple", "bootstrap")


@dataclass
class Run:
    """One call of `compute`: the data, which of its columns are read, and the names of classes."""

    table: Table
    # Argument → value: `input_column`, `label_column` and the arguments that only this task has.
    options: dict[str, Any]
    label_mapping: Mapping[str, Any] | None = None
    model_labels: Mapping[str, int] = field(default_factory=dict)

    def stream(self, argument: str) -> Iterable[Any]:
        """The values of the column that an argument names, one by one."""
        return self.table.stream(self.options[argument])

    def column(self, argument: str) -> list[Any]:
        """The values of the column that an argument names."""
        return self.table.column(self.options[argument])

    def class_names(self) -> list[str] | None:
        """What the data calls the classes of its label column."""
        return self.table.class_names(self.options["label_column"])


class Evaluator:
    """A task's way from a data set's rows to a metric's columns.

    A task whose pipeline answers with text is a subclass of a few lines::

        class SummarizationEvaluator(Evaluator):
            task = "summarization"
            default_metric = "rouge"
            answer_key = "summary_text"
    """

    task: ClassVar[str]
    default_metric: ClassVar[str]
    input_column: ClassVar[str] = "text"
    label_column: ClassVar[str] = "label"
    # What of an answer is compared.
    answer_key: ClassVar[str] = "label"
    # Arguments that only this task has, with their defaults.
    arguments: ClassVar[dict[str, Any]] = {}
    # Keyword arguments that every call of the pipeline gets.
    pipeline_options: ClassVar[dict[str, Any]] = {}

    def compute(
        self,
        model_or_pipeline: Any,
        data: Any,
        subset: str | None = None,
        split: str | None = None,
        metric: str | Metric | CombinedMetrics | None = None,
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
        metric_options: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Results:
        """The metric's values, and how long the pipeline took.

        `model_or_pipeline` is a pipeline, another callable, a model, or a name; `data` a `datasets.Dataset`, a list of
        dictionaries, a dictionary of columns, a pandas table, or a data set's name with `subset` and `split`.
        `label_mapping` turns the model's labels into the data's; without it, where the data numbers its classes, the
        data's own names of them decide if the model's labels are among those, else the model's `label2id`.
        `metric_options` go to the metric, such as `{"average": "macro"}`.

        `strategy="bootstrap"` gives each number as `score`, `confidence_interval` and `standard_error`, from
        `n_resamples` draws of the rows; equal for an equal `random_state`.

        Beside them: `total_time_in_seconds`, `samples_per_second`, `latency_in_seconds` (per row). Raises `MetricError`
        for columns and options that do not fit, before the pipeline runs.
        """
        if strategy not in STRATEGIES:
            raise MetricError(f"There is no strategy {strategy!r}.", f"Choose among {listed(STRATEGIES)}.")
        columns = {"input_column": input_column, "label_column": label_column}
        table = Table(data, subset, split)
        run = Run(table, self.options_of(columns | arguments), label_mapping)
        for name, column in run.options.items():
            if name.endswith("_column") and column is not None:
                table.check(name, column)
        if strategy == "bootstrap":
            check_bootstrap(confidence_level, n_resamples, table.rows)
        measure = load(metric or self.metric_for(run)) if isinstance(metric, str | None) else unused(metric)
        given = dict(metric_options or {})
        if isinstance(measure, Metric):
            measure.check_options(given)
        pipe = self.pipeline(model_or_pipeline, tokenizer, image_processor, device)
        run.model_labels = getattr(getattr(getattr(pipe, "model", None), "config", None), "label2id", None) or {}
        options = self.options_for(run) | ({"batch_size": batch_size} if batch_size else {})
        began = time.perf_counter()
        answers = list(pipe(iter(self.inputs(run)), **options))
        taken = time.perf_counter() - began
        rows = measure.converted(self.columns(run, answers, measure.name))
        results = measure.evaluate(rows, given)
        if strategy == "bootstrap":
            results = bootstrap(
                lambda drawn: measure.evaluate(drawn, given),
                rows,
                len(answers),
                confidence_level,
                n_resamples,
                random_state,
            )
        return Results(
            results,
            total_time_in_seconds=taken,
            samples_per_second=len(answers) / taken,
            latency_in_seconds=taken / len(answers),
        )

    # What a task decides ------------------------------------------------------------------------------------------

    def metric_for(self, run: Run) -> str:
        """The metric where none was named."""
        return self.default_metric

    def options_for(self, run: Run) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call."""
        return dict(self.pipeline_options)

    def inputs(self, run: Run) -> Iterable[Any]:
        """What the pipeline is given."""
        return run.stream("input_column")

    def columns(self, run: Run, answers: list[Any], metric: str) -> dict[str, Any]:
        """The metric's columns."""
        found = [(answer[0] if isinstance(answer, list) else answer)[self.answer_key] for answer in answers]
        return {"predictions": found, "references": run.column("label_column")}

    # Steps --------------------------------------------------------------------------------------------------------

    def options_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments of the task with their values. Raises `MetricError` for those that it does not have."""
        known = {"input_column": self.input_column, "label_column": self.label_column} | self.arguments
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise MetricError(f"{self.task} has no argument {name!r}.", f"It has {listed(known)}. {hint}".strip())
        return known | {name: value for name, value in given.items() if value is not None}

    def pipeline(self, model: Any, tokenizer: Any, image_processor: Any, device: Any) -> Callable[..., Any]:
        """A pipeline for the task; one that was given must be for it."""
        parts = {"tokenizer": tokenizer, "image_processor": image_processor, "device": device}
        parts = {name: part for name, part in parts.items() if part is not None}
        if not hasattr(model, "preprocess") and (isinstance(model, str | Path) or hasattr(model, "config")):
            from samovar import pipeline

            return pipeline(self.task, model=model, **parts)
        if not callable(model):
            raise MetricError(f"{type(model).__name__} is no model.", "Give a pipeline, a model, a folder or a name.")
        task = getattr(model, "task", "") or self.task
        if task != self.task:
            raise MetricError(f"This evaluator is for {self.task}, the pipeline for {task}.", f"evaluator({task!r})")
        if parts:
            warnings.warn(f"The pipeline has its own: {listed(parts)} given here means nothing.", UserWarning, 3)
        return model


class ClassEvaluator(Evaluator):
    """A task whose answers are classes."""

    default_metric = "accuracy"

    def columns(self, run: Run, answers: list[Any], metric: str) -> dict[str, Any]:
        """The model's labels, as the data writes them."""
        rows = super().columns(run, answers, metric)
        mapping: Mapping[str, Any] = run.label_mapping or {}
        if run.label_mapping is None and not isinstance(rows["references"][0], str):
            numbered = {name: place for place, name in enumerate(run.class_names() or [])}
            mapping = numbered if numbered.keys() >= set(rows["predictions"]) else run.model_labels
        if mapping or run.label_mapping is not None:
            rows["predictions"] = [mapped(label, mapping) for label in rows["predictions"]]
        return rows


class TextClassificationEvaluator(ClassEvaluator):
    """One label a text, or a pair of texts with `second_input_column`."""

    task = "text-classification"
    arguments = {"second_input_column": None}

    def inputs(self, run: Run) -> Iterable[Any]:
        """Texts, or dictionaries of two."""
        texts = run.stream("input_column")
        if run.options["second_input_column"] is None:
            return texts
        pairs = zip(texts, run.stream("second_input_column"), strict=True)
        return ({"text": text, "text_pair": pair} for text, pair in pairs)


class ImageClassificationEvaluator(ClassEvaluator):
    """One label an image."""

    task = "image-classification"
    input_column = "image"
    pipeline_options = {"top_k": 1}


class TokenClassificationEvaluator(Evaluator):
    """A tag a word: rows of words and rows of tags, compared by entities."""

    task = "token-classification"
    default_metric = "seqeval"
    input_column, label_column = "tokens", "ner_tags"
    arguments = {"join_by": " "}
    pipeline_options = {"aggregation_strategy": "none", "ignore_labels": []}

    def inputs(self, run: Run) -> Iterable[Any]:
        """Words joined to a text, by `join_by`: spaces unless another is given."""
        return (run.options["join_by"].join(words) for words in run.stream("input_column"))

    def columns(self, run: Run, answers: list[Any], metric: str) -> dict[str, Any]:
        """Each word has the tag of its first token; a word that was cut off, or has no token, has `O`."""
        between = len(run.options["join_by"])
        predicted = [
            word_tags(words, answer, between) for words, answer in zip(run.stream("input_column"), answers, strict=True)
        ]
        if run.label_mapping is not None:
            predicted = [[mapped(tag, run.label_mapping) for tag in row] for row in predicted]
        names = dict(enumerate(run.class_names() or [])) or {number: name for name, number in run.model_labels.items()}
        references = []
        for place, row in enumerate(run.column("label_column")):
            tags = [names.get(tag, tag) if not isinstance(tag, str) else tag for tag in plain(row)]
            if len(tags) != len(predicted[place]):
                raise MetricError(
                    f"Row {place} has {len(predicted[place])} words and {len(tags)} tags.", "Give each word its tag."
                )
            references.append(tags)
        return {"predictions": predicted, "references": references}


class QuestionAnsweringEvaluator(Evaluator):
    """A span of the context a question.

    Where some questions have no answer, or `squad_v2_format` says so, the pipeline may answer with nothing, and the
    metric is squad_v2.
    """

    task = "question-answering"
    label_column = "answers"
    input_column = "question"
    arguments = {"question_column": None, "context_column": "context", "id_column": None, "squad_v2_format": None}

    def options_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`question_column` is another name of `input_column`."""
        options = super().options_of(given)
        return options | {"input_column": options["question_column"] or options["input_column"]}

    def silent(self, run: Run) -> bool:
        """Whether some questions have no answer."""
        if run.options["squad_v2_format"] is None:
            run.options["squad_v2_format"] = not all(len(texts_of(row)) for row in run.column("label_column"))
        return bool(run.options["squad_v2_format"])

    def metric_for(self, run: Run) -> str:
        """By whether every question has an answer."""
        return "squad_v2" if self.silent(run) else "squad"

    def options_for(self, run: Run) -> dict[str, Any]:
        """An empty answer is allowed where the data has such."""
        return {"handle_impossible_answer": self.silent(run)}

    def inputs(self, run: Run) -> Iterable[Any]:
        """Questions with their contexts."""
        pairs = zip(run.stream("input_column"), run.stream("context_column"), strict=True)
        return ({"question": question, "context": context} for question, context in pairs)

    def columns(self, run: Run, answers: list[Any], metric: str) -> dict[str, Any]:
        """Records of ids and texts; rows are numbered where the data has no ids."""
        wanted = [texts_of(row) for row in run.column("label_column")]
        column = run.options["id_column"] or "id"
        ids = [str(one) for one in (run.table.column(column) if column in run.table.names else range(len(wanted)))]
        # A pipeline answers or does not: it has decided already.
        predictions = [
            {"id": key, "prediction_text": answer["answer"]}
            | ({"no_answer_probability": float(answer["answer"] == "")} if metric == "squad_v2" else {})
            for key, answer in zip(ids, answers, strict=True)
        ]
        references = [{"id": key, "answers": {"text": texts}} for key, texts in zip(ids, wanted, strict=True)]
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


def unused(metric: Metric | CombinedMetrics) -> Metric | CombinedMetrics:
    """The same metric without the rows that wait in it: they are the caller's."""
    if isinstance(metric, Metric):
        return Metric(metric.spec, metric.config_name)
    if not isinstance(metric, CombinedMetrics):
        raise MetricError(f"metric is {type(metric).__name__}.", "Give a name, or what load or combine gave.")
    parts = {name: Metric(part.spec, part.config_name) for name, part in metric.metrics.items()}
    return CombinedMetrics(parts, metric.prefix)


def mapped(label: str, mapping: Mapping[str, Any]) -> Any:
    """The data's name for a model's label."""
    if label not in mapping:
        raise MetricError(
            f"The model's label {label!r} is not mapped to one of the data's.",
            f"Pass label_mapping with it; known: {', '.join(map(repr, mapping)) or 'none'}.",
        )
    return mapping[label]


def word_tags(words: Iterable[str], tokens: list[Mapping[str, Any]], between: int) -> list[str]:
    """The tag of each word's first token, where `between` characters stand between words."""
    tags, start, place = [], 0, 0
    for word in words:
        end = start + len(word)
        # Some tokenizers count the space before a word to its token: what matters is that they overlap.
        while place < len(tokens) and tokens[place]["end"] <= start:
            place += 1
        inside = place < len(tokens) and tokens[place]["start"] < end
        tags.append(tokens[place]["entity"] if inside else "O")
        start = end + between
    return tags


def texts_of(answers: Any) -> list[str]:
    """The texts of a question's answers: `{"text": […], …}`, or a list of `{"text": …}`."""
    answers = plain(answers)
    texts = answers["text"] if isinstance(answers, dict) else [one["text"] for one in answers]
    return [texts] if isinstance(texts, str) else list(texts)
