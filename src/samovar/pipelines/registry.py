"""Which tasks there are: name → pipeline class, auto class and what a checkpoint for it was saved from."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from samovar.errors import TaskError, did_you_mean

HOME = "samovar.pipelines"
# A task that names its languages.
TRANSLATION = re.compile(r"translation_\w+_to_\w+")


def found(name: str, home: str = "") -> Any:
    """The class `"module:Class"`, or one of the module `home`; imported when it is first needed."""
    module, _, inside = name.rpartition(":")
    return getattr(importlib.import_module(module or home), inside)


@dataclass(frozen=True)
class TaskSpec:
    """One task.

    `pipeline` is a class or `"module:Class"`; `auto` holds the auto classes that load a model for it, as classes,
    names in `samovar.auto` or `"module:Class"`, the first that fits is taken; `saved_as` the ends of the class names
    whose checkpoints have a trained head for it, `also` the ends of those whose head is for another task first;
    `default` a (model id, revision) that is used when no model is named.
    """

    name: str
    pipeline: Any
    auto: tuple[Any, ...]
    kind: str = "text"
    saved_as: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    default: tuple[str, str | None] | None = None
    aliases: tuple[str, ...] = field(default=())

    def pipeline_class(self) -> Any:
        """The class, imported when it is first needed."""
        if not isinstance(self.pipeline, str):
            return self.pipeline
        return found(self.pipeline)

    def auto_classes(self) -> list[Any]:
        """The auto classes."""
        return [found(item, "samovar.auto") if isinstance(item, str) else item for item in self.auto]


def task(name: str, where: str, auto: str, saved_as: str | tuple[str, ...], **more: Any) -> TaskSpec:
    """A row of the table below."""
    saved = (saved_as,) if isinstance(saved_as, str) else saved_as
    return TaskSpec(name, f"{HOME}.{where}", (auto,), saved_as=saved, **more)


BUILT_IN = [
    task(
        "text-classification",
        "text_classification:TextClassificationPipeline",
        "AutoModelForSequenceClassification",
        "ForSequenceClassification",
        aliases=("sentiment-analysis",),
    ),
    task(
        "token-classification",
        "token_classification:TokenClassificationPipeline",
        "AutoModelForTokenClassification",
        "ForTokenClassification",
        aliases=("ner",),
    ),
    task(
        "question-answering",
        "question_answering:QuestionAnsweringPipeline",
        "AutoModelForQuestionAnswering",
        ("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    ),
    task(
        "table-question-answering",
        "table_question_answering:TableQuestionAnsweringPipeline",
        "AutoModelForTableQuestionAnswering",
        ("ForTableQuestionAnswering", "TapasForQuestionAnswering"),
    ),
    task(
        "fill-mask",
        "fill_mask:FillMaskPipeline",
        "AutoModelForMaskedLM",
        ("ForMaskedLM", "BertForPreTraining", "AlbertForPreTraining"),
        also=("BartForConditionalGeneration",),
    ),
    task(
        "text-generation",
        "text_generation:TextGenerationPipeline",
        "AutoModelForCausalLM",
        ("ForCausalLM", "LMHeadModel", "DoubleHeadsModel"),
    ),
    task(
        "text2text-generation",
        "text2text:Text2TextGenerationPipeline",
        "AutoModelForSeq2SeqLM",
        ("ForConditionalGeneration", "MTModel"),
    ),
    task("summarization", "text2text:SummarizationPipeline", "AutoModelForSeq2SeqLM", ()),
    task("translation", "translation:TranslationPipeline", "AutoModelForSeq2SeqLM", ()),
    task(
        "zero-shot-classification",
        "zero_shot:ZeroShotClassificationPipeline",
        "AutoModelForSequenceClassification",
        (),
    ),
    task(
        "multiple-choice",
        "multiple_choice:MultipleChoicePipeline",
        "AutoModelForMultipleChoice",
        "ForMultipleChoice",
    ),
    task(
        "sentence-similarity",
        "sentence_similarity:SentenceSimilarityPipeline",
        "samovar.pipelines.sentence_similarity:SentenceEncoder",
        (),
    ),
    task("feature-extraction", "feature_extraction:FeatureExtractionPipeline", "AutoModel", "Model"),
    task(
        "image-classification",
        "image_classification:ImageClassificationPipeline",
        "AutoModelForImageClassification",
        ("ForImageClassification", "ForImageClassificationWithTeacher"),
        kind="image",
    ),
    task(
        "image-feature-extraction",
        "feature_extraction:ImageFeatureExtractionPipeline",
        "AutoModel",
        "Model",
        kind="image",
    ),
]

FEATURES = {"text": "feature-extraction", "image": "image-feature-extraction"}


class PipelineRegistry:
    """The table of tasks, open to new ones."""

    def __init__(self, tasks: Iterable[TaskSpec]) -> None:
        self.tasks = {spec.name: spec for spec in tasks}
        self.aliases = {alias: spec.name for spec in self.tasks.values() for alias in spec.aliases}

    def get_supported_tasks(self) -> list[str]:
        """All names, aliases included."""
        return sorted([*self.tasks, *self.aliases])

    def find(self, name: str) -> TaskSpec:
        """The task of this name or alias; raises `TaskError` with near names and the list."""
        known = self.aliases.get(name, name)
        if isinstance(known, str) and known not in self.tasks and TRANSLATION.fullmatch(known):
            known = "translation"
        if known not in self.tasks:
            every = self.get_supported_tasks()
            raise TaskError(
                f"Unknown task {name!r}.", f"{did_you_mean(str(name), every)} Known: {', '.join(every)}.".strip()
            )
        return self.tasks[known]

    def register_pipeline(
        self,
        task: str,
        pipeline_class: Any,
        pt_model: Any = None,
        default: dict[str, Any] | None = None,
        type: str | None = None,
    ) -> None:
        """Add a task, or replace one.

        `pt_model` is an auto class or a model class, or several; `default` may hold `{"model": (id, revision)}` for
        calls that name no model; `type` is `"text"`, `"image"` or `"multimodal"` and says what is loaded beside the
        model. A pipeline of this class brings its code along when it is saved or pushed.
        """
        models = pt_model if isinstance(pt_model, tuple | list) else () if pt_model is None else (pt_model,)
        self.aliases.pop(task, None)
        self.tasks[task] = TaskSpec(
            task, pipeline_class, tuple(models), kind=type or "text", default=default_of(default)
        )


def default_of(given: dict[str, Any] | None) -> tuple[str, str | None] | None:
    """(model id, revision) of the field's `default=`: `{"model": …}` or the model itself, in `{"pt": …}` or bare."""
    model: Any = given.get("model", given) if isinstance(given, dict) else given
    model = model.get("pt") if isinstance(model, dict) else model
    if model is None or isinstance(model, str):
        return None if model is None else (model, None)
    name, revision = model
    return str(name), revision


PIPELINE_REGISTRY = PipelineRegistry(BUILT_IN)


def tasks_of(class_name: str) -> list[str]:
    """The tasks that a model saved from this class can do, best first; each can also give features."""
    fits = {
        spec.name: max((len(end) for end in spec.saved_as if end != "Model" and class_name.endswith(end)), default=0)
        for spec in PIPELINE_REGISTRY.tasks.values()
    }
    # The longest end says most: questions on tables are no questions on texts.
    longest = max(fits.values(), default=0)
    heads = [name for name, length in fits.items() if length and length == longest]
    image = any(PIPELINE_REGISTRY.tasks[name].kind == "image" for name in heads) or is_vision(class_name)
    return [*heads, FEATURES["image" if image else "text"]]


def is_vision(class_name: str) -> bool:
    """Whether a class of this name belongs to an architecture that reads images."""
    from samovar.registry import ARCHITECTURES, backbone_class

    for model_type, target in ARCHITECTURES.items():
        stem = target.partition(":")[2].removesuffix("Model")
        if class_name.startswith(stem) and class_name.removeprefix(stem).startswith(("Model", "For")):
            return backbone_class(model_type).main_input_name == "pixel_values"
    return False


def infer_task(saved_from: str) -> str:
    """The task of a checkpoint saved from this class; raises `TaskError` when no pipeline runs its head."""
    found = tasks_of(saved_from)
    if len(found) == 1 and not saved_from.endswith("Model"):
        raise TaskError(
            f"No pipeline runs the head of {saved_from}, so the task cannot be inferred.",
            f"Name one: this model can do {found[0]!r}. Or call the model itself, loaded with an Auto class.",
        )
    return found[0]


def cannot_do(saved_from: str, wanted: str) -> tuple[str, str]:
    """Cause and next step for a model without a trained head for a task."""
    spec = PIPELINE_REGISTRY.tasks.get(PIPELINE_REGISTRY.aliases.get(wanted, wanted))
    auto = getattr(spec.auto[0], "__name__", spec.auto[0]) if spec and spec.auto else "the model's class"
    can = ", ".join(repr(name) for name in tasks_of(saved_from))
    return (
        f"This model has no trained head for {wanted!r}: it was saved from {saved_from}, which can do {can}.",
        f"Ask for one of those, or fine-tune it first, loaded with {auto}.",
    )
