"""PyTorch's own formats: every architecture agrees at several sizes, and each reloads where this library is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bare import bare_python
from toys import EVERYTHING, KINDS, MEASURED, parts, toy

import samovar
from samovar.export import export_model, torch_export, torchscript
from samovar.export.comparing import TOLERANCE, compared
from samovar.export.inputs import Sizes
from samovar.export.parts import Part
from samovar.export.usage import usage

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")]

SMALL = {
    "vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 9,
    "max_position_embeddings": 40,
}  # fmt: skip


@pytest.mark.parametrize("model_type", MEASURED)
def test_answers_are_the_models(model_type: str, tmp_path: Path) -> None:
    for format in (torchscript, torch_export):
        for part in parts(model_type):
            format.write(part, tmp_path)
            for found in compared(part, format.runner(part, tmp_path)):
                assert found.largest < TOLERANCE, f"{format.__name__}: {found}"


def small(kind: str) -> Any:
    """A model of one layer, as each is compiled for seconds."""
    torch.manual_seed(0)
    if kind == "decoder":
        return samovar.AutoModelForCausalLM.from_config(samovar.LlamaConfig(**SMALL)).eval()
    return samovar.AutoModelForSequenceClassification.from_config(samovar.BertConfig(**SMALL)).eval()


BARE = """
import json, sys
import numpy, torch
try:
    import samovar
    raise SystemExit("samovar is here")
except ModuleNotFoundError:
    pass
torch.manual_seed(0)
for format, name, example in json.loads(sys.argv[1]):
    saved = numpy.load(example)
    given = [torch.from_numpy(saved[f"input {index}"]) for index in range(sum("input" in key for key in saved))]
    names = json.load(open(name.rpartition("/")[0] + "/export.json"))["parts"]["model"]
    if format == "torchscript":
        model = torch.jit.load(name)
    elif format == "torch-export":
        model = torch.export.load(name).module()
    else:
        model = torch._inductor.aoti_load_package(name)
    with torch.no_grad():
        found = model(*given)
    assert list(names["inputs"]) == saved["names"].tolist()
    assert len(found) == len(names["outputs"])
    for index, one in enumerate(found):
        assert abs(one.numpy() - saved[f"output {index}"]).max() < 1e-5, (name, index)
    print(format)
"""


def example_of(part: Part, sizes: Sizes, path: Path) -> Path:
    """What the model reads and answers at a size that was neither traced nor compared."""
    given = part.example(sizes, seed=9)
    answers = part.run(given)
    arrays = {f"input {index}": one.numpy() for index, one in enumerate(given.values())}
    arrays |= {f"output {index}": one.numpy() for index, one in enumerate(answers)}
    np.savez(path, names=np.array(list(given)), **arrays)
    return path


@pytest.mark.parametrize("kind", ["encoder", "decoder"] if EVERYTHING else ["decoder"])
def test_each_reloads_without_this_library(kind: str, tmp_path: Path) -> None:
    model, cases = small(kind), []
    said: list[str] = []
    for format, ending in (("torchscript", "pt"), ("torch-export", "pt2"), ("aoti", "pt2")):
        made = export_model(model, format, tmp_path / format, report=said.append)
        assert made.largest < 1e-5
        sizes = {"batch_size": 2, "sequence_length": 6, "past_sequence_length": 4}
        example = example_of(made.parts[0], sizes, tmp_path / f"{format}.npz")
        cases.append((format, f"{tmp_path}/{format}/model.{ending}", str(example)))
        assert len(usage(format, made.folder, made.parts[0])) == 3
    assert sum("deprecated TorchScript" in line for line in said) == 1
    python = bare_python(tmp_path / "bare", "torch", "numpy")
    done = subprocess.run([*python, "-c", BARE, json.dumps(cases)], capture_output=True, text=True)
    assert done.stdout.split() == [format for format, _, _ in cases], done.stderr


def test_the_example_lies_in_the_file_and_no_path_of_this_machine(tmp_path: Path) -> None:
    (part,) = parts(KINDS["encoder"])
    torch_export.write(part, tmp_path)
    program = torch.export.load(tmp_path / "model.pt2")
    assert program.example_inputs is not None
    assert [tuple(one.shape) for one in program.example_inputs[0]] == [
        tuple(one.shape) for one in part.example().values()
    ]
    assert str(Path(samovar.__file__).parent).encode() not in (tmp_path / "model.pt2").read_bytes()


# Writing with what was exported ---------------------------------------------------------------------------------------


def chained_decoder(run: Any, part: Part, ids: torch.Tensor, new: int) -> torch.Tensor:
    """Greedy tokens after `ids`: the prompt with an empty past, then one token at a time."""
    past = [np.zeros(one.shape({"batch_size": ids.shape[0], "past_sequence_length": 0}), np.float32)
            for one in part.inputs[2:]]  # fmt: skip
    names, tokens, step = [one.name for one in part.inputs], ids, ids
    for _ in range(new):
        mask = np.ones(tuple(tokens.shape), np.int64)
        logits, *past = run(dict(zip(names, [step.numpy(), mask, *past], strict=True)))
        step = torch.from_numpy(logits[:, -1:].argmax(-1))
        tokens = torch.cat([tokens, step], 1)
    return tokens


@pytest.mark.parametrize("format", [torchscript, torch_export])
def test_a_decoder_writes_the_same_tokens(format: Any, tmp_path: Path) -> None:
    (part,) = parts(KINDS["decoder"])
    model = part.module.model
    ids = torch.randint(5, 90, (3, 7))
    expected = model.generate(ids, max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0)
    format.write(part, tmp_path)
    assert chained_decoder(format.runner(part, tmp_path), part, ids, 9).tolist() == expected.tolist()


@pytest.mark.parametrize("format", [torchscript, torch_export])
def test_an_encoder_decoder_writes_the_same_tokens(format: Any, tmp_path: Path) -> None:
    encoder, first, later = parts(KINDS["encoder–decoder"])
    model = toy(KINDS["encoder–decoder"])
    for part in (encoder, first, later):
        format.write(part, tmp_path)
    runs = [format.runner(part, tmp_path) for part in (encoder, first, later)]
    ids, mask = torch.randint(5, 60, (2, 6)), torch.ones(2, 6, dtype=torch.long)
    expected = model.generate(ids, attention_mask=mask, max_new_tokens=8, do_sample=False, eos_token_id=None)
    (states,) = runs[0]({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    tokens = expected[:, :1]
    given = {"encoder_attention_mask": mask.numpy(), "input_ids": tokens.numpy(), "encoder_hidden_states": states}
    logits, *present = runs[1](given)
    known = dict(zip(first.outputs[1:], present, strict=True))
    for _ in range(8):
        step = torch.from_numpy(logits[:, -1:].argmax(-1))
        tokens = torch.cat([tokens, step], 1)
        past = {name.replace("present", "past_key_values"): value for name, value in known.items()}
        logits, *own = runs[2]({"encoder_attention_mask": mask.numpy(), "input_ids": step.numpy(), **past})
        known |= dict(zip(later.outputs[1:], own, strict=True))
    assert tokens.tolist() == expected.tolist()
