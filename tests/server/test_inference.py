"""Models answer over HTTP: the stock inference client is the test, and each answer is the pipeline's own."""

from __future__ import annotations

import json
import time

import asked_models
import httpx
import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

import samovar
from samovar.pipelines.registry import BUILT_IN
from samovar.server.inference.contract import CONTRACTS
from samovar.server.taxonomy.about import ABOUT
from samovar.server.web.asking import FIELDS

pytestmark = pytest.mark.slow
# Those whose answers are compared here; `chat` is a language model that knows how a conversation is written out.
TASKS = [
    *asked_models.HEADS, "table-question-answering", "summarization", "translation", "text2text-generation", "chat",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(hub, tmp_path_factory):
    """A model for each task, published by the stock client: task → (id, folder)."""
    published = {}
    for task in TASKS:
        folder = asked_models.save(task, tmp_path_factory.mktemp(task))
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
    return samovar.pipeline("text-generation" if task == "chat" else task, model=str(models[task][1]))


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


def test_generated_text_says_how_it_ended(hub, models):
    asked = client(hub, models, "chat")
    whole = asked.text_generation("the cat", max_new_tokens=5, do_sample=False, details=True)
    assert whole.details.finish_reason == "length"
    assert whole.details.generated_tokens >= 5
    *pieces, last = asked.text_generation("the cat", max_new_tokens=5, do_sample=False, details=True, stream=True)
    assert "".join(one.token.text for one in pieces) == last.generated_text
    assert last.details.finish_reason == "length"
    drawn = [asked.text_generation("the cat", max_new_tokens=9, temperature=1.5, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(HfHubHTTPError, match="best_of"):
        asked.text_generation("the cat", best_of=3)


def test_chat_whole_and_streamed(hub, models):
    asked = client(hub, models, "chat")
    messages = [{"role": "user", "content": "the cat"}]
    options = {"max_tokens": 6, "temperature": 0.0}
    whole = asked.chat_completion(messages, **options)
    said = local(models, "chat")(messages, max_new_tokens=6, do_sample=False)[0]["generated_text"][-1]
    assert whole.choices[0].message.content == said["content"]
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.usage.prompt_tokens > 4
    chunks = list(asked.chat_completion(messages, stream=True, stream_options={"include_usage": True}, **options))
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == said["content"]
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    parts = [{"role": "user", "content": [{"type": "text", "text": "the "}, {"type": "text", "text": "cat"}]}]
    assert asked.chat_completion(parts, **options).choices[0].message.content == said["content"]
    with pytest.raises(HfHubHTTPError, match="Tools"):
        asked.chat_completion(messages, tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
    with pytest.raises(HfHubHTTPError, match="chat template"):
        client(hub, models, "text-generation").chat_completion(messages)


def test_summaries_and_translations(hub, models):
    summary = client(hub, models, "summarization").summarization(
        "the cat sat", generate_parameters={"max_new_tokens": 7, "num_beams": 2}
    )
    expected = local(models, "summarization")("the cat sat", max_new_tokens=7, num_beams=2)
    assert summary.summary_text == expected[0]["summary_text"]
    found = client(hub, models, "translation").translation("the dog", generate_parameters={"max_new_tokens": 7})
    assert found.translation_text == local(models, "translation")("the dog", max_new_tokens=7)[0]["translation_text"]
    body = {"inputs": "the dog", "parameters": {"max_new_tokens": 7}}
    written = post(hub, models, "text2text-generation", body)
    assert written == local(models, "text2text-generation")("the dog", max_new_tokens=7)


def test_table_question_answering(hub, models):
    table = {"city": ["moscow", "paris"], "dogs": ["12", "90"]}
    found = client(hub, models, "table-question-answering").table_question_answering(table, "how many dogs")
    expected = local(models, "table-question-answering")(table=table, query="how many dogs")
    assert (found.answer, found.cells, found.aggregator) == (
        expected["answer"], expected["cells"], expected["aggregator"],
    )  # fmt: skip
    assert [tuple(place) for place in found.coordinates] == [tuple(place) for place in expected["coordinates"]]


def test_similar_sentences_and_choices(hub, models):
    found = client(hub, models, "sentence-similarity").sentence_similarity("a cat", ["a dog", "moscow"])
    given = {"source_sentence": "a cat", "sentences": ["a dog", "moscow"]}
    assert found == pytest.approx(local(models, "sentence-similarity")(given), abs=1e-5)
    given = {"question": "who sat", "choices": ["the cat", "paris"]}
    chosen = post(hub, models, "multiple-choice", {"inputs": given})
    assert [one["choice"] for one in chosen] == [one["choice"] for one in local(models, "multiple-choice")(given)]


def test_vectors_of_length_one_and_of_a_model_of_embeddings(hub, models, tmp_path):
    asked, whole = client(hub, models, "feature-extraction"), local(models, "feature-extraction")("the cat")
    unit = np.asarray(asked.feature_extraction("the cat", normalize=True))
    rows = np.asarray(whole) / np.linalg.norm(whole, axis=-1, keepdims=True)
    assert np.allclose(unit, rows, atol=1e-5)
    assert asked.feature_extraction("the cat", dimensions=8).shape[-1] == 8
    encoder = samovar.SentenceTransformer(str(models["feature-extraction"][1]))
    encoder.save(str(tmp_path))
    hub.alice.create_repo("alice/encoder")
    hub.alice.upload_folder(repo_id="alice/encoder", folder_path=tmp_path)
    url = f"{hub.url}/models/alice/encoder/pipeline/feature-extraction"
    found = InferenceClient(model=url).feature_extraction(["the cat", "a dog"], normalize=True)
    assert np.allclose(found, encoder.encode(["the cat", "a dog"], normalize_embeddings=True), atol=1e-5)


def test_vectors_of_a_picture(hub, models, tmp_path):
    Image.new("RGB", (40, 30), "navy").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    answer = httpx.post(f"{hub.url}/models/{models['image-feature-extraction'][0]}", content=data, timeout=60)
    expected = local(models, "image-feature-extraction")(Image.open(tmp_path / "a.png"))
    assert np.allclose(answer.json(), expected, atol=1e-5)


def test_whoever_goes_away_is_forgotten(hub, models):
    """A stream whose reader leaves, and a question whose asker does, are cancelled; the model answers others."""
    url = f"{hub.url}/models/{models['chat'][0]}"
    body = {"inputs": "the cat", "parameters": {"max_new_tokens": 1024}}
    before = counted(hub, "cancelled")
    with httpx.stream("POST", url, json={**body, "stream": True}, timeout=60) as streamed:
        assert next(streamed.iter_lines()).startswith("data:")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json={**body, "parameters": {"max_new_tokens": 1023}}, timeout=0.5)
    end = time.monotonic() + 60
    while counted(hub, "cancelled") < before + 2:
        assert time.monotonic() < end, "nobody noticed"
        time.sleep(0.05)
    assert client(hub, models, "chat").text_generation("the cat", max_new_tokens=2)


def post(hub, models, task: str, body):
    """What a model answers to a body that no method of the client writes."""
    answer = httpx.post(f"{hub.url}/models/{models[task][0]}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def counted(hub, what: str) -> int:
    """A counter of the models of the Hub's process."""
    line = next(
        line
        for line in httpx.get(f"{hub.url}/metrics").text.splitlines()
        if line.startswith(f"samovar_hub_model_{what}_total ")
    )
    return int(float(line.split()[1]))


def test_every_task_of_the_library_has_a_form_a_widget_and_a_page():
    for spec in BUILT_IN:
        assert spec.name in CONTRACTS, "samovar.server.inference.contract says how it is asked over HTTP"
        assert CONTRACTS[spec.name].kind in FIELDS
        assert spec.name in ABOUT, "samovar.server.taxonomy.about says what it is"


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
        ("image-feature-extraction", b'{"inputs": "no base64!"}', 400),
        ("multiple-choice", b'{"inputs": {"question": "who"}}', 400),
        ("sentence-similarity", b'{"inputs": {"source_sentence": "a", "sentences": "b"}}', 400),
        ("feature-extraction", b'{"inputs": "a", "encoding_format": "base64"}', 422),
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
        page = httpx.get(f"{tiny.url}/alice/large").text
        assert "models on this Hub may use 0.1 GB" in page
        assert "data-try" not in page
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
