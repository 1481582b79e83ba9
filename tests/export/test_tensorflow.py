"""TensorFlow: every architecture as a SavedModel at several sizes, and a program that has TensorFlow alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from bare import bare_python
from toys import KINDS, MEASURED, parts, toy

from samovar.export import export_model
from samovar.export.comparing import SIZES, compared
from samovar.export.tensorflow_format import runner, write

pytestmark = [
    pytest.mark.slow,
    # What TensorFlow's own modules do while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
TOLERANCE = 1e-4


@pytest.mark.parametrize("model_type", MEASURED)
def test_answers_are_the_models(model_type: str, tmp_path: Path) -> None:
    for part in parts(model_type):
        write(part, tmp_path)
        for found in compared(part, runner(part, tmp_path), SIZES):
            assert found.largest < TOLERANCE, str(found)


def test_chained_steps_write_what_generate_writes(tmp_path: Path) -> None:
    model = toy(KINDS["encoder–decoder"])
    source = torch.tensor([[5, 17, 44, 8, 1], [9, 3, 1, 0, 0]])
    mask = (source != 0).long()
    expected = model.generate(source, attention_mask=mask, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    steps = parts(KINDS["encoder–decoder"])
    for part in steps:
        write(part, tmp_path)
    encode, begin, go_on = (runner(part, tmp_path) for part in steps)
    seen = {"encoder_attention_mask": mask.numpy()}
    (states,) = encode({"input_ids": source.numpy(), "attention_mask": mask.numpy()})
    tokens = np.full((2, 1), model.config.decoder_start_token_id)
    given = seen | {"input_ids": tokens, "encoder_hidden_states": states}
    answer = dict(zip(steps[1].outputs, begin(given), strict=True))
    past = {name.replace("present", "past_key_values"): one for name, one in answer.items() if name != "logits"}
    while True:
        logits = answer["logits"][:, -1]
        logits[:, model.config.eos_token_id] = -np.inf  # As min_new_tokens has it.
        tokens = np.concatenate([tokens, logits.argmax(-1)[:, None]], axis=1)
        if tokens.shape[1] == 6:
            break
        answer = dict(zip(steps[2].outputs, go_on(seen | {"input_ids": tokens[:, -1:]} | past), strict=True))
        past |= {name.replace("present", "past_key_values"): one for name, one in answer.items() if name != "logits"}
    assert tokens.tolist() == expected.tolist()


def test_a_program_with_tensorflow_alone_serves_it(tmp_path: Path) -> None:
    result = export_model(toy("gpt2"), "tensorflow", tmp_path / "out")
    assert result.largest < TOLERANCE
    (part,) = result.parts
    given = part.example(SIZES[2])
    np.savez(tmp_path / "inputs.npz", **{name: tensor.numpy() for name, tensor in given.items()})
    program = """
import json
import sys

import numpy as np
import tensorflow as tf

serve = tf.saved_model.load("out/model").signatures["serving_default"]
answer = serve(**{name: tf.constant(value) for name, value in np.load("inputs.npz").items()})
assert not {"torch", "samovar", "jax"} & set(sys.modules)
np.save("answer.npy", answer["logits"].numpy())
specs = serve.structured_input_signature[1].values()
inputs = {spec.name: [spec.dtype.name, spec.shape.as_list()] for spec in specs}
json.dump(inputs, open("inputs.json", "w"))
"""
    python = bare_python(tmp_path / "alone", "tensorflow-cpu")
    done = subprocess.run([*python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits = part.run(given)[part.outputs.index("logits")]
    assert np.abs(np.load(tmp_path / "answer.npy") - logits.numpy()).max() < TOLERANCE
    inputs = json.loads((tmp_path / "inputs.json").read_text())
    assert set(inputs) == {one.name for one in part.inputs}
    assert inputs["input_ids"] == ["int64", [None, None]]
    assert inputs["past_key_values.0.key"] == ["float32", [None, 4, None, 8]]
