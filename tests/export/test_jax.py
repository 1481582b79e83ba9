"""JAX: every architecture at several sizes, gradients of every parameter, and a program that has JAX alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bare import bare_python
from toys import KINDS, MEASURED, parts, toy

import samovar
from samovar.errors import ExportError
from samovar.export import export_model, to_jax
from samovar.export.comparing import SIZES, compared
from samovar.export.inputs import Input
from samovar.export.jax_format import runner, whole, write
from samovar.export.parts import Part
from samovar.export.walk import flattened

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4


@pytest.fixture(autouse=True, scope="module")
def little_optimised() -> Any:
    """Toy models answer at once, but JAX would optimise each of them for a second."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("model_type", MEASURED)
def test_answers_are_the_models(model_type: str, tmp_path: Path) -> None:
    for part in parts(model_type):
        write(part, tmp_path)
        for found in compared(part, runner(part, tmp_path), SIZES[:2]):
            assert found.largest < TOLERANCE, str(found)


@pytest.mark.parametrize("model_type", KINDS.values())
def test_gradients_of_all_parameters_are_the_models(model_type: str) -> None:
    import jax
    import jax.numpy as jnp

    model = toy(model_type)
    part = whole(model)
    function, parameters = to_jax(part)
    given = part.example(SIZES[1])
    inputs = {name: jnp.asarray(tensor.numpy()) for name, tensor in given.items()}
    outputs = [name for name in part.outputs if name == "logits"] or part.outputs[:1]

    def loss(tree: dict[str, Any]) -> Any:
        return jnp.mean(jnp.square(function(tree, inputs)[outputs[0]] - 1))

    value, gradients = jax.value_and_grad(loss)(parameters)
    answer = dict(zip(part.outputs, part.module(*given.values()), strict=True))[outputs[0]]
    expected = torch.mean(torch.square(answer - 1))
    expected.backward()
    assert abs(float(value) - expected.item()) < TOLERANCE
    ours = {name: np.asarray(one) for name, one in flattened(gradients).items()}
    theirs = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    used = {name for name, one in theirs.items() if one.any()}
    assert used
    assert used <= set(ours)
    for name in used:
        assert np.abs(ours[name] - theirs[name].numpy()).max() < TOLERANCE, name
    assert all(not ours[name].any() for name in set(ours) - set(theirs))


def test_chained_steps_write_what_generate_writes() -> None:
    import jax.numpy as jnp

    model = toy(KINDS["decoder"])
    (part,) = parts(KINDS["decoder"])
    function, parameters = to_jax(part)
    ids = torch.tensor([[5, 17, 44, 8]])
    expected = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=98)
    past = {one.name: jnp.zeros(one.shape({"batch_size": 1, "past_sequence_length": 0})) for one in part.inputs[2:]}
    tokens, new = ids.tolist()[0], ids.numpy()
    for _ in range(4):
        mask = jnp.ones((1, len(tokens)), jnp.int32)
        answer = function(parameters, {"input_ids": jnp.asarray(new), "attention_mask": mask, **past})
        tokens.append(int(answer["logits"][0, -1].argmax()))
        new = np.array([tokens[-1:]])
        past = {name: answer[name.replace("past_key_values", "present")] for name in past}
    assert tokens == expected[0].tolist()


def test_a_program_with_jax_alone_runs_and_differentiates_it(tmp_path: Path) -> None:
    model = toy("bert")
    result = export_model(model, "jax", tmp_path / "out", gradients=True)
    assert result.largest < TOLERANCE
    (part,) = result.parts
    given = part.example(SIZES[2])
    np.savez(tmp_path / "inputs.npz", **{name: tensor.numpy().astype(np.int32) for name, tensor in given.items()})
    program = """
import sys

import numpy as np
from jax import export, grad
from safetensors.numpy import load_file

function = export.deserialize(open("out/model.jax", "rb").read()).call
parameters, inputs = load_file("out/model.safetensors"), dict(np.load("inputs.npz"))
answer = function(parameters, inputs)
slopes = grad(lambda tree: function(tree, inputs)["logits"].sum())(parameters)
assert all(np.isfinite(slope).all() for slope in slopes.values()) and slopes["head.classifier.bias"].any()
assert not {"torch", "samovar", "tensorflow"} & set(sys.modules)
np.save("answer.npy", answer["logits"])
"""
    python = bare_python(tmp_path / "alone", "jax", "safetensors", "flatbuffers")
    done = subprocess.run([*python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits = part.run(given)[part.outputs.index("logits")]
    assert np.abs(np.load(tmp_path / "answer.npy") - logits.numpy()).max() < TOLERANCE


def test_whole_models_are_functions_by_the_models_names() -> None:
    model = toy("bert").train()
    function, parameters = to_jax(model)
    assert model.training
    assert set(flattened(parameters)) == {name for name, _ in model.named_parameters()}
    answer = function(
        parameters, {"input_ids": [[1, 2, 3]], "attention_mask": [[1, 1, 0]], "token_type_ids": [[0] * 3]}
    )
    assert answer["logits"].shape == (1, model.config.num_labels)
    with pytest.raises(ExportError, match="It reads input_ids, attention_mask, token_type_ids"):
        function(parameters, {"input_ids": [[1]]})


class Unknown(torch.nn.Module):
    """A layer with an operator that no table has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


class Around(torch.nn.Module):
    """The layer within a model, as parts hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 4), Unknown())
        self.names = ["out"]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.model(*tensors),)


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_an_unknown_operator_is_named_with_its_layer(framework: str, tmp_path: Path) -> None:
    part = Part("model", Around(), [Input("x", ("batch_size", 4), "state")], ["out"])
    chosen = samovar.export.formats.format_called(framework, {})
    with pytest.raises(ExportError, match=rf"aten\.special_bessel_j0\.default in layer '1'.*{framework}"):
        chosen.write(part, tmp_path)
    assert not list(tmp_path.iterdir())


def test_half_precision_weights_stay_as_they_are(tmp_path: Path) -> None:
    model = toy("bert").to(torch.bfloat16)
    function, parameters = to_jax(model)
    assert {str(one.dtype) for one in flattened(parameters).values()} == {"bfloat16"}
    inputs = {"input_ids": [[1, 2, 3]], "attention_mask": [[1, 1, 1]], "token_type_ids": [[0] * 3]}
    with torch.no_grad():
        expected = model(**{name: torch.tensor(value) for name, value in inputs.items()}).logits.float()
    found = np.asarray(function(parameters, inputs)["logits"], np.float32)
    assert np.abs(found - expected.numpy()).max() < 0.05
