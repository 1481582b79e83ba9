"""Loading: options, file formats, heads that are new, labels that disagree."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import bert, ids

import samovar
from samovar.errors import ConfigError, FileMissingError, InputError, UnknownArchitectureError, WeightsError


def edit_config(folder: Path, **changes: object) -> Path:
    """Change keys of config.json; None removes one."""
    values = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return folder


def edit_weights(folder: Path, **renames: str | None) -> None:
    """Rename keys by a part of them; None drops what holds the part."""
    tensors = load_file(folder / "model.safetensors")
    for old, new in renames.items():
        tensors = {
            key.replace(old, new) if new is not None else key: tensor
            for key, tensor in tensors.items()
            if new is not None or old not in key
        }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("dtype", ["float16", torch.bfloat16, "float32", "auto", None])
def test_dtype(tmp_path: Path, dtype: object) -> None:
    model = samovar.AutoModel.from_pretrained(bert(tmp_path), dtype=dtype)
    expected = {"float16": torch.float16, torch.bfloat16: torch.bfloat16}.get(dtype, torch.float32)
    assert model.dtype == expected
    assert {parameter.dtype for parameter in model.parameters()} == {expected}


def test_half_precision_files_stay_half(tmp_path: Path) -> None:
    samovar.AutoModel.from_pretrained(bert(tmp_path / "a")).half().save_pretrained(tmp_path / "b")
    assert samovar.AutoModel.from_pretrained(tmp_path / "b").dtype == torch.float16
    assert {t.dtype for t in load_file(tmp_path / "b/model.safetensors").values()} == {torch.float16}


def test_device_and_attention(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    fused = samovar.AutoModel.from_pretrained(folder, device="cpu", attn_implementation="sdpa")
    plain = samovar.AutoModel.from_pretrained(folder, device_map="cpu", attn_implementation="eager")
    torch.testing.assert_close(fused(ids()).last_hidden_state, plain(ids()).last_hidden_state, atol=1e-6, rtol=1e-5)
    with pytest.raises(ConfigError, match="eager"):
        samovar.AutoModel.from_pretrained(folder, attn_implementation="eagre")
    with pytest.raises(InputError, match="toaster"):
        samovar.AutoModel.from_pretrained(folder, device="toaster")
    with pytest.raises(InputError, match="float31"):
        samovar.AutoModel.from_pretrained(folder, dtype="float31")


def test_sharded_files_go_both_ways(tmp_path: Path) -> None:
    folder = bert(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    ours = samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    ours.save_pretrained(tmp_path / "ours", max_shard_size="20KB")
    assert len(list((tmp_path / "ours").glob("model-*.safetensors"))) > 1
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours").eval()
    torch.testing.assert_close(ours(ids()).logits, theirs(ids()).logits, atol=1e-6, rtol=1e-5)
    index = json.loads((tmp_path / "ours/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(p.numel() * 4 for p in ours.parameters())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_pickled_tensors_load(tmp_path: Path, zipped: bool, nested: bool) -> None:
    folder = bert(tmp_path)
    expected = samovar.AutoModelForSequenceClassification.from_pretrained(folder)(ids()).logits
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    content = {"state_dict": state} if nested else state
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    found = samovar.AutoModelForSequenceClassification.from_pretrained(folder)(ids()).logits
    assert torch.equal(found, expected)


def test_old_names_of_norms_load(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    expected = samovar.AutoModelForSequenceClassification.from_pretrained(folder)(ids()).logits
    edit_weights(folder, **{"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"})
    assert any(key.endswith("gamma") for key in load_file(folder / "model.safetensors"))
    assert torch.equal(samovar.AutoModelForSequenceClassification.from_pretrained(folder)(ids()).logits, expected)


def test_tied_weights_may_stand_in_the_file_or_not(tmp_path: Path) -> None:
    folder = bert(tmp_path, "BertForMaskedLM")
    model = samovar.BertForMaskedLM.from_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    assert "cls.predictions.decoder.weight" not in tensors
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    again = samovar.BertForMaskedLM.from_pretrained(folder)
    assert torch.equal(again(ids()).logits, model(ids()).logits)
    assert again.head.decoder.weight is again.backbone.embeddings.word.weight


def test_a_heads_file_gives_the_backbone(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    backbone, report = samovar.AutoModel.from_pretrained(folder, output_loading_info=True)
    whole = samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    assert torch.equal(backbone(ids()).pooler_output, whole.base_model(ids()).pooler_output)
    assert report["unexpected_keys"] == {"classifier.weight", "classifier.bias"}
    assert report["missing_keys"] == set()


def test_a_new_head_is_said_once_and_initialised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = bert(tmp_path, "BertModel")
    with caplog.at_level(logging.WARNING):
        model, report = samovar.BertForSequenceClassification.from_pretrained(
            folder, num_labels=50, output_loading_info=True
        )
    assert len(caplog.records) == 1
    assert "head.classifier.weight" in caplog.text
    assert report["missing_keys"] == {"head.classifier.weight", "head.classifier.bias"}
    weight = model.head.classifier.weight
    assert 0.015 < weight.std().item() < 0.025
    assert model.head.classifier.bias.abs().max() == 0
    assert model.config.num_labels == 50


def test_labels_can_be_named(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    names = {0: "bad", 1: "so-so", 2: "good"}
    model = samovar.AutoModelForSequenceClassification.from_pretrained(folder, id2label=names)
    assert model.config.id2label == names
    assert model.config.label2id == {"bad": 0, "so-so": 1, "good": 2}
    with pytest.raises(WeightsError, match=r"file \(3, 32\), model \(5, 32\)"):
        samovar.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=5)
    model, report = samovar.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert model(ids()).logits.shape == (2, 5)
    assert ("head.classifier.weight", (3, 32), (5, 32)) in report["mismatched_keys"]


def test_the_weights_win_over_labels_that_disagree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = edit_config(bert(tmp_path), num_labels=3, id2label={"0": "a", "1": "b"}, label2id=None)
    with caplog.at_level(logging.WARNING):
        model = samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.num_labels == model(ids()).logits.shape[1] == 3
    assert len(caplog.records) == 1
    assert "the weights have 3" in caplog.text


def test_architecture_by_class_name_or_not_at_all(tmp_path: Path) -> None:
    folder = edit_config(bert(tmp_path), model_type=None)
    assert type(samovar.AutoModel.from_pretrained(folder)).__name__ == "BertModel"
    edit_config(folder, architectures=None)
    with pytest.raises(ConfigError, match=r"BertModel\.from_pretrained"):
        samovar.AutoModel.from_pretrained(folder)
    assert samovar.BertForSequenceClassification.from_pretrained(folder)(ids()).logits.shape == (2, 3)
    edit_config(folder, model_type="bertt")
    with pytest.raises(UnknownArchitectureError, match=r"'bert'[\s\S]*Known: albert"):
        samovar.AutoModel.from_pretrained(folder)


def test_another_architectures_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bert' checkpoint"):
        samovar.GPT2Model.from_pretrained(bert(tmp_path))


def test_all_that_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    edit_weights(
        folder, **{"layer.0.attention.self.query": "layer.0.attention.self.qerry", "layer.1.output.dense.bias": None}
    )
    edit_config(folder, intermediate_size=41)
    with pytest.raises(WeightsError) as caught:
        samovar.AutoModelForSequenceClassification.from_pretrained(folder)
    text = str(caught.value)
    assert "missing     bert.encoder.layer.0.attention.self.query.weight" in text
    assert "(the file has bert.encoder.layer.0.attention.self.qerry.weight)" in text
    assert "unexpected  bert.encoder.layer.0.attention.self.qerry.weight" in text
    assert "missing     bert.encoder.layer.1.output.dense.bias" in text
    assert "mis-shaped  bert.encoder.layer.0.intermediate.dense.weight   file (37, 32), model (41, 32)" in text


def test_a_trained_head_must_not_be_missing(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    edit_weights(folder, classifier=None)
    with pytest.raises(WeightsError, match=r"missing +classifier\.weight"):
        samovar.AutoModelForSequenceClassification.from_pretrained(folder)


def test_a_folder_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    (folder / "model.safetensors").rename(folder / "model.onnx")
    with pytest.raises(FileMissingError, match=r"neither model\.safetensors nor .*it holds model\.onnx"):
        samovar.AutoModel.from_pretrained(folder)


def test_gpt2_files_without_the_prefix_load_everywhere(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "eos_token_id": 1}
    reference = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=1)).eval()
    reference.save_pretrained(tmp_path)
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(tmp_path / "model.safetensors").items()}
    tensors["lm_head.weight"] = tensors["wte.weight"].clone()
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 4, 4)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    expected = reference(ids(), output_hidden_states=True)
    model = samovar.GPT2LMHeadModel.from_pretrained(tmp_path)
    torch.testing.assert_close(model(ids()).logits, expected.logits, atol=1e-5, rtol=1e-4)
    backbone = samovar.GPT2Model.from_pretrained(tmp_path)
    torch.testing.assert_close(backbone(ids())[0], expected.hidden_states[-1], atol=1e-5, rtol=1e-4)
