"""`generation_config.json` both ways, and which of several values counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from toy_generators import EOS, pair, prompts

import samovar
from samovar.errors import ConfigError, CorruptFileError, FileMissingError
from samovar.generation import GenerationConfig


def test_files_of_the_reference_are_read_and_ours_are_read_by_it(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "max_new_tokens": 7,
        "num_beams": 3,
        "early_stopping": "never",
        "eos_token_id": [2, 5],
        "sequence_bias": [[[1, 2], -1.5]],
        "temperature": 0.5,
        "do_sample": True,
        "house_key": {"kept": [1, 2]},
    }
    transformers.GenerationConfig(**values).save_pretrained(tmp_path)
    ours = GenerationConfig.from_pretrained(tmp_path)
    assert {key: getattr(ours, key) for key in values} == values
    ours.save_pretrained(tmp_path / "again")
    back = transformers.GenerationConfig.from_pretrained(tmp_path / "again")
    assert {key: getattr(back, key) for key in values} == values
    assert GenerationConfig.from_pretrained(tmp_path / "again") == ours


def test_a_bias_with_tuples_is_written_as_pairs(tmp_path: Path) -> None:
    GenerationConfig(sequence_bias={(1, 2): -1.5}).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "generation_config.json").read_text())["sequence_bias"] == [[[1, 2], -1.5]]


def test_every_key_of_the_reference_that_decoding_needs_is_known() -> None:
    reference = transformers.GenerationConfig()
    defaults = reference._get_default_generation_params()
    for key, value in samovar.generation.config.DEFAULTS.items():
        if key in defaults and key != "max_length":
            assert value == defaults[key], key
    assert not [
        key
        for key in defaults
        if not hasattr(GenerationConfig(), key) and key not in ("assistant_lookbehind", "target_lookbehind")
    ]


def test_keyword_arguments_override_a_file_and_unused_ones_are_given_back(tmp_path: Path) -> None:
    GenerationConfig(max_length=9, top_k=4).save_pretrained(tmp_path)
    config, unused = GenerationConfig.from_pretrained(tmp_path, top_k=7, revise=True, return_unused_kwargs=True)
    assert (config.max_length, config.top_k, unused) == (9, 7, {"revise": True})


def test_a_models_configuration_gives_its_decoding_options() -> None:
    config = samovar.GPT2Config(eos_token_id=5, bos_token_id=4, num_beams=3, output_scores=True, vocab_size=9)
    found = GenerationConfig.from_model_config(config)
    assert (found.eos_token_id, found.bos_token_id, found.num_beams) == (5, 4, 3)
    assert found.return_dict_in_generate is True
    inner = {"model_type": "x", "decoder": {"eos_token_id": 8, "bos_token_id": 3}, "bos_token_id": 6}
    found = GenerationConfig.from_model_config(inner)
    assert (found.eos_token_id, found.bos_token_id) == (8, 6)


def test_a_model_reads_and_writes_its_file(tmp_path: Path) -> None:
    _, model = pair()
    before = model.generation_config
    try:
        model.generation_config = GenerationConfig(max_new_tokens=4, eos_token_id=EOS, pad_token_id=3)
        model.save_pretrained(tmp_path)
    finally:
        model.generation_config = before
    again = samovar.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.generation_config.max_new_tokens == 4
    assert again.generate(**prompts()).shape[1] == 10
    # What the call says counts, then its configuration, then the model's.
    assert again.generate(**prompts(), max_new_tokens=2).shape[1] == 8
    assert again.generate(**prompts(), generation_config=GenerationConfig(max_new_tokens=3)).shape[1] == 9
    assert again.generate(**prompts(), generation_config=GenerationConfig(max_new_tokens=3), max_length=8).shape[1] == 8
    (tmp_path / "generation_config.json").unlink()
    bare = samovar.GPT2LMHeadModel.from_pretrained(tmp_path)
    assert bare.generation_config.eos_token_id == bare.config.eos_token_id
    assert bare.can_generate()


def test_a_file_that_cannot_be_followed_stops_decoding_and_not_loading(tmp_path: Path) -> None:
    pair()[1].save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"do_sample": true, "temperature": 0.0}')
    model = samovar.GPT2LMHeadModel.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "generation_config.json").read_text())["temperature"] == 0.0
    with pytest.raises(ConfigError, match="nothing to sample"):
        model.generate(**prompts())
    model.generation_config = GenerationConfig(max_new_tokens=2)
    assert model.generate(**prompts()).shape[1] == 8


def test_none_takes_back_what_the_model_says() -> None:
    _, model = pair()
    out = model.generate(**prompts(), max_new_tokens=25, eos_token_id=None)
    assert out.shape[1] == 31


def test_broken_and_missing_files_say_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileMissingError, match=r"generation_config\.json"):
        GenerationConfig.from_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text("{oops")
    with pytest.raises(CorruptFileError):
        GenerationConfig.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="JSON"):
        GenerationConfig(thing=torch.ones(1)).to_json_string()


@pytest.mark.parametrize(
    "values",
    [
        {"max_new_tokens": 0},
        {"max_length": -3},
        {"min_length": -1},
        {"early_stopping": "soon"},
        {"temperature": -1.0},
        {"temperature": 0, "do_sample": True},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"typical_p": 0},
        {"epsilon_cutoff": 1.0},
        {"repetition_penalty": 0},
        {"num_beams": 0},
        {"num_return_sequences": 2},
        {"num_return_sequences": 4, "num_beams": 3},
        {"eos_token_id": "end"},
        {"eos_token_id": []},
        {"max_time": 0},
        {"stop_strings": ""},
        {"exponential_decay_length_penalty": 3},
        {"forced_bos_token_id": 4, "suppress_tokens": [4, 5]},
    ],
)
def test_values_that_no_decoding_can_follow_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        GenerationConfig(**values)
    with pytest.raises(ConfigError):
        GenerationConfig().update(**values)


def test_a_misspelt_key_is_answered_with_near_ones() -> None:
    with pytest.raises(AttributeError, match="temperature"):
        _ = GenerationConfig().temprature


def test_reading_a_configuration_loads_no_torch() -> None:
    use = "from samovar.generation import GenerationConfig\nGenerationConfig(top_k=3)"
    code = f"import sys\n{use}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
