"""Exports that cannot be, or end in the middle: a clear error each, and nothing in place of what was there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import samovar
from samovar.errors import ExportError, InputError, InputTypeError, SaveError, TaskError
from samovar.export import export_model, torchscript
from samovar.export.parts import Part
from samovar.export.run import MANIFEST
from samovar.nn.int8 import quantize

SIZES = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 9}


def bert(**more: Any) -> Any:
    torch.manual_seed(0)
    config = samovar.BertConfig(**SIZES, max_position_embeddings=32, **more)
    return samovar.AutoModelForSequenceClassification.from_config(config).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return bert()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, model: Any) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "bert"
    export_model(model, "torch-export", folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What cannot be exported ----------------------------------------------------------------------------------------------


class Gate(nn.Module):
    """Takes another way where its input is positive on the whole."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if x.mean() > 0 else x


class Unknown(Gate):
    """Leaves PyTorch in the middle."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.from_numpy(x.detach().numpy() * 2))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch-export", "torchscript", "aoti"])
def test_operator_layer_and_line_are_named(format: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = bert()
    model.base_model.layers[0].mlp = Gate(model.base_model.layers[0].mlp)
    with pytest.raises(ExportError) as raised:
        export_model(model, format, tmp_path / "out")
    said = str(raised.value)
    assert "aten.item" in said
    assert "'backbone.layers.0.mlp'" in said
    assert "Gate.forward, test_export_errors.py:" in said
    assert "x.mean() > 0" in said
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")


def test_a_layer_that_leaves_pytorch_is_named(tmp_path: Path) -> None:
    model = bert()
    model.base_model.layers[0].mlp = Unknown(model.base_model.layers[0].mlp)
    with pytest.raises(ExportError, match=r"layer 'backbone\.layers\.0\.mlp'.*from_numpy.*: \.numpy\(\)"):
        export_model(model, "torch-export", tmp_path / "out")


def test_names_of_formats_and_options(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Did you mean 'torchscript'"):
        export_model(model, "torchscrpt", tmp_path / "out")
    with pytest.raises(ExportError, match="torch-export has no option 'opset'"):
        export_model(model, "torch-export", tmp_path / "out", opset=20)
    with pytest.raises(ExportError, match="Did you mean 'opset'"):
        export_model(model, "onnx", tmp_path / "out", opst=20)
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(InputError, match="no difference"):
            export_model(model, "torch-export", tmp_path / "out", tolerance=tolerance)
    with pytest.raises(InputTypeError, match="not Linear"):
        export_model(nn.Linear(2, 2), "torch-export", tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_weights_that_are_not_float32_on_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is bfloat16(.|\n)*model\.float\(\)"):
        export_model(bert().bfloat16(), "torch-export", tmp_path / "out")
    with pytest.raises(ExportError, match=r"backbone\.layers\.0\.self_attn\.q_proj are int8"):
        export_model(quantize(bert()), "torch-export", tmp_path / "out")
    with pytest.raises(ExportError, match="is on meta"):
        export_model(bert().to("meta"), "torch-export", tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_file_in_bfloat16_is_exported_in_float32(tmp_path: Path) -> None:
    bert().bfloat16().save_pretrained(tmp_path / "bert")
    export_model(tmp_path / "bert", "torchscript", tmp_path / "out")
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        expected = samovar.AutoModelForSequenceClassification.from_pretrained(tmp_path / "bert", dtype="float32")(ids)
    (found,) = torch.jit.load(tmp_path / "out" / "model.pt")(ids, torch.ones_like(ids), torch.zeros_like(ids))
    torch.testing.assert_close(found, expected.logits)


@pytest.mark.slow
def test_a_task_that_the_checkpoint_has_no_head_for(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path / "bert")
    for task in ("token-classification", "text-generation", "image-classification"):
        with pytest.raises(TaskError):
            export_model(tmp_path / "bert", "torch-export", tmp_path / "out", task=task)
    with pytest.raises(TaskError, match="text-clasification"):
        export_model(tmp_path / "bert", "torch-export", tmp_path / "out", task="text-clasification")
    assert os.listdir(tmp_path) == ["bert"]
    made = export_model(tmp_path / "bert", "torch-export", tmp_path / "out", task="sentiment-analysis")
    assert made.parts[0].outputs == ["logits"]


def test_a_model_without_a_past(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has no past keys and values"):
        export_model(model, "torch-export", tmp_path / "out", with_past=True)


MISSING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from samovar.cli import main
sys.exit(main(["export", "there-is-no-such-model", "--format", sys.argv[2]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "format", "extra"),
    [
        ("onnxscript", "onnx", "export"),
        ("onnxruntime", "onnx", "export"),
        ("openvino", "openvino", "openvino"),
        ("jax", "jax", "jax"),
        ("tensorflow", "tensorflow", "tensorflow"),
        ("torch", "torchscript", "torch"),
    ],
)
def test_a_missing_extra_has_its_install_line(package: str, format: str, extra: str) -> None:
    done = subprocess.run([sys.executable, "-c", MISSING, package, format], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"needs the package `{package}`" in done.stderr
    assert f"pip install 'samovar[{extra}]'" in done.stderr


@pytest.mark.slow
def test_without_a_compiler(tmp_path: Path) -> None:
    program = "import sys; from samovar.cli import main; sys.exit(main(['export', 'no-model', '--format', 'aoti']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"CXX": "/no/compiler"}
    )
    assert done.returncode == 1
    assert "/no/compiler does not run here" in done.stderr
    assert "CXX" in done.stderr


# What is there already ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_target_that_exists(model: Any, exported: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(exported, tmp_path / "out"))
    (target / "model.onnx").write_text("of an earlier export")
    before = contents(target)
    with pytest.raises(SaveError, match="exists"):
        export_model(model, "torchscript", target)
    assert contents(target) == before
    export_model(model, "torchscript", target, overwrite=True)
    assert sorted(contents(target)) == ["config.json", MANIFEST, "model.pt"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_export_is_never_replaced(model: Any, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SaveError, match="is a file"):
        export_model(model, "torchscript", tmp_path / "file", overwrite=overwrite)
    model.save_pretrained(tmp_path / "checkpoint")
    before = contents(tmp_path)
    with pytest.raises(SaveError):
        export_model(tmp_path / "checkpoint", "torchscript", tmp_path / "checkpoint", overwrite=overwrite)
    assert contents(tmp_path) == before


# What ends in the middle ----------------------------------------------------------------------------------------------


def written_and_then(error: BaseException | None) -> Any:
    """Writes what TorchScript writes, of a model whose last layer is another, and then ends."""
    write = torchscript.write

    def worse(part: Part, folder: Path) -> None:
        bias = part.module.get_submodule("model.head.classifier").bias
        with torch.no_grad():
            bias += 1
            write(part, folder)
            bias -= 1
        if error is not None:
            raise error

    return worse


@pytest.mark.slow
def test_what_differs_is_kept_aside(
    model: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path(shutil.copytree(exported, tmp_path / "out"))
    before = contents(target)
    monkeypatch.setattr(torchscript, "write", written_and_then(None))
    for _ in range(2):  # The second takes the place of the first.
        with pytest.raises(
            ExportError, match=r"more than 0\.0001: model \(batch_size.*: 1\.0e\+00 in logits"
        ) as raised:
            export_model(model, "torchscript", target, overwrite=True)
        assert f"{target}.differs" in str(raised.value)
        assert contents(target) == before
        assert sorted(os.listdir(tmp_path)) == ["out", "out.differs"]
    assert (tmp_path / "out.differs" / "model.pt").is_file()
    export_model(model, "torchscript", target, overwrite=True, tolerance=2)
    assert (target / "model.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no memory")])
def test_an_interruption_leaves_nothing(
    model: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    target = Path(shutil.copytree(exported, tmp_path / "out"))
    before = contents(target)
    monkeypatch.setattr(torchscript, "write", written_and_then(error))
    for folder in (target, tmp_path / "new"):
        with pytest.raises(type(error)):
            export_model(model, "torchscript", folder, overwrite=True)
    assert os.listdir(tmp_path) == ["out"]
    assert contents(target) == before


FULL = """
import resource, sys
import samovar
from samovar.errors import SaveError
from samovar.export import export_model
model = samovar.AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
for format in ("torchscript", "torch-export"):
    try:
        export_model(model, format, sys.argv[2], overwrite=True)
    except SaveError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_full_disk(model: Any, exported: Path, tmp_path: Path) -> None:
    """A limit on file sizes stops a real write in the middle; PyTorch's own writer would end the process there."""
    target = Path(shutil.copytree(exported, tmp_path / "out"))
    before = contents(target)
    model.save_pretrained(tmp_path / "bert")
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "bert", target], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("was not saved: File too large") == 2
    assert contents(target) == before
    assert sorted(os.listdir(tmp_path)) == ["bert", "out"]


def test_a_place_that_cannot_be_written(model: Any) -> None:
    # Not even root may make a folder there.
    with pytest.raises(SaveError, match="was not saved"):
        export_model(model, "torchscript", "/proc/sys/exported")


@pytest.mark.slow
def test_training_goes_on_as_it_was(tmp_path: Path) -> None:
    model = bert().train()
    model.base_model.embeddings.eval()
    before = {name: layer.training for name, layer in model.named_modules()}
    export_model(model, "torchscript", tmp_path / "out")
    assert {name: layer.training for name, layer in model.named_modules()} == before
    model.base_model.layers[0].mlp = Gate(model.base_model.layers[0].mlp)
    with pytest.raises(ExportError):
        export_model(model, "torchscript", tmp_path / "out", overwrite=True)
    assert model.training
