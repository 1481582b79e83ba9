"""Configurations: two spellings, labels, unknown keys, files."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from samovar import AutoConfig, BertConfig, DistilBertConfig, GPT2Config
from samovar.errors import ConfigError, FileMissingError, UnknownArchitectureError


def test_two_spellings_are_one_value() -> None:
    config = GPT2Config(hidden_size=48, n_head=6)
    assert config.n_embd == config.hidden_size == 48
    config.hidden_size = 60
    assert config.to_dict()["n_embd"] == 60
    assert "hidden_size" not in config.to_dict()
    assert DistilBertConfig(dim=24, hidden_size=99).dim == 24  # the checkpoint's own spelling wins


def test_labels_stay_consistent() -> None:
    config = BertConfig(num_labels=4)
    assert list(config.id2label.values()) == ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]
    config.update({"id2label": {"0": "no", "1": "yes"}})
    assert config.label2id == {"no": 0, "yes": 1}
    assert config.num_labels == 2
    config.num_labels = 2
    assert config.id2label == {0: "no", 1: "yes"}
    assert BertConfig(label2id={"a": 0, "b": 1, "c": 2}).id2label == {0: "a", 1: "b", 2: "c"}
    with pytest.raises(ConfigError, match="-1"):
        config.num_labels = -1


def test_unknown_keys_are_attributes_and_are_written() -> None:
    config = BertConfig(my_key=[1], hidden_size=64)
    assert config.my_key == [1]
    config.my_key = [2]
    assert config.to_dict()["my_key"] == [2]
    with pytest.raises(AttributeError, match="hidden_size"):
        _ = config.hiden_size


def test_copies_are_equal_and_apart() -> None:
    config = BertConfig(num_labels=3, my_key={"a": 1})
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config)), BertConfig.from_dict(config.to_dict())):
        assert other == config
        other.num_labels = 5
        assert other != config
    assert config != GPT2Config()


def test_files_round_trip(tmp_path: Path) -> None:
    BertConfig(hidden_size=64, num_attention_heads=4, id2label={0: "ja", 1: "nein"}).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, hidden_dropout_prob=0.5)
    assert type(config) is BertConfig
    assert (config.hidden_size, config.hidden_dropout_prob, config.id2label[1]) == (64, 0.5, "nein")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"
    with pytest.raises(FileMissingError, match=r"config\.json"):
        AutoConfig.from_pretrained(tmp_path.parent)


def test_older_names_are_read() -> None:
    assert BertConfig(torch_dtype="float16").dtype == "float16"
    assert BertConfig(dtype="torch.bfloat16").to_dict()["dtype"] == "bfloat16"


def test_unknown_architectures_list_the_known() -> None:
    with pytest.raises(UnknownArchitectureError, match=r"Did you mean 'bert'[\s\S]*xlm-roberta"):
        AutoConfig.for_model("berd")


def test_every_field_is_documented() -> None:
    from samovar.registry import ARCHITECTURES, backbone_class

    for model_type in ARCHITECTURES:
        lines = backbone_class(model_type).config_class.describe().splitlines()
        assert len(lines) > 15
        for line in lines:
            assert line.partition(": ")[2].strip().endswith("."), (model_type, line)


def test_arguments_that_are_no_key_are_handed_back(tmp_path: Path) -> None:
    config = AutoConfig.for_model("bert", num_hidden_layers=1)
    config.note = "kept"  # An attribute that no field names goes into the file like any other.
    config.save_pretrained(tmp_path)
    read, unused = AutoConfig.from_pretrained(tmp_path, return_unused_kwargs=True, note="new", layers=2)
    assert (read.note, read.num_hidden_layers, unused) == ("new", 1, {"layers": 2})


@pytest.mark.parametrize("labels", ["positive", {"one": "positive"}, 3])
def test_labels_of_the_wrong_kind_are_named(labels: object) -> None:
    with pytest.raises(ConfigError, match="id2label must map each index to a name"):
        AutoConfig.for_model("bert", id2label=labels)
