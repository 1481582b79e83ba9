"""ONNX: every architecture at several sizes, names in the file, large weights beside it, int8, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest
import torch
from toys import EVERYTHING, KINDS, MEASURED, parts, randomised, toy

import samovar
from samovar.errors import CorruptFileError, ExportError, FileMissingError, InputError
from samovar.export import export_model, onnx_format
from samovar.export.comparing import TOLERANCE, compared
from samovar.export.inputs import Input
from samovar.export.onnx_format import runner, write
from samovar.export.parts import Part, parts_of
from samovar.runtime import OnnxModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Architecture → a folder with its graphs, which the test leaves as they are: each takes seconds to write."""

    @cache
    def folder(model_type: str) -> Path:
        path = tmp_path_factory.mktemp("graphs")
        for part in parts(model_type):
            write(part, path)
        return path

    return folder


@pytest.mark.parametrize("model_type", MEASURED)
def test_answers_are_the_models(model_type: str, written: Callable[[str], Path]) -> None:
    for part in parts(model_type):
        for found in compared(part, runner(part, written(model_type))):
            assert found.largest < TOLERANCE, str(found)
        graph = onnx.load(written(model_type) / f"{part.name}.onnx").graph
        names = {one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
                 for one in [*graph.input, *graph.output]}  # fmt: skip
        assert list(names) == [one.name for one in part.inputs] + part.outputs
        for one in part.inputs:
            wanted = [" + ".join(sorted(dim.split(" + "))) if isinstance(dim, str) else dim for dim in one.dims]
            assert names[one.name] == wanted
        assert not any(re.search(r"\bs\d+", str(dim)) for dims in names.values() for dim in dims)


# Heads that do more than a linear layer, of architectures that are exported with another one above.
HEADS = [("tapas", "TableQuestionAnswering"), ("bert", "MultipleChoice")]
if EVERYTHING:
    HEADS += [
        ("bart", "SequenceClassification"), ("bart", "QuestionAnswering"), ("xlnet", "QuestionAnswering"),
        ("longformer", "QuestionAnswering"), ("gpt2", "SequenceClassification"), ("bert", "PreTraining"),
    ]  # fmt: skip


@pytest.mark.parametrize(("model_type", "head"), HEADS)
def test_further_heads(model_type: str, head: str, tmp_path: Path) -> None:
    model = randomised(getattr(samovar, f"AutoModelFor{head}").from_config(toy(model_type).config))
    (part,) = parts_of(model)
    write(part, tmp_path)
    for found in compared(part, runner(part, tmp_path)):
        assert found.largest < TOLERANCE, str(found)


@pytest.mark.parametrize("model_type", [KINDS["encoder"], KINDS["decoder"]])
def test_without_a_mask_and_with_attention_as_one_operator(model_type: str, tmp_path: Path) -> None:
    (part,) = parts_of(toy(model_type), mask=False)
    assert "attention_mask" not in [one.name for one in part.inputs]
    write(part, tmp_path, opset=25)
    assert "Attention" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    for found in compared(part, runner(part, tmp_path)):
        assert found.largest < TOLERANCE, str(found)


def test_the_same_model_is_the_same_file_and_says_nothing_of_this_machine(
    written: Callable[[str], Path], tmp_path: Path
) -> None:
    (part,) = parts_of(toy("bert"))
    write(part, tmp_path)
    files = [(folder / "model.onnx").read_bytes() for folder in (tmp_path, written("bert"))]
    assert files[0] == files[1]
    assert str(Path(samovar.__file__).parent).encode() not in files[0]


@pytest.mark.parametrize("quantization", [None, "int8"])
def test_large_weights_lie_beside_the_graph(
    quantization: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_format, "INLINE_LIMIT", 10_000)
    (part,) = parts("bert")
    write(part, tmp_path, quantization=quantization)
    beside = [path.name for path in tmp_path.iterdir()]
    assert len(beside) == 2
    assert (tmp_path / "model.onnx_data").stat().st_size > 10_000
    *_, found = compared(part, runner(part, tmp_path))
    assert (found.largest if quantization is None else found.relative / 1000) < TOLERANCE
    for name in beside:
        (tmp_path / name).rename(tmp_path / f"{name}.away" if name.endswith("data") else tmp_path / name)
    with pytest.raises(CorruptFileError, match="onnxruntime cannot read"):
        runner(part, tmp_path)


@pytest.mark.parametrize("model_type", [KINDS["encoder"], KINDS["decoder"]] if EVERYTHING else [KINDS["encoder"]])
def test_int8_is_smaller_and_near(model_type: str, tmp_path: Path) -> None:
    model = toy(model_type)
    said: list[str] = []
    rounded = export_model(model, "onnx", tmp_path / "int8", quantization="int8", report=said.append)
    assert rounded.largest > TOLERANCE
    assert all("of answers alike" in line for line in said)
    assert max(one.relative for one in rounded.differences) < onnx_format.INT8_TOLERANCE
    with pytest.raises(ExportError, match="differs from the model by more than 1e-05"):
        export_model(model, "onnx", tmp_path / "strict", quantization="int8", tolerance=1e-5)
    assert not (tmp_path / "strict").exists()
    plain = sum(one.numel() * 4 for one in model.parameters())
    whole = onnx.load(tmp_path / "int8" / "model.onnx").graph.initializer
    assert sum(len(one.raw_data) for one in whole if one.data_type == onnx.TensorProto.INT8) > plain / 4 * 0.7


@pytest.mark.parametrize("kind", ["decoder", "encoder–decoder"])
def test_chained_steps_write_what_generate_writes(kind: str, written: Callable[[str], Path], tmp_path: Path) -> None:
    model = toy(KINDS[kind])
    shutil.copytree(written(KINDS[kind]), tmp_path, dirs_exist_ok=True)
    model.config.save_pretrained(tmp_path)
    graph = OnnxModel.from_pretrained(tmp_path)
    ids = torch.randint(3, 60, (3, 6))
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    fixed = {"attention_mask": mask, "max_new_tokens": 7, "pad_token_id": 0}
    # Greedy, by beams, drawn, without a cache, and with a past that is cut back where a guess was wrong.
    for options in ({}, {"num_beams": 3}, {"do_sample": True, "seed": 3}, {"use_cache": False}):
        assert torch.equal(graph.generate(ids, **fixed, **options), model.generate(ids, **fixed, **options)), options
    guessed = {"prompt_lookup_num_tokens": 3, "max_new_tokens": 9}
    assert torch.equal(graph.generate(ids[:1], **guessed), model.generate(ids[:1], **guessed))
    (tmp_path / ("model.onnx" if kind == "decoder" else "decoder_with_past_model.onnx")).unlink()
    with pytest.raises(FileMissingError, match=r"has no ONNX graph|An encoder–decoder is three graphs"):
        OnnxModel.from_pretrained(tmp_path)


class Unknown(torch.nn.Module):
    """A layer with an operator that ONNX does not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


class Around(torch.nn.Module):
    """The layer within a model, as parts hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 4), Unknown())

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.model(*tensors),)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    odd = Part("model", Around(), [Input("x", ("batch_size", 4), "state")], ["out"])
    with pytest.raises(ExportError, match=r"no form of aten\.special_bessel_j0\.default in layer 'model\.1'"):
        write(odd, tmp_path)
    (part,) = parts("bert")
    with pytest.raises(ExportError, match=r"opset=23 is not written\.\n.*20, 21, 22, 25"):
        write(part, tmp_path, opset=23)
    with pytest.raises(ExportError, match="quantization='int4' is not known"):
        write(part, tmp_path, quantization="int4")
    (pixels,) = parts_of(samovar.AutoModel.from_config(toy("resnet").config).eval())
    with pytest.raises(ExportError, match="has no matrix that could be stored in int8"):
        write(pixels, tmp_path, quantization="int8")


def test_wrong_inputs_are_named(written: Callable[[str], Path], tmp_path: Path) -> None:
    (part,) = parts("bert")
    shutil.copytree(written("bert"), tmp_path, dirs_exist_ok=True)
    run = runner(part, tmp_path)
    given = {name: tensor.numpy() for name, tensor in part.example().items()}
    with pytest.raises(InputError, match=r"no input 'input_id'\.\n.*'input_ids'"):
        run({"input_id": given["input_ids"]})
    with pytest.raises(InputError, match="reads 'attention_mask', which was not given"):
        run({"input_ids": given["input_ids"]})
    with pytest.raises(InputError, match=r"input_ids is \(11,\); model.onnx reads \(batch_size, sequence_length\)"):
        run(given | {"input_ids": given["input_ids"][0]})
    with pytest.raises(InputError, match="an id or a position that it has no row for"):
        run(given | {"input_ids": given["input_ids"] + 1000})
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(CorruptFileError, match="onnxruntime cannot read"):
        runner(part, tmp_path)
