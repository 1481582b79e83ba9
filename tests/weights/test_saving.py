"""Saving: what else is in the folder stays, and a failed save changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import bert, ids

import samovar
from samovar.errors import InputError


def test_other_files_stay_and_old_shards_go(tmp_path: Path) -> None:
    folder = bert(tmp_path, max_shard_size="20KB")
    (folder / "vocab.txt").write_text("kept")
    samovar.AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir() if "generation" not in path.name) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]
    assert (folder / "vocab.txt").read_text() == "kept"


def test_unknown_keys_are_written_back(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    values = json.loads((folder / "config.json").read_text()) | {"my_key": {"kept": [1, 2]}}
    (folder / "config.json").write_text(json.dumps(values))
    model = samovar.AutoModel.from_pretrained(folder)
    assert model.config.my_key == {"kept": [1, 2]}
    model.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again/config.json").read_text())["my_key"] == {"kept": [1, 2]}


def test_training_does_not_touch_the_file_and_saving_over_it_works(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    before = (folder / "model.safetensors").read_bytes()
    model = samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(ids(), labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()
    assert (folder / "model.safetensors").read_bytes() == before
    logits = model(ids()).logits
    model.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() != before
    again = samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    assert torch.equal(again(ids()).logits, logits)
    assert torch.equal(model(ids()).logits, logits)  # The replaced file is still mapped by the first model.


FULL = """
import resource, sys
import samovar
from samovar.errors import SaveError
model = samovar.AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
with __import__("torch").no_grad():
    model.head.classifier.bias += 1
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    model.save_pretrained(sys.argv[1])
except SaveError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_folder_whole(tmp_path: Path) -> None:
    folder = bert(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = subprocess.run([sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, check=True)
    assert "was not saved" in done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("size", "bytes_"), [("5GB", 5 * 10**9), ("1.5 MiB", 3 * 2**19), (77, 77), ("100", 100)])
def test_sizes_are_read(size: int | str, bytes_: int) -> None:
    from samovar.weights.save import parse_size

    assert parse_size(size) == bytes_
    with pytest.raises(InputError, match="not a size"):
        parse_size("five gigabytes")


def test_shards_hold_every_tensor_once(tmp_path: Path) -> None:
    model = samovar.BertModel.from_pretrained(bert(tmp_path / "a"))
    model.save_pretrained(tmp_path / "b", max_shard_size=9000)
    index = json.loads((tmp_path / "b/model.safetensors.index.json").read_text())["weight_map"]
    names = [name for path in (tmp_path / "b").glob("*.safetensors") for name in load_file(path)]
    assert sorted(names) == sorted(index)
