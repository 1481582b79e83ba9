"""Models answer over HTTP: the stock inference client is the test, and each answer is the pipeline's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from huggingface_hub import InferenceClient
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "pipelines"))
import tiny_checkpoints
from tiny_checkpoints import labels

import samovar

pytestmark = pytest.mark.slow
HEADS = {
    "text-classification": ("save_bert", "BertForSequenceClassification", labels("bad", "good", "fair")),
    "token-classification": ("save_bert", "BertForTokenClassification", labels(*tiny_checkpoints.TAGS)),
    "question-answering": ("save_bert", "BertForQuestionAnswering", {}),
    "zero-shot-classification": (
        "save_bert", "BertForSequenceClassification", labels("contradiction", "neutral", "entailment"),
    ),
    "fill-mask": ("save_bert", "BertForMaskedLM", {}),
    "feature-extraction": ("save_bert", "BertModel", {}),
    "text-generation": ("save_gpt2", "GPT2LMHeadModel", {}),
    "image-classification": ("save_vit", "ViTForImageClassification", labels("cat", "dog")),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(hub, tmp_path_factory):
    """A model for each task, published by the stock client: task → (id, folder)."""
    published = {}
    for task, (save, head, settings) in HEADS.items():
        folder = tmp_path_factory.mktemp(task)
        getattr(tiny_checkpoints, save)(folder, head, **settings)
        (folder / "README.md").write_text(f"---\npipeline_tag: {task}\n---\n# {task}\n")
        name = f"alice/tiny-{task}"
        hub.alice.create_repo(name)
        hub.alice.upload_folder(repo_id=name, folder_path=folder)
        published[task] = (name, folder)
    return published


def client(hub, models, task: str) -> InferenceClient:
    """The stock client, pointed at a model."""
    return InferenceClient(model=f"{hub.url}/models/{models[task][0]}")


def local(models, task: str):
    """The same model as a pipeline here."""
    return samovar.pipeline(task, model=str(models[task][1]))


def test_text_classification(hub, models):
    found = client(hub, models, "text-classification").text_classification("a good film", top_k=2)
    expected = local(models, "text-classification")("a good film", top_k=2)
    assert [one.label for one in found] == [one["label"] for one in expected]
    assert [one.score for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)


def test_token_classification(hub, models):
    text = "anna likes moscow"
    found = client(hub, models, "token-classification").token_classification(text, aggregation_strategy="simple")
    expected = local(models, "token-classification")(text, aggregation_strategy="simple")
    assert [(one.entity_group, one.start, one.end) for one in found] == [
        (one["entity_group"], one["start"], one["end"]) for one in expected
    ]


def test_question_answering(hub, models):
    given = {"question": "who sat", "context": "the cat sat on the mat"}
    found = client(hub, models, "question-answering").question_answering(**given)
    expected = local(models, "question-answering")(given)
    assert (found.answer, found.start, found.end) == (expected["answer"], expected["start"], expected["end"])


def test_zero_shot_classification(hub, models):
    found = client(hub, models, "zero-shot-classification").zero_shot_classification("a good film", ["film", "dog"])
    expected = local(models, "zero-shot-classification")("a good film", candidate_labels=["film", "dog"])
    assert [one.label for one in found] == expected["labels"]
    assert [one.score for one in found] == pytest.approx(expected["scores"], abs=1e-5)


def test_fill_mask(hub, models):
    found = client(hub, models, "fill-mask").fill_mask("the [MASK] sat")
    expected = local(models, "fill-mask")("the [MASK] sat")
    assert [one.token_str for one in found] == [one["token_str"] for one in expected]


def test_feature_extraction(hub, models):
    found = client(hub, models, "feature-extraction").feature_extraction("the cat")
    assert np.allclose(found, local(models, "feature-extraction")("the cat"), atol=1e-5)


def test_image_classification(hub, models, tmp_path):
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    found = client(hub, models, "image-classification").image_classification(path)
    expected = local(models, "image-classification")(Image.open(path))
    assert [one.label for one in found] == [one["label"] for one in expected]
    with_parameters = client(hub, models, "image-classification").image_classification(path, top_k=1)
    assert [one.label for one in with_parameters] == [expected[0]["label"]]


def test_text_generation_whole_and_streamed(hub, models):
    asked = client(hub, models, "text-generation")
    whole = asked.text_generation("the cat", max_new_tokens=8, do_sample=False)
    pieces = list(asked.text_generation("the cat", max_new_tokens=8, do_sample=False, stream=True))
    assert len(pieces) > 1
    expected = local(models, "text-generation")("the cat", max_new_tokens=8, do_sample=False)[0]["generated_text"]
    assert whole in (expected, expected.removeprefix("the cat"))
    assert "".join(pieces) in expected


def test_many_visitors_are_answered_right(hub, models):
    from concurrent.futures import ThreadPoolExecutor

    texts = [f"a {word} film" for word in ("good", "bad", "very", "not") * 8]
    asked = client(hub, models, "text-classification")
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda text: asked.text_classification(text)[0], texts))
    expected = [one[0] for one in local(models, "text-classification")(texts, top_k=None)]
    assert [one.label for one in found] == [one["label"] for one in expected]
    assert [one.score for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)


def test_health_and_info(hub, models):
    url = f"{hub.url}/models/{models['fill-mask'][0]}"
    asked = InferenceClient(model=url, provider="hf-inference")
    assert asked.health_check(model=url)
    assert asked.get_endpoint_info(model=url)["model_pipeline_tag"] == "fill-mask"


@pytest.mark.parametrize(
    ("task", "body", "status"),
    [
        ("text-classification", b"{", 400),
        ("text-classification", b'{"text": "x"}', 400),
        ("text-classification", b'{"inputs": 3}', 400),
        ("text-classification", b'{"inputs": "x", "parameters": {"trust_remote_code": true}}', 400),
        ("text-classification", b'{"inputs": "x", "parameters": {"no_such_option": 1}}', 422),
        ("question-answering", b'{"inputs": {"question": "x"}}', 400),
        ("zero-shot-classification", b'{"inputs": "x"}', 400),
        ("image-classification", b"no image", 422),
        ("fill-mask", b'{"inputs": "no mask here"}', 422),
    ],
)
def test_bad_requests_are_refused_with_the_reason(hub, models, task, body, status):
    answer = httpx.post(f"{hub.url}/models/{models[task][0]}", content=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]
    # The model still answers.
    if task == "text-classification":
        assert client(hub, models, task).text_classification("good")


def test_private_models_answer_those_who_see_them_alone(hub, models):
    folder = models["text-classification"][1]
    hub.alice.create_repo("alice/tiny-private", private=True)
    hub.alice.upload_folder(repo_id="alice/tiny-private", folder_path=folder)
    url = f"{hub.url}/models/alice/tiny-private"
    absent = httpx.post(f"{hub.url}/models/alice/tiny-absent", json={"inputs": "x"})
    refused = httpx.post(url, json={"inputs": "x"})
    assert refused.status_code == absent.status_code
    assert refused.text == absent.text
    assert InferenceClient(model=url, token=hub.alice.token).text_classification("good film")


def test_widget_answers_without_scripts(hub, models):
    name = models["text-classification"][0]
    page = httpx.get(f"{hub.url}/{name}").text
    assert 'action="/alice/tiny-text-classification/try"' in page
    answer = httpx.post(
        f"{hub.url}/{name}/try", data={"text": "a <b>good</b> film"}, headers={"Origin": hub.url}, timeout=60
    )
    assert answer.text.count("<meter") == 3
    assert "a &lt;b&gt;good&lt;/b&gt; film" in answer.text
    part = httpx.post(
        f"{hub.url}/{name}/try", data={"text": "good"}, headers={"Origin": hub.url, "X-Part": "answer"}, timeout=60
    )
    assert part.text.count("<meter") == 3
    assert "<html" not in part.text
    elsewhere = httpx.post(f"{hub.url}/{name}/try", data={"text": "good"}, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403


def test_answers_mark_what_was_found(hub, models):
    given = {"question": "who sat", "context": "the cat <i>sat</i> on the mat"}
    answer = httpx.post(
        f"{hub.url}/{models['question-answering'][0]}/try",
        data=given,
        headers={"Origin": hub.url, "X-Part": "answer"},
        timeout=60,
    )
    assert "<mark" in answer.text
    assert "<i>" not in answer.text


def test_models_make_room_for_one_another(tmp_path_factory, models):
    """With room for one model, each of two is loaded when it is asked, and the other one's process ends."""
    from running_hub import RunningHub

    small = RunningHub(tmp_path_factory.mktemp("small"), inference_memory="500MiB")
    small.start()
    try:
        for task in ("text-classification", "fill-mask"):
            small.alice.create_repo(f"alice/{task}")
            small.alice.upload_folder(repo_id=f"alice/{task}", folder_path=models[task][1])
        ask = InferenceClient()
        for _ in range(2):
            assert ask.text_classification("good", model=f"{small.url}/models/alice/text-classification")
            assert ask.fill_mask("the [MASK]", model=f"{small.url}/models/alice/fill-mask")
            assert len(workers_of(small.process.pid)) == 1
    finally:
        assert small.stop() == 0
    assert not workers_of(small.process.pid)


def test_model_over_the_budget_says_so(tmp_path_factory, models):
    from running_hub import RunningHub

    tiny = RunningHub(tmp_path_factory.mktemp("tiny"), inference_memory="100MiB")
    tiny.start()
    try:
        tiny.alice.create_repo("alice/large")
        tiny.alice.upload_folder(repo_id="alice/large", folder_path=models["fill-mask"][1])
        answer = httpx.post(f"{tiny.url}/models/alice/large", json={"inputs": "the [MASK]"})
        assert answer.status_code == 413
        assert "GB" in json.loads(answer.text)["error"]
    finally:
        tiny.stop()


def workers_of(parent: int) -> list[int]:
    """The processes that a Hub has started for models."""
    import psutil

    try:
        children = psutil.Process(parent).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child.pid for child in children if any("inference.worker" in part for part in child.cmdline())]
