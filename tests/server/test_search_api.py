"""Lists, facets and full text as the stock client and a browser ask for them; what is private shows nowhere."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import torch
from huggingface_hub import CommitOperationAdd
from safetensors.torch import save

MODELS = {
    "films-bert": ("pipeline_tag: text-classification\nlanguage: en\nlicense: mit\ndatasets: [imdb]",
                   {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}, 50),
    "films-roberta": ("language: [en, de]\nlicense: apache-2.0\ndatasets: [imdb, sst2]",
                      {"architectures": ["RobertaForSequenceClassification"], "model_type": "roberta"}, 2000),
    "names-bert": ("language: de\nlicense: mit\nbase_model: finder/films-bert\ntags: [conll]",
                   {"architectures": ["BertForTokenClassification"], "model_type": "bert"}, 50_000),
    "plain": (None, None, None),
    "tiny-gguf": ("license: mit\nlibrary_name: llama.cpp\ntags: [gguf]", None, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def finder(hub):
    """A user with models, a data set and a space, among them private ones."""
    api = hub.client(hub.add_user("finder"))
    for name, (card, config, size) in MODELS.items():
        files = {}
        if card is not None:
            files["README.md"] = f"---\n{card}\n---\n\n# {name}\n\nA model about cinematography, called {name}.\n"
        if config is not None:
            files["config.json"] = json.dumps(config)
        if size is not None:
            files["model.safetensors"] = save({"weight": torch.zeros(size)})
        push(api, f"finder/{name}", files)
    secret = (
        "---\nlicense: secret-license\ntags: [secret-tag]\nlanguage: de\ndatasets: [imdb]\n---\nAbout cinematography."
    )
    secret_config = json.dumps({"architectures": ["SecretForSequenceClassification"], "model_type": "secret"})
    push(api, "finder/hidden-bert", {"README.md": secret, "config.json": secret_config}, private=True)
    card = "---\nlanguage: [en]\ntask_categories: [text-classification]\nlicense: mit\n---\nReviews of films."
    push(api, "finder/reviews", {"README.md": card, "train.csv": "text,label\na,1\n"}, type_="dataset")
    push(api, "finder/hidden-reviews", {"README.md": card}, type_="dataset", private=True)
    card = "---\nsdk: static\nmodels: [finder/films-bert]\ndatasets: [finder/reviews]\n---\nTry it."
    push(api, "finder/demo", {"README.md": card}, type_="space")
    push(api, "finder/hidden-demo", {"README.md": card}, type_="space", private=True)
    return api


def push(api, name: str, files: dict[str, str | bytes], type_: str = "model", private: bool = False) -> None:
    """A new repository with those files."""
    more = {"space_sdk": "static"} if type_ == "space" else {}
    api.create_repo(name, repo_type=type_, private=private, **more)
    operations = [
        CommitOperationAdd(path, content if isinstance(content, bytes) else content.encode())
        for path, content in files.items()
    ]
    if operations:
        api.create_commit(name, operations, commit_message="files", repo_type=type_)


def names(found) -> set[str]:
    """The names behind the slash."""
    return {one.id.partition("/")[2] for one in found}


@pytest.mark.parametrize(("asked", "expected"), [
    ({}, set(MODELS)),
    ({"search": "bert"}, {"films-bert", "films-roberta", "names-bert"}),
    ({"search": "BERT films"}, {"films-bert", "films-roberta"}),
    ({"search": "finder/films"}, {"films-bert", "films-roberta"}),
    ({"search": "s-bert"}, {"films-bert", "names-bert"}),
    ({"filter": "mit"}, set()),
    ({"filter": "license:mit"}, {"films-bert", "names-bert", "tiny-gguf"}),
    ({"filter": ["license:mit", "bert"]}, {"films-bert", "names-bert"}),
    ({"filter": ["en", "de"]}, {"films-roberta"}),
    ({"filter": "en,de"}, {"films-roberta"}),
    ({"filter": "language:de"}, {"films-roberta", "names-bert"}),
    ({"filter": "pytorch"}, {"films-bert", "films-roberta", "names-bert"}),
    ({"filter": "text-classification"}, {"films-bert", "films-roberta"}),
    ({"filter": "conll"}, {"names-bert"}),
    ({"filter": "base_model:finder/films-bert"}, {"names-bert"}),
    ({"filter": "base_model:finetune:finder/films-bert"}, {"names-bert"}),
    ({"trained_dataset": "imdb"}, {"films-bert", "films-roberta"}),
    ({"trained_dataset": ["imdb", "dataset:sst2"]}, {"films-roberta"}),
    ({"pipeline_tag": "token-classification"}, {"names-bert"}),
    ({"num_parameters": "min:1K"}, {"films-roberta", "names-bert"}),
    ({"num_parameters": "max:0.002M"}, {"films-bert", "films-roberta"}),
    ({"num_parameters": "min:1K,max:10K"}, {"films-roberta"}),
    ({"gated": True}, set()),
    ({"gated": False}, set(MODELS)),
    ({"apps": "ollama"}, {"tiny-gguf"}),
    ({"apps": ["ollama", "vllm"]}, set()),
    ({"inference": "warm"}, set()),
    ({"inference_provider": "all"}, set()),
    ({"author": "FINDER", "search": "plain"}, {"plain"}),
    ({"search": "hidden"}, set()),
    ({"filter": "secret-tag"}, set()),
])  # fmt: skip
def test_every_parameter_of_list_models(hub, finder, asked, expected):
    assert names(hub.nobody.list_models(**{"author": "finder", **asked})) == expected


@pytest.mark.parametrize(("asked", "expected"), [
    ({}, {"reviews"}), ({"dataset_name": "revi"}, {"reviews"}), ({"dataset_name": "revi", "search": "zzz"}, set()),
    ({"language": "en"}, {"reviews"}), ({"language": ["en", "de"]}, set()),
    ({"task_categories": "text-classification"}, {"reviews"}), ({"task_ids": "ner"}, set()),
    ({"size_categories": "n<1K"}, {"reviews"}), ({"multilinguality": "monolingual"}, set()),
    ({"language_creators": "found"}, set()), ({"benchmark": True}, set()), ({"gated": True}, set()),
    ({"filter": ["format:csv", "license:mit"]}, {"reviews"}), ({"filter": "library:datasets"}, {"reviews"}),
])  # fmt: skip
def test_every_parameter_of_list_datasets(hub, finder, asked, expected):
    assert names(hub.nobody.list_datasets(author="finder", **asked)) == expected


@pytest.mark.parametrize(("asked", "expected"), [
    ({}, {"demo"}), ({"search": "dem"}, {"demo"}), ({"filter": "static"}, {"demo"}), ({"linked": True}, {"demo"}),
    ({"models": "finder/films-bert"}, {"demo"}), ({"models": "finder/plain"}, set()),
    ({"datasets": ["finder/reviews"]}, {"demo"}),
])  # fmt: skip
def test_every_parameter_of_list_spaces(hub, finder, asked, expected):
    assert names(hub.nobody.list_spaces(author="finder", **asked)) == expected


def test_older_clients_spell_it_otherwise(hub, finder):
    def found(query: str) -> set[str]:
        answer = httpx.get(f"{hub.url}/api/models?author=finder&{query}")
        assert answer.status_code == 200, answer.text
        return {one["id"].partition("/")[2] for one in answer.json()}

    assert found("gated=False&full=True&config=True&cardData=True&direction=-1") == set(MODELS)
    assert found("expand[]=downloads&expand[]=likes&sort=last_modified") == set(MODELS)
    assert found("library=pytorch&language=de&license=mit") == {"names-bert"}
    assert found("dataset=imdb&filter[]=en") == {"films-bert", "films-roberta"}


@pytest.mark.parametrize("query", [
    "sort=size", "direction=1", "limit=x", "limit=-1", "cursor=nonsense", "gated=perhaps", "num_parameters=6B",
    "num_parameters=min:x", "expand=everything", "expand=likes&full=true", "full=maybe", "search=" + "x" * 500,
    "filter=" + ",".join("abcdefghij" * 11), "num_parameters=min:1e9", "limit=1.5",
])  # fmt: skip
def test_what_cannot_be_read_is_named(hub, query):
    answer = httpx.get(f"{hub.url}/api/models?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"] == answer.headers["X-Error-Message"]
    assert len(answer.json()["error"]) > 20


def test_orders(hub, finder):
    for name in ("films-roberta", "tiny-gguf"):
        httpx.post(
            f"{hub.url}/api/models/finder/{name}/like", headers={"Authorization": f"Bearer {hub.alice.token}"}
        ).raise_for_status()
    httpx.post(
        f"{hub.url}/api/models/finder/tiny-gguf/like", headers={"Authorization": f"Bearer {hub.bob.token}"}
    ).raise_for_status()
    api = hub.nobody
    liked = [one.id for one in api.list_models(author="finder", sort="likes", limit=2)]
    assert liked == ["finder/tiny-gguf", "finder/films-roberta"]
    created = [one.created_at for one in api.list_models(author="finder", sort="created_at")]
    assert created == sorted(created, reverse=True)
    assert len(created) == len(MODELS)
    modified = [one.last_modified for one in api.list_models(author="finder", sort="last_modified", full=True)]
    assert modified == sorted(modified, reverse=True)
    for sort in ("downloads", "trending_score"):
        assert names(api.list_models(author="finder", sort=sort)) == set(MODELS)


def test_what_items_hold(hub, finder):
    api = hub.nobody
    [brief] = api.list_models(author="finder", search="films-bert")
    assert brief.siblings is None
    assert (brief.pipeline_tag, brief.library_name, brief.private) == ("text-classification", "transformers", False)
    [full] = api.list_models(author="finder", search="films-bert", full=True, cardData=True, fetch_config=True)
    assert {one.rfilename for one in full.siblings} >= {"README.md", "config.json", "model.safetensors"}
    assert full.card_data.license == "mit"
    assert full.config["model_type"] == "bert"
    assert full.sha == api.model_info("finder/films-bert").sha
    keys = ["safetensors", "spaces", "childrenModelCount", "baseModels", "inferenceProviderMapping", "mask_token"]
    [expanded] = api.list_models(author="finder", search="films-bert", expand=keys)
    assert expanded.safetensors.total == 50
    assert expanded.spaces == ["finder/demo"]
    assert expanded.children_model_count == 1
    assert expanded.inference_provider_mapping == []
    assert expanded.likes is None
    [raw] = httpx.get(f"{hub.url}/api/models?search=finder/films-bert&expand=likes").json()
    assert set(raw) == {"_id", "id", "modelId", "likes"}
    [space] = api.list_spaces(author="finder", full=True)
    assert (space.sdk, space.models, space.datasets) == ("static", ["finder/films-bert"], ["finder/reviews"])
    [dataset] = api.list_datasets(author="finder", full=True)
    assert dataset.description == "Reviews of films."


def test_pages_with_changes_in_between(hub):
    api = hub.client(hub.add_user("pager"))
    for number in range(9):
        api.create_repo(f"pager/page-{number}")
    seen, address = [], f"{hub.url}/api/models?author=pager&sort=createdAt&limit=2&search=page"
    for step in range(9):
        answer = httpx.get(address)
        answer.raise_for_status()
        seen += [one["id"] for one in answer.json()]
        if step == 0:
            api.create_repo("pager/page-new")
            api.delete_repo("pager/page-4")
            api.move_repo("pager/page-8", "pager/page-renamed")
        following = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        if not following:
            break
        address = following[1]
    assert seen == [f"pager/page-{number}" for number in (8, 7, 6, 5, 3, 2, 1, 0)]
    assert len(list(hub.nobody.list_models(author="pager", limit=3))) == 3
    answer = httpx.get(f"{hub.url}/api/models?author=pager&limit=9")
    assert len(answer.json()) == 9
    assert "Link" not in answer.headers


def test_a_change_is_seen_at_once(hub):
    api = hub.client(hub.add_user("hasty"))
    assert names(hub.nobody.list_models(author="hasty")) == set()
    api.create_repo("hasty/first")
    assert names(hub.nobody.list_models(author="hasty")) == {"first"}
    api.upload_file(path_or_fileobj=b"---\nlicense: wtfpl\n---\n", path_in_repo="README.md", repo_id="hasty/first")
    assert names(hub.nobody.list_models(filter="license:wtfpl")) == {"first"}
    api.update_repo_settings("hasty/first", private=True)
    assert names(hub.nobody.list_models(author="hasty")) == set()
    assert names(api.list_models(author="hasty")) == {"first"}
    api.update_repo_settings("hasty/first", private=False)
    api.move_repo("hasty/first", "hasty/second")
    assert names(hub.nobody.list_models(filter="license:wtfpl")) == {"second"}
    api.delete_repo("hasty/second")
    assert names(api.list_models(filter="license:wtfpl")) == set()


def test_private_ones_show_to_their_owner_alone(hub, finder):
    for who, hidden in ((finder, {"hidden-bert"}), (hub.alice, set()), (hub.nobody, set())):
        assert names(who.list_models(author="finder")) == set(MODELS) | hidden
        assert names(who.list_models(author="finder", search="hidden")) == hidden
        assert names(who.list_models(filter="secret-tag")) == hidden
        assert names(who.list_models(filter="license:secret-license")) == hidden
        assert names(who.list_datasets(author="finder", search="hidden")) == {one[:7] + "reviews" for one in hidden}
        assert names(who.list_spaces(author="finder", search="hidden")) == {one[:7] + "demo" for one in hidden}
    info = {
        who: who.model_info("finder/films-bert", expand=["spaces", "childrenModelCount"]) for who in (finder, hub.bob)
    }
    assert set(info[finder].spaces) == {"finder/demo", "finder/hidden-demo"}
    assert info[hub.bob].spaces == ["finder/demo"]


def test_private_ones_are_counted_nowhere(hub, finder):
    def ask(path: str, api=hub.nobody):
        token = api.token if isinstance(api.token, str) else None
        answer = httpx.get(hub.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer.raise_for_status()
        return answer.json()

    everywhere = [
        "/api/models-tags-by-type", "/api/datasets-tags-by-type", "/api/tasks", "/api/trending",
        "/api/quicksearch?q=hidden", "/api/quicksearch?q=finder", "/api/models-facets?author=finder",
        "/api/datasets-facets?author=finder", "/api/spaces-facets?author=finder", "/api/models-facets?limit=1000",
        "/api/search/full-text?q=cinematography", "/api/search/full-text?q=hidden bert",
    ]  # fmt: skip
    for path in everywhere:
        for who in (hub.nobody, hub.alice):
            said = ask(path, who)
            # The question itself is said back.
            said.pop("q", None), said.pop("query", None)
            assert not re.search("hidden|secret", json.dumps(said)), path
    mine, others = ask("/api/models-facets?author=finder", finder), ask("/api/models-facets?author=finder")
    assert (mine["total"], others["total"]) == (len(MODELS) + 1, len(MODELS))
    assert "secret-license" in {one["label"] for one in mine["facets"]["license"]}
    count = {one["id"]: one["count"] for one in others["facets"]["language"]}
    assert count == {"en": 2, "de": 2}
    assert ask("/api/quicksearch?q=bert finder&type=model")["modelsCount"] == 3
    assert ask("/api/quicksearch?q=bert finder&type=model", finder)["modelsCount"] == 4
    hits = {who: ask("/api/search/full-text?q=cinematography&type=model", who) for who in (finder, hub.alice)}
    assert [len(hits[who]["hits"]) for who in (finder, hub.alice)] == [5, 4]


def test_scores_of_the_full_text_do_not_tell_of_private_cards(hub, finder):
    path = "/api/search/full-text?q=cinematography&type=model"
    before = httpx.get(hub.url + path).json()["hits"]
    card = "---\nlicense: mit\n---\nAbout cinematography, cinematography and cinematography."
    push(finder, "finder/hidden-more", {"README.md": card}, private=True)
    assert httpx.get(hub.url + path).json()["hits"] == before
    finder.delete_repo("finder/hidden-more")


def test_facets_follow_the_filters_but_not_their_own(hub, finder):
    answer = httpx.get(
        f"{hub.url}/api/models-facets?author=finder&filter=license:mit&facet=license,language,parameters,library"
    )
    said = answer.json()
    assert said["total"] == 3
    counts = {name: {one["label"]: one["count"] for one in values} for name, values in said["facets"].items()}
    assert counts["license"] == {"mit": 3, "apache-2.0": 1}
    assert counts["language"] == {"en": 1, "de": 1}
    assert counts["parameters"] == {"<1M": 2}
    assert counts["library"]["transformers"] == 2
    task = httpx.get(f"{hub.url}/api/models-facets?author=finder&pipeline_tag=token-classification").json()
    assert {one["id"]: one["count"] for one in task["facets"]["pipeline_tag"]} == {
        "text-classification": 2, "token-classification": 1,
    }  # fmt: skip
    assert httpx.get(f"{hub.url}/api/models-facets?facet=colour").status_code == 400


def test_full_text_ranks_names_and_cards(hub, finder):
    def found(query: str) -> list[str]:
        answer = httpx.get(f"{hub.url}/api/search/full-text", params={"q": query})
        answer.raise_for_status()
        return [hit["repoId"] for hit in answer.json()["hits"]]

    assert found("cinematography roberta")[0] == "finder/films-roberta"
    assert set(found("reviews of films")) >= {"finder/reviews", "finder/films-bert"}
    assert found("of the and") == []
    assert found("zzzzzz") == []
    [hit] = httpx.get(f"{hub.url}/api/search/full-text?q=reviews&type=dataset").json()["hits"]
    assert (hit["type"], hit["formatted"]["fileContent"]) == ("dataset", "Reviews of films.")
    assert httpx.get(f"{hub.url}/api/search/full-text?q=x&type=kernel").status_code == 400


def test_tags_by_type_and_tasks_have_the_shape_that_clients_read(hub, finder):
    models = httpx.get(f"{hub.url}/api/models-tags-by-type").json()
    assert {"pipeline_tag", "library", "dataset", "language", "license", "other", "region"} <= set(models)
    assert {"id": "license:mit", "label": "mit", "type": "license"} in models["license"]
    assert {"id": "de", "label": "German", "type": "language"} in models["language"]
    assert {"id": "dataset:imdb", "label": "imdb", "type": "dataset"} in models["dataset"]
    fill_mask = next(one for one in models["pipeline_tag"] if one["id"] == "fill-mask")
    assert fill_mask == {"id": "fill-mask", "label": "Fill mask", "type": "pipeline_tag", "subType": "nlp"}
    datasets = httpx.get(f"{hub.url}/api/datasets-tags-by-type").json()
    assert "task_categories:text-classification" in {one["id"] for one in datasets["task_categories"]}
    tasks = httpx.get(f"{hub.url}/api/tasks").json()
    assert "finder/names-bert" in tasks["token-classification"]["widgetModels"]


def test_a_browser_finds_while_typing(hub, finder):
    said = httpx.get(f"{hub.url}/api/quicksearch?q=find").json()
    assert {"models", "datasets", "spaces", "users", "orgs"} <= set(said)
    assert [one["name"] for one in said["users"]] == ["finder"]
    assert httpx.get(f"{hub.url}/api/quicksearch?q=%25").json()["users"] == []
    assert len(httpx.get(f"{hub.url}/api/trending?type=model&limit=3").json()["recentlyTrending"]) == 3
