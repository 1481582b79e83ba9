"""Checkpoints of `SentenceTransformer`: the field's format both ways, and what a folder must not name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from assets import minilm_folder
from samovar import SentenceTransformer
from samovar.errors import ConfigError, CorruptFileError, InputError, ModelNotFoundError, UnsafeFileError, WeightsError
from samovar.sentence import models

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TEXTS = ["A samovar boils.", "The kettle is hot.", "", "Чай готов."]


def theirs(*args: Any, **options: Any) -> Any:
    from sentence_transformers import SentenceTransformer as Reference

    return Reference(*args, device="cpu", **options)


def reference_modules() -> Any:
    from sentence_transformers.sentence_transformer import modules

    return modules


def same(a: Any, b: Any) -> None:
    for options in ({}, {"prompt_name": "query"}):
        np.testing.assert_allclose(a.encode(TEXTS, **options), b.encode(TEXTS, **options), rtol=0, atol=1e-5)


def all_modules() -> SentenceTransformer:
    torch.manual_seed(0)
    encoder = models.Transformer(minilm_folder(), 64)
    parts = [
        encoder, models.Pooling(384, ["mean", "max"]), models.Dense(768, 32, activation_function=nn.GELU()),
        models.LayerNorm(32), models.Dropout(0.1), models.Dense(32, 16, bias=False), models.Normalize(),
    ]  # fmt: skip
    return SentenceTransformer(modules=parts, prompts={"query": "query: "}, similarity_fn_name="dot", device="cpu")


def test_ours_is_read_by_the_reference(tmp_path: Path) -> None:
    ours = all_modules()
    ours.save(tmp_path)
    reference = theirs(str(tmp_path))
    same(ours, reference)
    assert reference.similarity_fn_name == "dot"
    assert reference.max_seq_length == 64
    again = SentenceTransformer(tmp_path, device="cpu")
    same(ours, again)
    assert [type(module) for module in again] == [type(module) for module in ours]
    assert again.prompts == ours.prompts
    assert again.similarity_fn_name == "dot"


def test_the_reference_is_read_by_ours(tmp_path: Path) -> None:
    torch.manual_seed(0)
    m = reference_modules()
    base = theirs(str(minilm_folder()))[0]
    parts = [base, m.Pooling(384, "weightedmean"), m.Dense(384, 32), m.LayerNorm(32), m.Normalize()]
    reference = theirs(modules=parts, prompts={"query": "query: "}, similarity_fn_name="euclidean")
    reference.save(str(tmp_path))
    ours = SentenceTransformer(tmp_path, device="cpu")
    same(ours, reference)
    assert ours.similarity_fn_name == "euclidean"
    torch.testing.assert_close(
        ours.similarity(ours.encode(TEXTS), ours.encode(TEXTS)),
        reference.similarity(reference.encode(TEXTS), reference.encode(TEXTS)),
        rtol=0, atol=1e-4,
    )  # fmt: skip


def test_static_embeddings_both_ways(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = SentenceTransformer(minilm_folder(), device="cpu").tokenizer
    ours = SentenceTransformer(modules=[models.StaticEmbedding(tokenizer, embedding_dim=24)], device="cpu")
    ours.save(tmp_path / "ours")
    reference = theirs(str(tmp_path / "ours"))
    same(ours, reference)
    reference.save(str(tmp_path / "theirs"))
    same(SentenceTransformer(tmp_path / "theirs", device="cpu"), ours)
    weights = np.random.default_rng(0).normal(size=(len(tokenizer), 8)).astype(np.float32)
    given = SentenceTransformer(modules=[models.StaticEmbedding(tokenizer, weights)], device="cpu")
    row = tokenizer("kettle", add_special_tokens=False)["input_ids"]
    np.testing.assert_allclose(given.encode("kettle"), weights[row].mean(0), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="has no table"):
        models.StaticEmbedding(tokenizer)


@pytest.mark.slow
def test_saving_is_atomic_and_keeps_the_card(tmp_path: Path) -> None:
    ours = all_modules()
    (tmp_path / "README.md").write_text("written by hand", "utf-8")
    ours.save(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == "written by hand"
    ours.save(tmp_path / "new")
    assert "pipeline_tag: sentence-similarity" in (tmp_path / "new" / "README.md").read_text("utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    ours[2].get_config_dict = lambda: {"bad": {1, 2}}  # type: ignore[method-assign]
    with pytest.raises(TypeError):
        ours.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    same(SentenceTransformer(tmp_path, device="cpu"), SentenceTransformer(tmp_path / "new", device="cpu"))


def folder_with(tmp_path: Path, entries: Any) -> Path:
    (tmp_path / "modules.json").write_text(entries if isinstance(entries, str) else json.dumps(entries), "utf-8")
    return tmp_path


def entry(kind: str, path: str = "1_X") -> list[dict[str, Any]]:
    return [{"idx": 0, "name": "0", "path": path, "type": kind}]


@pytest.mark.parametrize(
    ("entries", "error", "words"),
    [
        (
            entry("os.system"),
            UnsafeFileError,
            "names 'os.system', a class from outside: no code of",
        ),
        (entry("custom_st.Transformer"), UnsafeFileError, "no code of a repository"),
        (entry("sentence_transformers.models.CNN"), ConfigError, "which is not built here"),
        (entry("sentence_transformers.models.Pooling", "../../etc"), UnsafeFileError, "leads out of the checkpoint"),
        (entry("sentence_transformers.models.Pooling", "/etc"), UnsafeFileError, "leads out of the checkpoint"),
        ("{not json", CorruptFileError, "is no list of modules"),
        ([], CorruptFileError, "is no list of modules"),
        ([{"type": "sentence_transformers.models.Pooling"}], CorruptFileError, "is no list of modules"),
    ],
)
def test_lists_that_name_what_they_must_not(tmp_path: Path, entries: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        SentenceTransformer(folder_with(tmp_path, entries), device="cpu")


def test_module_folders_that_do_not_fit(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, entry("sentence_transformers.models.Dense"))
    (folder / "1_X").mkdir()
    config = {"in_features": 4, "out_features": 2, "activation_function": "os.system"}
    (folder / "1_X" / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConfigError, match=r"'os.system' is no activation"):
        SentenceTransformer(folder, device="cpu")
    models.Dense(4, 2).save(folder / "1_X")
    config["activation_function"] = "torch.nn.modules.activation.Tanh"
    (folder / "1_X" / "config.json").write_text(json.dumps(config | {"out_features": 3}), "utf-8")
    with pytest.raises(WeightsError, match=r"'linear.weight': \(2, 4\)"):
        SentenceTransformer(folder, device="cpu")
    (folder / "1_X" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(ConfigError, match="makes no Dense"):
        SentenceTransformer(folder, device="cpu")
    (folder / "modules.json").write_text(json.dumps(entry("sentence_transformers.models.Pooling")), "utf-8")
    with pytest.raises(ConfigError, match="no word_embedding_dimension"):
        SentenceTransformer(folder, device="cpu")


def test_names_that_there_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="no-such-model"):
        SentenceTransformer("no-such-model", local_files_only=True)
    with pytest.raises(InputError, match="of nothing"):
        SentenceTransformer()
    with pytest.raises(ConfigError, match="no pooling mode 'meen'"):
        models.Pooling(4, "meen")
    with pytest.raises(InputError, match=r"no similarity 'cosin'[^A]*Did you mean 'cosine'"):
        SentenceTransformer(minilm_folder(), similarity_fn_name="cosin")
