"""`pipeline(...)`: what it loads, which task it chooses, what it refuses; tasks and classes of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_checkpoints import TAGS, TEXTS, Build, labels, same

from samovar import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertModel,
    Pipeline,
    pipeline,
)
from samovar.errors import InputError, ModelNotFoundError, TaskError
from samovar.pipelines import PIPELINE_REGISTRY

TOXIC = labels("neutral", "toxic", "spam")


@pytest.mark.parametrize(
    ("family", "head", "task"),
    [
        ("bert", "BertForSequenceClassification", "text-classification"),
        ("bert", "BertForTokenClassification", "token-classification"),
        ("bert", "BertForQuestionAnswering", "question-answering"),
        ("bert", "BertForMaskedLM", "fill-mask"),
        ("bert", "BertForPreTraining", "fill-mask"),
        ("bert", "BertModel", "feature-extraction"),
        ("vit", "ViTForImageClassification", "image-classification"),
        ("vit", "ViTModel", "image-feature-extraction"),
    ],
)
def test_the_task_is_inferred_from_the_checkpoint(build: Build, family: str, head: str, task: str) -> None:
    folder = build(family, head)
    assert pipeline(model=folder).task == task
    named = pipeline(task, model=Path(folder))
    assert named.task == task
    parts = {"tokenizer": named.tokenizer} if family == "bert" else {"image_processor": named.image_processor}
    if head != "BertForPreTraining":
        assert pipeline(model=named.model, **parts).task == task


def test_aliases_name_the_same_task(build: Build) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    assert pipeline("sentiment-analysis", model=folder).task == "text-classification"
    assert pipeline("ner", model=build("bert", "BertForTokenClassification", **labels(*TAGS))).task == (
        "token-classification"
    )


def test_parts_may_be_objects_ids_or_folders(build: Build) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    expected = pipeline("text-classification", model=folder)(TEXTS)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    other = build("bert", "BertForMaskedLM")
    for parts in (
        {"model": model},
        {"model": model, "tokenizer": AutoTokenizer.from_pretrained(folder)},
        {"model": model, "tokenizer": other},
        {"model": folder, "tokenizer": other, "config": folder},
        {"model": folder, "config": model.config, "framework": "pt", "trust_remote_code": True},
    ):
        assert same(pipeline("text-classification", **parts)(TEXTS), expected)


def test_an_object_from_nowhere_needs_its_tokenizer(build: Build) -> None:
    config = BertForSequenceClassification.from_pretrained(build("bert", "BertForSequenceClassification")).config
    with pytest.raises(InputError, match="Give tokenizer="):
        pipeline("text-classification", model=BertForSequenceClassification(config))


@pytest.mark.parametrize("device", ["cpu", -1, torch.device("cpu")])
def test_the_device_and_the_type_of_numbers_are_chosen(build: Build, device: Any) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    half = pipeline(model=folder, device=device, dtype="bfloat16")
    assert half.device == torch.device("cpu")
    assert half.dtype == torch.bfloat16
    by_older_name = pipeline(model=folder, torch_dtype=torch.bfloat16)
    assert by_older_name.dtype == torch.bfloat16
    assert same(half("cat", top_k=None), by_older_name("cat", top_k=None))
    assert type(half(TEXTS)[0]["score"]) is float
    again = pipeline(model=half.model, tokenizer=half.tokenizer, dtype=torch.float32)
    assert again.dtype == torch.float32


def test_a_device_that_is_not_there_is_named(build: Build) -> None:
    with pytest.raises(InputError, match="device=99"):
        pipeline(model=build("bert", "BertModel"), device=99)
    with pytest.raises(InputError, match="Unknown device 'gpu'"):
        pipeline(model=build("bert", "BertModel"), device="gpu")


def test_settings_of_the_model_pass_through(build: Build) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    pipe = pipeline(model=folder, model_kwargs={"attn_implementation": "eager", "id2label": {0: "a", 1: "b", 2: "c"}})
    assert pipe("cat")[0]["label"] in "abc"


@pytest.mark.parametrize(
    ("head", "wanted", "can"),
    [
        ("BertForMaskedLM", "text-classification", "'fill-mask', 'feature-extraction'"),
        ("BertForSequenceClassification", "fill-mask", "'text-classification', 'feature-extraction'"),
        ("BertForSequenceClassification", "token-classification", "'text-classification', 'feature-extraction'"),
        ("BertForSequenceClassification", "multiple-choice", "'text-classification', 'feature-extraction'"),
        ("BertForTokenClassification", "text-classification", "'token-classification', 'feature-extraction'"),
        ("BertForNextSentencePrediction", "text-classification", "'feature-extraction'"),
        ("BertModel", "token-classification", "'feature-extraction'"),
        ("BertForSequenceClassification", "image-classification", "'text-classification', 'feature-extraction'"),
    ],
)
def test_a_head_that_was_never_trained_is_refused(
    build: Build, head: str, wanted: str, can: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TaskError) as caught:
        pipeline(wanted, model=build("bert", head))
    message = str(caught.value)
    assert f"no trained head for '{wanted}'" in message
    assert f"saved from {head}, which can do {can}." in message
    assert "fine-tune it first, loaded with AutoModelFor" in message


def test_a_model_object_of_another_task_is_refused(build: Build) -> None:
    model = BertForMaskedLM.from_pretrained(build("bert", "BertForMaskedLM"))
    with pytest.raises(TaskError, match="which can do 'fill-mask', 'feature-extraction'"):
        pipeline("text-classification", model=model)


def test_a_pooler_that_is_not_in_the_file_gives_no_features(build: Build) -> None:
    pipe = pipeline("feature-extraction", model=build("bert", "BertForMaskedLM"))
    assert isinstance(pipe.model, BertModel)
    assert "pooler_output" not in pipe.model(torch.tensor([[2, 3]]))


def test_what_cannot_be_guessed_is_asked_for(build: Build, tmp_path: Path) -> None:
    with pytest.raises(
        TaskError, match=r"No model was named for the task 'sentiment-analysis'[\s\S]*model='owner/name'"
    ):
        pipeline("sentiment-analysis")
    with pytest.raises(TaskError, match="No model was named"):
        pipeline()
    with pytest.raises(TaskError, match="Did you mean 'text-classification'"):
        pipeline("text-classfication", model="anything")
    with pytest.raises(TaskError, match="A task is a str"):
        pipeline(3, model="anything")  # type: ignore[arg-type]
    with pytest.raises(ModelNotFoundError):
        pipeline("fill-mask", model=tmp_path / "nothing")
    folder = build("bert", "BertForNextSentencePrediction")
    with pytest.raises(TaskError, match="No pipeline runs the head of BertForNextSentencePrediction"):
        pipeline(model=folder)
    with pytest.raises(TaskError, match="No pipeline runs the head"):
        pipeline(model=BertForNextSentencePrediction.from_pretrained(folder))
    config = transformers.BertConfig.from_pretrained(folder)
    config.architectures = None
    config.save_pretrained(tmp_path / "bare")
    with pytest.raises(TaskError, match="has no `architectures`"):
        pipeline(model=tmp_path / "bare")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive int"),
        ({"top_k": 0}, "top_k must be a positive int"),
        ({"function_to_apply": "softmx"}, "Did you mean 'softmax'"),
        ({"top_n": 3}, "has no argument 'top_n'"),
        ({"tokenizer_kwargs": {"truncatoin": True}}, "Unknown option of the tokenizer: 'truncatoin'"),
    ],
)
def test_wrong_options_are_refused_when_the_pipeline_is_made(
    build: Build, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pipeline(model=build("bert", "BertForSequenceClassification", **TOXIC), **options)


class Margin(Pipeline):
    """How far the best label is ahead of the second; written as the field's users write such classes."""

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {"suffix": kwargs["suffix"]} if "suffix" in kwargs else {}
        return before, {}, {"digits": kwargs["digits"]} if "digits" in kwargs else {}

    def preprocess(self, inputs: Any, suffix: str = "") -> dict[str, Any]:
        return self.tokenizer(inputs + suffix, return_tensors="pt")

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        self.rows = max(getattr(self, "rows", 0), model_inputs["input_ids"].shape[0])
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, digits: int = 4) -> float:
        best, second = model_outputs.logits[0].softmax(-1).topk(2).values.tolist()
        return round(best - second, digits)


def margins(folder: str, texts: list[str], digits: int = 4) -> list[float]:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        scores = [model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1) for text in texts]
    return [float(row.topk(2).values @ torch.tensor([1.0, -1.0])) for row in scores]


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_a_class_of_ones_own_runs_through_the_engine(build: Build, batch_size: int | None) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pipe = pipeline(model=folder, tokenizer=tokenizer, pipeline_class=Margin, batch_size=batch_size)
    texts = TEXTS * 4
    expected = margins(folder, texts)
    assert pipe(texts) == pytest.approx(expected, abs=2e-4)
    assert list(pipe(iter(texts))) == pytest.approx(expected, abs=2e-4)
    assert pipe.rows == (batch_size or 4)
    assert pipe(TEXTS[0]) == pytest.approx(expected[0], abs=2e-4)
    assert pipe(TEXTS[0], suffix=" dog") == pytest.approx(margins(folder, [TEXTS[0] + " dog"])[0], abs=2e-4)
    assert pipe(TEXTS[0], digits=1) == round(expected[0], 1)


@pytest.fixture
def registry() -> Any:
    tasks, aliases = dict(PIPELINE_REGISTRY.tasks), dict(PIPELINE_REGISTRY.aliases)
    yield PIPELINE_REGISTRY
    PIPELINE_REGISTRY.tasks, PIPELINE_REGISTRY.aliases = tasks, aliases


def test_a_task_of_ones_own_is_registered_by_name(build: Build, registry: Any) -> None:
    folder = build("bert", "BertForSequenceClassification", **TOXIC)
    registry.register_pipeline(
        "margin",
        pipeline_class=Margin,
        pt_model=AutoModelForSequenceClassification,
        default={"model": (folder, None)},
        type="text",
    )
    assert "margin" in registry.get_supported_tasks()
    expected = margins(folder, TEXTS)
    assert pipeline("margin", model=folder)(TEXTS) == pytest.approx(expected, abs=2e-4)
    assert pipeline("margin")(TEXTS, num_workers=2) == pytest.approx(expected, abs=2e-4)
    with pytest.raises(TaskError, match="no trained head for 'margin'"):
        pipeline("margin", model=build("bert", "BertForMaskedLM"))


def test_a_class_that_forgets_a_step_says_which(build: Build) -> None:
    class Empty(Pipeline):
        pass

    pipe = pipeline(model=build("bert", "BertModel"), pipeline_class=Empty)
    with pytest.raises(NotImplementedError, match="Empty needs a method `preprocess`"):
        pipe("cat")
