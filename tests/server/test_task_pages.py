"""Pages of the tasks: what they lead to, with which numbers, and an example that runs where it stands."""

from __future__ import annotations

import re

import asked_models
import httpx
import pytest

from samovar.evaluate.spec import all_metrics
from samovar.server.taxonomy.about import ABOUT
from samovar.server.taxonomy.tasks import GROUP_OF
from samovar.server.web.languages import languages

WALKTHROUGH = """
text-classification token-classification question-answering fill-mask summarization translation text2text-generation
text-generation multiple-choice zero-shot-classification feature-extraction sentence-similarity table-question-answering
image-classification object-detection image-segmentation depth-estimation image-to-image image-feature-extraction
mask-generation zero-shot-image-classification zero-shot-object-detection keypoint-detection keypoint-matching
video-classification audio-classification automatic-speech-recognition text-to-audio zero-shot-audio-classification
image-to-text document-question-answering visual-question-answering image-text-to-text any-to-any
time-series-forecasting reinforcement-learning
""".split()  # noqa: SIM905


def test_every_task_is_explained_in_every_language():
    assert set(WALKTHROUGH) <= set(ABOUT) <= set(GROUP_OF)
    for task, about in ABOUT.items():
        assert set(about.metrics) <= set(all_metrics()), task
        assert about.text.endswith(".")
        for language in languages().values():
            if language.code != "en":
                for text in (about.text, about.takes, about.gives):
                    assert text in language.texts, (task, language.code)


@pytest.mark.slow
def test_pages_lead_to_models_data_sets_and_metrics_and_run_an_example(hub, tmp_path):
    # The most liked of the task cannot be run, the next one can, and a private one is nobody's business.
    for name, private in (("bare", False), ("judge", False), ("secret", True)):
        hub.alice.create_repo(f"alice/{name}", private=private)
    for name in ("bare", "secret"):
        hub.alice.upload_file(
            path_or_fileobj=b"---\npipeline_tag: text-classification\n---\n", path_in_repo="README.md",
            repo_id=f"alice/{name}",
        )  # fmt: skip
    hub.alice.upload_folder(repo_id="alice/judge", folder_path=asked_models.save("text-classification", tmp_path))
    assert httpx.post(f"{hub.url}/api/models/alice/bare/like",
                      headers={"Authorization": f"Bearer {hub.alice.token}"}).status_code == 200  # fmt: skip
    hub.alice.create_repo("alice/films", repo_type="dataset")
    hub.alice.upload_file(
        path_or_fileobj=b"---\ntask_categories: [text-classification]\n---\n", path_in_repo="README.md",
        repo_id="alice/films", repo_type="dataset",
    )  # fmt: skip

    index = httpx.get(f"{hub.url}/tasks").text
    assert re.search(r'href="/models\?pipeline_tag=text-classification">2 models<', index)
    assert re.search(r'href="/datasets\?task_categories=text-classification">1 dataset<', index)
    page = httpx.get(f"{hub.url}/tasks/text-classification").text
    assert page.index("alice/</span>bare") < page.index("alice/</span>judge")
    assert "secret" not in page
    assert 'action="/alice/judge/try"' in page
    assert "pipeline(" in page
    for link in ("/datasets/alice/films", "/metrics/f1", "/models?pipeline_tag=text-classification"):
        assert f'href="{link}"' in page

    for task in ABOUT:
        assert f'href="/tasks/{task}"' in index
        assert httpx.get(f"{hub.url}/tasks/{task}").status_code == 200, task
    assert "no pipeline for this task yet" in httpx.get(f"{hub.url}/tasks/any-to-any").text
    assert httpx.get(f"{hub.url}/tasks/juggling", headers={"Accept": "text/html"}).status_code == 404
    russian = httpx.get(f"{hub.url}/tasks/text-classification", headers={"Accept-Language": "ru"}).text
    assert "<h1>Классификация текста</h1>" in russian
