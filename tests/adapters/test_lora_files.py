"""Adapter files: written whole, read safely, reloaded into a running model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapter_pairs import inputs_for, logits, pair, shake
from safetensors.torch import load_file, save_file

import samovar
from samovar.adapters import LoraConfig, PeftConfig, PeftModel, get_peft_model
from samovar.errors import ConfigError, CorruptFileError, FileMissingError, InputTypeError, WeightsError

KIND = "BertForSequenceClassification"


def trained(**options: object) -> PeftModel:
    """A tiny BERT with an adapter that does something."""
    model = get_peft_model(
        pair(KIND)[1], LoraConfig(r=4, task_type="SEQ_CLS", target_modules=["query", "value"], **options)
    )
    shake(model)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trained().save_pretrained(tmp_path)
    return tmp_path


def test_only_the_two_files_are_written_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    model = trained()
    model.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    config = PeftConfig.from_pretrained(tmp_path)
    assert (config.r, config.target_modules, config.inference_mode) == (4, ["query", "value"], True)
    assert config.base_model_name_or_path == model.base_model.name_or_path
    base = samovar.BertForSequenceClassification.from_pretrained(config.base_model_name_or_path)
    again = PeftModel.from_pretrained(base, str(tmp_path))
    inputs = inputs_for(base)
    assert torch.equal(logits(again, inputs), logits(model, inputs))


def test_several_adapters_go_into_folders_of_their_names(tmp_path: Path) -> None:
    model = trained()
    inputs = inputs_for(model.base_model)
    model.add_adapter("extra", LoraConfig(r=2, target_modules=["key"]))
    model.set_adapter("extra")
    shake(model)
    expected = logits(model, inputs)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "extra/adapter_model.safetensors").exists()
    fresh = PeftModel.from_pretrained(pair(KIND)[1], tmp_path)
    fresh.load_adapter(tmp_path / "extra", "extra")
    fresh.set_adapter("extra")
    assert torch.equal(logits(fresh, inputs), expected)
    model.save_pretrained(tmp_path / "one", selected_adapters=["extra"])
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"extra"}


def test_weights_are_reloaded_into_the_same_parameters(tmp_path: Path) -> None:
    model = trained(bias="lora_only")
    inputs = inputs_for(model.base_model)
    model.save_pretrained(tmp_path)
    expected = logits(model, inputs)
    same = [id(parameter) for parameter in model.parameters()]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    assert not torch.equal(logits(model, inputs), expected)
    model.load_adapter_weights(tmp_path)
    assert torch.equal(logits(model, inputs), expected)
    assert [id(parameter) for parameter in model.parameters()] == same


def test_given_values_are_written_instead_of_the_models(tmp_path: Path) -> None:
    model = trained()
    state = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path / "plain")
    model.save_pretrained(tmp_path / "given", state_dict=state)
    plain = load_file(tmp_path / "plain/adapter_model.safetensors")
    given = load_file(tmp_path / "given/adapter_model.safetensors")
    assert set(plain) == set(given)
    for key, tensor in plain.items():
        assert torch.equal(tensor + 1, given[key])


def test_names_of_published_vision_adapters_are_read_and_written_back(tmp_path: Path) -> None:
    """`query` is the checkpoint's name; programs of today call the layer `q_proj`, and each kind stays what it is."""
    _, ours = pair("ViTForImageClassification")
    inputs = inputs_for(ours)
    model = get_peft_model(ours, LoraConfig(r=4, target_modules=["query", "intermediate.dense"]))
    shake(model)
    model.save_pretrained(tmp_path / "old")
    old = load_file(tmp_path / "old/adapter_model.safetensors")
    assert "base_model.model.vit.encoder.layer.0.attention.attention.query.lora_A.weight" in old
    assert json.loads((tmp_path / "old/adapter_config.json").read_text())["target_modules"] == [
        "query", "intermediate.dense",
    ]  # fmt: skip
    again = PeftModel.from_pretrained(pair("ViTForImageClassification")[1], tmp_path / "old")
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    newer = get_peft_model(pair("ViTForImageClassification")[1], LoraConfig(r=4, target_modules=["q_proj", "fc1"]))
    newer.save_pretrained(tmp_path / "new")
    new = load_file(tmp_path / "new/adapter_model.safetensors")
    assert "base_model.model.vit.layers.0.attention.q_proj.lora_A.weight" in new
    assert len(new) == len(old)


def test_a_loaded_adapter_is_frozen_unless_it_is_to_be_trained(folder: Path) -> None:
    assert PeftModel.from_pretrained(pair(KIND)[1], folder).get_nb_trainable_parameters()[0] == 0
    model = PeftModel.from_pretrained(pair(KIND)[1], folder, is_trainable=True)
    assert model.get_nb_trainable_parameters() == trained().get_nb_trainable_parameters()
    assert model.training


# Adapters on a model itself ---------------------------------------------------------------------------------------


Adaptable = samovar.BertForSequenceClassification


def test_a_model_takes_adapters_without_a_wrapper(folder: Path, tmp_path: Path) -> None:
    wrapped = PeftModel.from_pretrained(pair(KIND)[1], folder)
    ours = Adaptable.from_pretrained(wrapped.base_model.name_or_path)
    inputs = inputs_for(ours)
    before = logits(ours, inputs)
    assert ours.peft_config == {}
    assert not hasattr(ours, "load_adapter_weights")
    ours.load_adapter(folder)
    assert ours.active_adapters() == ["default"]
    adapted = logits(ours, inputs)
    assert torch.equal(adapted, logits(wrapped, inputs))
    ours.disable_adapters()
    assert torch.equal(logits(ours, inputs), before)
    ours.enable_adapters()
    assert torch.equal(logits(ours, inputs), adapted)
    ours.add_adapter(LoraConfig(target_modules=["dense"]), adapter_name="new")
    assert ours.active_adapters() == ["new"]
    assert torch.equal(logits(ours, inputs), before)
    assert any(parameter.requires_grad for parameter in ours.parameters())
    ours.set_adapter("default")
    ours.save_adapters(tmp_path / "again")
    ours.load_adapter_weights(tmp_path / "again")
    assert torch.equal(logits(ours, inputs), adapted)
    assert set(ours.get_adapter_state_dict()) == set(load_file(folder / "adapter_model.safetensors"))
    ours.delete_adapter(["default", "new"])
    assert torch.equal(logits(ours, inputs), before)


# What goes wrong --------------------------------------------------------------------------------------------------


def unchanged(model: samovar.Model, folder: Path, kind: type[Exception], message: str) -> None:
    """Loading fails with this message, and the model is as it was."""
    names, graded = set(model.state_dict()), [parameter.requires_grad for parameter in model.parameters()]
    with pytest.raises(kind, match=message):
        PeftModel.from_pretrained(model, folder)
    assert set(model.state_dict()) == names
    assert [parameter.requires_grad for parameter in model.parameters()] == graded
    assert all(graded)


def test_an_adapter_of_another_shape_says_all_that_does_not_fit(folder: Path) -> None:
    sizes = {"vocab_size": 99, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 37}
    small = samovar.BertForSequenceClassification(samovar.BertConfig(**sizes, num_hidden_layers=1, num_labels=3))
    with pytest.raises(WeightsError) as caught:
        PeftModel.from_pretrained(small, folder)
    key = r"base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight   file (4, 32), model (4, 16)"
    assert f"mis-shaped  {key}" in caught.value.cause
    assert "unexpected  base_model.model.bert.encoder.layer.1" in caught.value.cause
    assert "trained on" in caught.value.next_step


def test_an_adapter_of_another_architecture_is_refused(folder: Path) -> None:
    unchanged(pair("GPT2ForSequenceClassification")[1], folder, ConfigError, "fits no linear layer of GPT2")


def test_missing_tensors_are_named(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    del tensors["base_model.model.bert.encoder.layer.1.attention.self.value.lora_B.weight"]
    save_file(tensors, path)
    unchanged(pair(KIND)[1], folder, WeightsError, r"missing     .*layer\.1\.attention\.self\.value\.lora_B")


def test_broken_and_unsafe_files_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    unchanged(pair(KIND)[1], folder, CorruptFileError, "no whole safetensors file")
    path.rename(folder / "adapter_model.bin")
    unchanged(pair(KIND)[1], folder, FileMissingError, "a pickle")
    (folder / "adapter_config.json").write_text("{")
    unchanged(pair(KIND)[1], folder, CorruptFileError, "not valid JSON")
    unchanged(pair(KIND)[1], tmp_path_factory.mktemp("empty"), FileMissingError, "has no adapter_config.json")


def test_a_whole_model_is_not_taken_for_an_adapter() -> None:
    ours = pair(KIND)[1]
    unchanged(ours, Path(ours.name_or_path), FileMissingError, "a whole model, not an adapter")


def test_pickles_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="asks for a pickle"):
        trained().save_pretrained(tmp_path, safe_serialization=False)
