"""Files that are broken, cut off or dangerous."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from tiny import bert

import samovar
from samovar.errors import CorruptFileError, UnsafeFileError


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no safetensors at all",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"{" * 40 + data[48:],
    ],
    ids=["empty", "text", "half", "one byte short", "header length", "header"],
)
def test_broken_safetensors_are_named(tmp_path: Path, damage: object) -> None:
    path = bert(tmp_path) / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CorruptFileError, match=r"model\.safetensors"):
        samovar.AutoModel.from_pretrained(tmp_path)


class Trap:
    """Unpickling this would make a folder."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_with_code_are_refused_unrun(tmp_path: Path, zipped: bool) -> None:
    folder, target = bert(tmp_path / "model"), tmp_path / "made by the pickle"
    (folder / "model.safetensors").unlink()
    content = {"weight": torch.ones(1), "trap": Trap(str(target))}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match="more than tensors"):
        samovar.AutoModel.from_pretrained(folder)
    assert not target.exists()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(str(target))))
    with pytest.raises((UnsafeFileError, CorruptFileError)):
        samovar.AutoModel.from_pretrained(folder)
    assert not target.exists()


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_an_index_cannot_lead_outside(tmp_path: Path, name: str) -> None:
    folder = bert(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UnsafeFileError, match="plain file name"):
        samovar.AutoModel.from_pretrained(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {}}'])
def test_a_broken_index_is_named(tmp_path: Path, content: str) -> None:
    folder = bert(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(samovar.errors.SamovarError, match="index"):
        samovar.AutoModel.from_pretrained(folder)


@pytest.mark.parametrize("content", ["{", "[1]", "\xff\xfe"])
def test_a_broken_config_is_named(tmp_path: Path, content: str) -> None:
    folder = bert(tmp_path)
    (folder / "config.json").write_text(content, "latin-1")
    with pytest.raises(CorruptFileError, match=r"config\.json"):
        samovar.AutoModel.from_pretrained(folder)
