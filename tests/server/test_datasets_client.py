"""The `datasets` library against the Hub: load, stream, push. Each in a process: settings are read once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    """Runs a program with `datasets` pointed at the Hub; fails if the program does."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": hub.add_user("dora"),
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    }  # fmt: skip

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=environment,
            cwd=home, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{hub.log()[-3000:]}"
        return done.stdout

    return run


def test_files_of_every_kind_are_loaded_and_streamed(run):
    run(
        """
        import io, json
        import pyarrow, pyarrow.parquet
        from datasets import load_dataset
        from huggingface_hub import HfApi

        rows = [{"text": f"строка {n}", "label": n % 2} for n in range(50)]
        csv = "text,label\\n" + "".join(f"{row['text']},{row['label']}\\n" for row in rows)
        lines = "".join(json.dumps(row) + "\\n" for row in rows)
        parquet = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), parquet)
        api = HfApi()
        for kind, name, content in (
            ("csv", "train.csv", csv.encode()),
            ("json", "data/train.jsonl", lines.encode()),
            ("parquet", "data/train-00000-of-00001.parquet", parquet.getvalue()),
        ):
            api.create_repo(f"dora/{kind}", repo_type="dataset")
            api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=f"dora/{kind}", repo_type="dataset")
            assert load_dataset(f"dora/{kind}", split="train").to_list() == rows, kind
            streamed = load_dataset(f"dora/{kind}", split="train", streaming=True)
            assert list(streamed.skip(45)) == rows[45:], kind
        """
    )


def test_what_was_pushed_comes_back(run):
    run(
        """
        from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset, get_dataset_config_names

        features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
        parts = DatasetDict({
            name: Dataset.from_dict(
                {"text": [f"{name} {n}" for n in range(20)], "label": [0, 1] * 10}, features=features
            )
            for name in ("train", "test")
        })
        parts.push_to_hub("dora/pushed")
        back = load_dataset("dora/pushed")
        assert back["test"].features == features
        assert back["train"]["text"] == parts["train"]["text"]

        Dataset.from_dict({"a": list(range(1000))}).push_to_hub("dora/pushed", "numbers", num_shards=3, private=True)
        assert sorted(get_dataset_config_names("dora/pushed")) == ["default", "numbers"]
        assert load_dataset("dora/pushed", "numbers", split="train")["a"][-1] == 999
        # A second push replaces the first.
        parts["train"].select(range(5)).push_to_hub("dora/pushed", split="train")
        assert len(load_dataset("dora/pushed", split="train")) == 5
        """
    )


def test_a_private_data_set_is_for_its_owner(run, hub):
    run(
        """
        import datasets, pytest
        from datasets import Dataset, load_dataset
        from huggingface_hub.errors import RepositoryNotFoundError

        Dataset.from_dict({"a": [1]}).push_to_hub("dora/secret", private=True)
        assert load_dataset("dora/secret", split="train")["a"][:] == [1]
        # The second, when its card is in the cache of files already.
        with pytest.raises((datasets.exceptions.DatasetNotFoundError, RepositoryNotFoundError)):
            load_dataset("dora/secret", split="train", token=False, cache_dir="another")
        """
    )
    assert "dora/secret" not in [one.id for one in hub.nobody.list_datasets()]
