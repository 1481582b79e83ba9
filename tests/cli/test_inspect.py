"""`samovar inspect`: the numbers are the loaded model's, nothing is loaded, and broken files are named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import Command
from safetensors.torch import load_file, save_file

from assets import minilm_folder
from samovar import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from samovar.architectures.gpt2 import GPT2Config, GPT2LMHeadModel
from samovar.cli import main
from samovar.cli.blocks import Block, folded


def inspected(folder: Path, capsys: pytest.CaptureFixture[str], status: int = 0, *more: str) -> dict[str, Any]:
    """The report as JSON."""
    assert main(["inspect", str(folder), "--json", *more]) == status
    return json.loads(capsys.readouterr().out)


def copied(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


# Numbers ----------------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_loaded_model(capsys: pytest.CaptureFixture[str]) -> None:
    folder = minilm_folder()
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = inspected(folder, capsys)
    parameters = found["parameters"]
    assert found["class"] == type(model).__name__
    assert parameters["total"] == parameters["trainable"] == model.num_parameters()
    assert found["memory"]["float32"] == 4 * model.num_parameters() == 2 * found["memory"]["bfloat16"]
    by_name = {block["name"]: block for block in parameters["blocks"]}
    assert list(by_name) == ["embeddings", "layers.0–5", "pooler"]
    assert by_name["layers.0–5"]["parameters"] == sum(p.numel() for p in model.layers.parameters())
    assert by_name["layers.0–5"]["count"] == len(model.layers)
    assert by_name["embeddings"]["parameters"] == sum(p.numel() for p in model.embeddings.parameters())
    assert found["config"]["hidden_size"] == model.config.hidden_size
    assert found["tokenizer"]["vocabulary"] == len(tokenizer)
    assert found["tokenizer"]["special_tokens"]["mask_token"] == "[MASK]"
    assert found["files"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    stored = load_file(folder / "model.safetensors")
    for dtype in {tensor.dtype for tensor in stored.values()}:
        held = sum(tensor.nbytes for tensor in stored.values() if tensor.dtype == dtype)
        assert found["memory"]["stored"][str(dtype).removeprefix("torch.")] == held
    assert found["problems"] == []


def test_tied_weights_are_counted_once(writer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = AutoModelForCausalLM.from_pretrained(writer)
    found = inspected(writer, capsys, 0, "--layers")
    assert found["parameters"]["total"] == model.num_parameters()
    assert found["parameters"]["tied"] == {"head.decoder.weight": "backbone.embeddings.word.weight"}
    assert [block["name"] for block in found["parameters"]["blocks"]] == ["embeddings", "layers.0", "layers.1", "norm"]


def test_types_and_shards(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = inspected(classifier, capsys)
    model = AutoModelForSequenceClassification.from_pretrained(classifier, dtype="bfloat16")
    model.save_pretrained(tmp_path, max_shard_size="1MB")
    found = inspected(tmp_path, capsys)
    assert len([name for name in found["files"] if name.endswith(".safetensors")]) > 1
    assert found["parameters"]["total"] == whole["parameters"]["total"]
    assert found["memory"]["stored"]["bfloat16"] == whole["memory"]["stored"]["float32"] // 2
    assert all(block["dtypes"] == ["bfloat16"] for block in found["parameters"]["blocks"])
    assert found["config"]["labels"] == ["bad", "fair", "good"]
    assert found["tokenizer"] is None


def test_archives_of_torch(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied(classifier, tmp_path)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert inspected(folder, capsys)["parameters"] == inspected(classifier, capsys)["parameters"]


def test_images(eye: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspected(eye, capsys)
    assert found["image_processor"]["size"] == {"height": 16, "width": 16}
    assert found["config"]["patch_size"] == 8
    assert found["tokenizer"] is None


def test_an_architecture_that_is_not_known(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(classifier, tmp_path)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    known = inspected(classifier, capsys)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "teapot", "architectures": ["TeapotModel"]}))
    found = inspected(folder, capsys)
    assert found["class"] == "TeapotModel"
    assert "'teapot'" in found["notes"][0]
    assert found["parameters"]["total"] == known["parameters"]["total"]
    assert [block["name"] for block in found["parameters"]["blocks"]] == [
        "bert.embeddings", "bert.encoder.layer.0–1", "bert.pooler", "classifier"
    ]  # fmt: skip


def test_equal_layers_fold_and_others_do_not() -> None:
    rows = [Block("a.0", 5, 20), Block("a.1", 5, 20), Block("a.2", 6, 24), Block("a.4", 6, 24), Block("b.5", 6, 24)]
    assert [(row.name, row.count, row.parameters) for row in folded(rows)] == [
        ("a.0–1", 2, 10), ("a.2", 1, 6), ("a.4", 1, 6), ("b.5", 1, 6)
    ]  # fmt: skip


@pytest.mark.slow
def test_no_weight_is_loaded(tmp_path: Path) -> None:
    """A file of 200 GB, all of it a hole on the disk: reading any part of its weights would show in the memory."""
    config = GPT2Config(n_embd=8192, n_layer=64, n_head=64)
    config.architectures = ["GPT2LMHeadModel"]
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = GPT2LMHeadModel(config)
    tensors = dict(model.named_parameters())
    header, end = {}, 0
    for name, (ours, operation) in GPT2LMHeadModel.name_table().gather(tensors).items():
        parts = [tensors[one] for one in ours]
        tensor = parts[0] if operation is None else operation.save(parts)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end := end + tensor.nbytes]}
    text = json.dumps(header).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    program = (
        "import sys; from samovar.cli import main; status = main(sys.argv[1:])\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(tmp_path), "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["parameters"]["total"] == sum(tensor.numel() for tensor in tensors.values()) > 50e9
    assert int(done.stderr.split()[-2]) < 1_000_000, "KiB, of which PyTorch takes half"


@pytest.mark.slow
def test_the_table(writer: Path, classifier: Path, command: Command) -> None:
    done = command("inspect", writer)
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(writer)
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[0] == f"GPT2LMHeadModel {writer}"
    assert f"total {model.num_parameters():,}" in rows
    assert any(row.startswith("layers.0–1 ") and "(2 × " in row for row in rows)
    assert "tied: head.decoder.weight is backbone.embeddings.word.weight, counted once" in rows
    assert "hidden_size 32" in rows
    assert any(row.startswith("int8 ") for row in rows)
    assert done.stderr == ""
    assert "3 labels: bad, fair, good" in command("inspect", classifier).stdout


# Broken files -----------------------------------------------------------------------------------------------------


def damage(folder: Path, how: str) -> None:
    """Break a checkpoint."""
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    if how == "cut":
        path.write_bytes(whole[:-1000])
    elif how == "more":
        path.write_bytes(whole + b"\0")
    elif how == "stub":
        path.write_bytes(whole[:100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "page":
        path.write_bytes(b"<!DOCTYPE html><html>Log in</html>")
    elif how == "pointer":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif how == "header":
        path.write_bytes(whole[:8] + b"!" * length + whole[8 + length :])
    elif how == "shape":
        path.write_bytes(whole.replace(b'"shape":[32]', b'"shape":[31]'))
    elif how == "none":
        path.unlink()
    elif how in ("missing", "renamed"):
        tensors = load_file(path)
        weight = tensors.pop("bert.encoder.layer.0.output.dense.weight")
        save_file(tensors | ({"bert.encoder.layer.0.output.dens.weight": weight} if how == "renamed" else {}), path)
    elif how == "config":
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 128}))
    elif how == "tokenizer":
        (folder / "tokenizer.json").write_text("{")
    else:
        AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder, max_shard_size="1MB")
        first = sorted(folder.glob("model-*.safetensors"))[0]
        index = folder / "model.safetensors.index.json"
        if how == "shard":
            first.unlink()
        elif how == "index":
            index.write_text("[]")
        elif how == "unlisted":
            values = json.loads(index.read_text("utf-8"))
            del values["weight_map"]["classifier.bias"]
            index.write_text(json.dumps(values))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "1,000 are missing, as of a download that broke off"),
        ("more", "1 are too many"),
        ("stub", "has 100 bytes, and its header alone"),
        ("empty", "(0 bytes) does not begin as a safetensors file"),
        ("page", "is a web page"),
        ("pointer", "is a pointer of Git LFS"),
        ("header", "cannot be read: JSONDecodeError"),
        ("shape", "of shape (31,) takes 124 bytes, not 128"),
        ("none", "holds no weights"),
        ("missing", "missing     bert.encoder.layer.0.output.dense.weight"),
        ("renamed", "(the file has bert.encoder.layer.0.output.dens.weight)"),
        ("config", "mis-shaped"),
        ("tokenizer", "tokenizer.json"),
        ("shard", "files that model.safetensors.index.json names are missing: model-00001-of"),
        ("index", "is no index of weights"),
        ("unlisted", "does not name 1 tensor(s) that the files hold: classifier.bias"),
    ],
)
def test_broken_files(
    how: str, words: str, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(classifier, tmp_path)
    damage(folder, how)
    found = inspected(folder, capsys, 1)
    assert len(found["problems"]) == 1
    assert words in found["problems"][0]
    assert main(["inspect", str(folder)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("problem: ")
    assert "hidden_size" in said.out, "what is known is shown all the same"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", "{", "is not valid JSON"),
        ("config.json", "{}", "has no `model_type`"),
    ],
)
def test_nothing_to_say_without_a_configuration(
    name: str, text: str | None, words: str, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(classifier, tmp_path)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    assert main(["inspect", str(folder)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.out == ""


def test_a_tokenizer_of_another_model(
    classifier: Path, writer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(writer, tmp_path)
    AutoTokenizer.from_pretrained(folder, additional_special_tokens=["<tea>"]).save_pretrained(folder)
    found = inspected(folder, capsys, 1)
    assert "The tokenizer has 30523 tokens, the model's vocabulary 30522" in found["problems"][0]
