"""What is pushed to a real Hub: one commit, a card, the same answers from an empty cache, here and in other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, hf_hub_download
from machines import Machine

import samovar
from assets import minilm_folder
from samovar.errors import HubError, InputError, OfflineError

pytestmark = pytest.mark.slow

Machines = Callable[..., Machine]
TEXTS = ["A quiet, clever film.", "Dull."]


def tokenizer() -> Any:
    return samovar.AutoTokenizer.from_pretrained(minilm_folder())


def classifier(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = samovar.BertConfig(
        vocab_size=len(tokenizer()), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        initializer_range=0.3, id2label={0: "bad", 1: "good"},
    )  # fmt: skip
    return samovar.BertForSequenceClassification(config).eval()


def logits(model: Any) -> Any:
    batch = tokenizer()(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(**batch).logits.numpy().tolist()


def state(name: str, revision: str | None = None) -> dict[str, Any]:
    """What the Hub says of a repository."""
    info = HfApi().model_info(name, revision=revision)
    commits = HfApi().list_repo_commits(name, revision=revision)
    return {
        "files": {one.rfilename for one in info.siblings or []}, "tags": info.tags, "task": info.pipeline_tag,
        "library": info.library_name, "private": info.private, "titles": [one.title for one in commits],
        "messages": [one.message for one in commits], "sha": info.sha,
    }  # fmt: skip


def card(name: str) -> str:
    return Path(hf_hub_download(name, "README.md")).read_text("utf-8")


# A model and its tokenizer ----------------------------------------------------------------------------------------


def push_both() -> dict[str, Any]:
    model = classifier()
    first = tokenizer().push_to_hub("both", private=True, commit_message="The words")
    second = model.push_to_hub("alice/both", tags=["films"], commit_description="Weights of a test.")
    return {
        "first": first.oid,
        "second": second.oid,
        "url": str(second),
        "logits": logits(model),
        **state("alice/both"),
    }


def load_both(name: str, cache: Path) -> dict[str, Any]:
    pipe = samovar.pipeline(model=name, cache_dir=cache)
    return {
        "logits": logits(pipe.model),
        "labels": [one["label"] for one in pipe(TEXTS)],
        "kind": type(pipe.tokenizer).__name__,
    }


def load_both_with_transformers(name: str, cache: Path) -> list[Any]:
    import transformers

    words = transformers.AutoTokenizer.from_pretrained(name, cache_dir=cache)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(name, cache_dir=cache).eval()
    with torch.inference_mode():
        return [model(**words(TEXTS, padding=True, return_tensors="pt")).logits.tolist(), model.config.id2label]


def test_a_model_and_its_tokenizer_come_back_the_same(machine: Machines, tmp_path: Path) -> None:
    alice = machine("alice")
    found = alice(push_both)
    assert found["private"] is True
    assert found["url"].endswith(f"/alice/both/commit/{found['second']}")
    assert found["sha"] == found["second"] != found["first"]
    # One commit a push, and one that the repository begins with.
    assert found["titles"][:2] == ["Upload BertForSequenceClassification", "The words"]
    assert found["messages"][0] == "Weights of a test."
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= found["files"]
    assert (found["task"], found["library"]) == ("text-classification", "transformers")
    assert {"samovar", "films"} <= set(found["tags"])
    again = alice(load_both, "alice/both", tmp_path / "ours")
    assert again == {"logits": found["logits"], "labels": again["labels"], "kind": "BertTokenizer"}
    assert set(again["labels"]) <= {"bad", "good"}
    theirs, labels = alice(load_both_with_transformers, "alice/both", tmp_path / "theirs")
    torch.testing.assert_close(torch.tensor(theirs), torch.tensor(found["logits"]), atol=1e-4, rtol=0)
    assert labels == {0: "bad", 1: "good"}


def test_a_private_repository_is_nobody_elses(machine: Machines) -> None:
    machine("alice")(push_quietly, "alice/hidden", True)
    for who in ("bob", None):
        with pytest.raises(OSError, match="alice/hidden is neither a folder on this machine nor a repository on"):
            machine(who)(load_config, "alice/hidden")


def push_quietly(name: str, private: bool | None = None) -> None:
    classifier().config.push_to_hub(name, private=private)


def load_config(name: str, **options: Any) -> int:
    return int(samovar.AutoConfig.from_pretrained(name, **options).hidden_size)


def test_a_token_may_be_given_in_place_of_a_login(machine: Machines, people: Any) -> None:
    nobody = machine(None)
    assert nobody(push_with_token, "alice/by-token", people.tokens["alice"]) is True
    assert nobody(load_config, "alice/by-token", token=people.tokens["reader"]) == 32


def push_with_token(name: str, token: str) -> bool:
    classifier().config.push_to_hub(name, token=token, private=True)
    return bool(HfApi(token=token).model_info(name).private)


# Other things that are pushed -------------------------------------------------------------------------------------


def push_parts() -> dict[str, Any]:
    samovar.ViTImageProcessor(size={"height": 16, "width": 16}).push_to_hub("alice/parts")
    samovar.GenerationConfig(max_new_tokens=7, do_sample=True).push_to_hub("alice/parts")
    classifier().config.push_to_hub("alice/parts", revision="next")
    return state("alice/parts") | {"next": state("alice/parts", "next")["files"], "card": card("alice/parts")}


def load_parts() -> list[Any]:
    import transformers

    ours = samovar.AutoImageProcessor.from_pretrained("alice/parts").size["height"]
    options = samovar.GenerationConfig.from_pretrained("alice/parts").max_new_tokens
    theirs = transformers.GenerationConfig.from_pretrained("alice/parts").max_new_tokens
    return [ours, options, theirs, samovar.AutoConfig.from_pretrained("alice/parts", revision="next").num_hidden_layers]


def test_processors_options_and_configurations(machine: Machines) -> None:
    found = machine("alice")(push_parts)
    assert {"preprocessor_config.json", "generation_config.json", "README.md"} <= found["files"]
    assert "config.json" not in found["files"]
    assert "config.json" in found["next"]
    assert "# alice/parts" in found["card"]
    assert machine(None)(load_parts) == [16, 7, 7, 2]


def push_embeddings() -> list[Any]:
    model = samovar.SentenceTransformer(minilm_folder())
    url = model.push_to_hub("alice/embeddings")
    return [str(url), model.encode(TEXTS).tolist(), state("alice/embeddings"), card("alice/embeddings")]


def load_embeddings() -> list[Any]:
    import sentence_transformers

    ours = samovar.SentenceTransformer("alice/embeddings").encode(TEXTS).tolist()
    return [ours, sentence_transformers.SentenceTransformer("alice/embeddings").encode(TEXTS).tolist()]


def push_embeddings_again() -> None:
    samovar.SentenceTransformer(minilm_folder()).push_to_hub("alice/embeddings", exist_ok=False)


def test_embeddings(machine: Machines) -> None:
    url, vectors, there, text = machine("alice")(push_embeddings)
    assert url.endswith(f"/alice/embeddings/commit/{there['sha']}")
    assert (there["task"], there["library"]) == ("sentence-similarity", "sentence-transformers")
    assert 'SentenceTransformer("alice/embeddings")' in text
    ours, theirs = machine(None)(load_embeddings)
    assert ours == vectors
    torch.testing.assert_close(torch.tensor(theirs), torch.tensor(vectors), atol=1e-5, rtol=0)
    with pytest.raises(HubError, match="alice/embeddings"):
        machine("alice")(push_embeddings_again)


def push_adapter() -> Any:
    model = samovar.get_peft_model(classifier(), samovar.LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS"))
    model.push_to_hub("alice/adapter")
    return state("alice/adapter")


def test_an_adapter(machine: Machines) -> None:
    found = machine("alice")(push_adapter)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= found["files"]
    assert "model.safetensors" not in found["files"]
    assert found["library"] == "peft"


def save_and_push(folder: Path) -> dict[str, Any]:
    (folder / "saved").mkdir()
    (folder / "saved" / "diary.txt").write_text("private")
    model = classifier()
    model.save_pretrained(folder / "saved", push_to_hub=True, repo_id="alice/saved", private=True)
    tokenizer().save_pretrained(str(folder / "saved"), push_to_hub=True, repo_id="alice/saved")
    return state("alice/saved")


def test_saving_can_push_what_it_writes_and_nothing_else(machine: Machines, tmp_path: Path) -> None:
    found = machine("alice")(save_and_push, tmp_path)
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= found["files"]
    assert "diary.txt" not in found["files"]
    assert found["private"] is True
    assert (tmp_path / "saved" / "model.safetensors").exists()
    with pytest.raises(InputError, match="push_to_hub=True"):
        classifier().config.save_pretrained(tmp_path / "saved", repo_id="alice/saved")


# What other libraries push ----------------------------------------------------------------------------------------


def push_with_transformers() -> list[Any]:
    import transformers

    torch.manual_seed(1)
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.push_to_hub("alice/theirs")
    with torch.inference_mode():
        return model(torch.tensor([[1, 2, 3]])).logits.tolist()  # type: ignore[no-any-return]


def load_theirs() -> list[Any]:
    model = samovar.AutoModelForCausalLM.from_pretrained("alice/theirs")
    with torch.inference_mode():
        return model(torch.tensor([[1, 2, 3]])).logits.tolist()  # type: ignore[no-any-return]


def push_ours_over_theirs() -> list[str]:
    before = card("alice/theirs")
    samovar.AutoModelForCausalLM.from_pretrained("alice/theirs").push_to_hub("alice/theirs", tags=["tea"])
    return [before, card("alice/theirs")]


def test_what_transformers_pushes_is_read_and_its_card_stays(machine: Machines) -> None:
    theirs = machine("alice")(push_with_transformers)
    torch.testing.assert_close(torch.tensor(machine(None)(load_theirs)), torch.tensor(theirs), atol=1e-4, rtol=0)
    before, after = machine("alice")(push_ours_over_theirs)
    body = before.split("---", 2)[2].strip()
    assert after.split("---", 2)[2].strip() == body
    assert "- tea" in after


# Cards ------------------------------------------------------------------------------------------------------------


def push_words_then_weights() -> list[str]:
    tokenizer().push_to_hub("alice/carded")
    first = card("alice/carded")
    classifier().push_to_hub("alice/carded")
    second = card("alice/carded")
    HfApi().upload_file(
        path_or_fileobj=second.replace("# alice/carded", "# Films\n\nServe with jam.").encode(),
        path_in_repo="README.md", repo_id="alice/carded",
    )  # fmt: skip
    third = card("alice/carded")
    classifier(1).push_to_hub("alice/carded")
    return [first, second, third, card("alice/carded")]


def test_a_card_gets_better_until_a_person_touches_it(machine: Machines) -> None:
    first, second, third, fourth = machine("alice")(push_words_then_weights)
    assert "pipeline_tag" not in first
    assert "pipeline_tag: text-classification" in second
    assert "2 labels: `bad`, `good`." in second
    assert 'pipeline("text-classification", model="alice/carded")' in second
    assert "Serve with jam." in third
    assert fourth == third


# Pull requests, and refusals --------------------------------------------------------------------------------------


def propose(name: str) -> list[Any]:
    commit = classifier(2).push_to_hub(name, create_pr=True, commit_message="Better weights")
    return [commit.pr_url, commit.pr_num, commit.oid]


def fate(name: str, number: int) -> list[Any]:
    found = HfApi().get_discussion_details(name, number)
    return [found.title, found.is_pull_request, found.author, state(name)["sha"]]


def test_a_stranger_proposes(machine: Machines) -> None:
    machine("alice")(push_quietly, "alice/open")
    url, number, commit = machine("bob")(propose, "alice/open")
    assert url.endswith(f"/alice/open/discussions/{number}")
    title, is_pull_request, author, head = machine("alice")(fate, "alice/open", number)
    assert (title, is_pull_request, author) == ("Better weights", True, "bob")
    assert head != commit


def test_who_may_not_write_is_told_so_and_nothing_changes(machine: Machines) -> None:
    machine("alice")(push_quietly, "alice/guarded")
    before = machine("alice")(state, "alice/guarded")["sha"]
    with pytest.raises(HubError, match=r"Pushing to alice/guarded failed: .*may not"):
        machine("bob")(push_model, "alice/guarded")
    with pytest.raises(HubError, match=r"Pushing to alice/guarded failed: .*may not"):
        machine("reader")(push_model, "alice/guarded")
    with pytest.raises(HubError, match="Pushing to nobodys/model failed"):
        machine("bob")(push_model, "nobodys/model")
    assert machine("alice")(state, "alice/guarded")["sha"] == before


def push_model(name: str, **options: Any) -> None:
    classifier().push_to_hub(name, **options)


def test_without_a_login_with_a_wrong_one_or_a_wrong_name(machine: Machines) -> None:
    with pytest.raises(HubError, match=r"needs a login(.|\n)*samovar login"):
        machine(None)(push_model, "alice/none")
    with pytest.raises(HubError, match="needs a login"):
        machine("alice")(push_model, "alice/none", token=False)
    with pytest.raises(HubError, match="the token is not valid"):
        machine(None)(push_model, "alice/none", token="hf_wrong")
    for name in ("a/b/c", "tea pot", "-x-", "a/..", "alice/x.git"):
        with pytest.raises(HubError, match="cannot be a repository's id"):
            machine(None)(push_model, name)
    with pytest.raises(InputError, match="Did you mean 'private'"):
        machine("alice")(push_model, "alice/none", privat=True)


def push_counting_sockets(name: str) -> list[str]:
    import sys

    used: list[str] = []
    sys.addaudithook(lambda event, arguments: used.append(event) if event.startswith("socket.") else None)
    try:
        push_model(name)
    except HubError as error:
        return [type(error).__name__, str(error), *used]
    except OfflineError as error:
        return [type(error).__name__, str(error), *used]
    return used


def test_offline_opens_no_socket(machine: Machines) -> None:
    kind, said, *sockets = machine("alice", HF_HUB_OFFLINE="1")(push_counting_sockets, "alice/offline")
    assert kind == "OfflineError"
    assert "Unset HF_HUB_OFFLINE" in said
    assert sockets == []


def test_an_endpoint_out_of_reach(machine: Machines) -> None:
    kind, said, *_ = machine("alice", endpoint="http://127.0.0.1:9")(push_counting_sockets, "alice/far")
    assert kind == "HubError"
    assert "http://127.0.0.1:9 cannot be reached" in said
