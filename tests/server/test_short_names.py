"""Names without an owner lead where the operator says, for those who may see what is there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import RepositoryNotFoundError


def test_a_short_name_leads_to_the_repository_for_every_client_call(hub):
    api = hub.alice
    for kind, name in (("model", "alice/bert-base-cased"), ("dataset", "alice/tomatoes")):
        api.create_repo(name, repo_type=kind)
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="a b/config.json", repo_id=name, repo_type=kind)
        with pytest.raises(RepositoryNotFoundError):
            hub.nobody.repo_info(name.partition("/")[2], repo_type=kind)
        hub.command("alias", "add", name.partition("/")[2], name, "--type", kind)
    nobody = hub.nobody
    for kind, name in (("model", "bert-base-cased"), ("dataset", "tomatoes")):
        assert nobody.repo_info(name, repo_type=kind).id == f"alice/{name}"
        assert nobody.repo_info(name, repo_type=kind, revision="main").id == f"alice/{name}"
        assert "a b/config.json" in nobody.list_repo_files(name, repo_type=kind)
        assert nobody.get_paths_info(name, ["a b/config.json"], repo_type=kind)[0].size == 2
        assert len(nobody.list_repo_commits(name, repo_type=kind)) == 2
        path = nobody.hf_hub_download(name, "a b/config.json", repo_type=kind, cache_dir=hub.data / f"cache-{kind}")
        assert Path(path).read_text() == "{}"
    assert hub.command("alias", "list").splitlines() == [
        "dataset\ttomatoes\talice/tomatoes", "model\tbert-base-cased\talice/bert-base-cased",
    ]  # fmt: skip
    # It follows the repository, and tells nobody of what they may not see.
    api.move_repo("alice/bert-base-cased", "alice/cased")
    assert nobody.model_info("bert-base-cased").id == "alice/cased"
    api.update_repo_settings("alice/cased", private=True)
    hidden, absent = (httpx.get(f"{hub.url}/api/models/{name}") for name in ("bert-base-cased", "absent"))
    assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text)
    assert api.model_info("bert-base-cased").private
    hub.command("alias", "remove", "bert-base-cased")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("bert-base-cased")
    with pytest.raises(AssertionError, match="address of the Hub"):
        hub.command("alias", "add", "datasets", "alice/cased")
