"""`samovar export`: differences, where the largest is, and three lines that run as they are printed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from samovar import AutoModelForSequenceClassification
from samovar.cli import export, main


@pytest.mark.slow
def test_what_it_prints_can_be_run(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "exported"
    assert main(["export", str(classifier), "-f", "torch-export", "-o", str(target)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.startswith("model (batch_size ") for line in said[:3]] == [True] * 3
    assert said[3].startswith("largest: model (batch_size ")
    assert f"{target}: config.json, export.json, model.pt2" in said[4]
    ids = torch.tensor([[2, 7, 9, 3]])
    names: dict[str, Any] = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)
    }  # fmt: skip
    with torch.no_grad():
        expected = AutoModelForSequenceClassification.from_pretrained(classifier)(**names).logits
    assert len(said[6:]) == 3
    for line in said[6:]:
        exec(line.strip(), names)
    torch.testing.assert_close(names["outputs"][0], expected)
    assert json.loads((target / "export.json").read_text("utf-8"))["largest_difference"] < 1e-4


def test_errors_are_two_lines(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for given, cause, step in (
        (["-f", "onx"], "Unknown export format 'onx'", "'onnx'"),
        (["-f", "torchscript", "--option", "opset=20"], "no option 'opset'", "none"),
        (["-f", "torchscript", "-o", str(tmp_path / "mine")], "exists", "--overwrite"),
        (["-f", "torchscript", "-o", str(tmp_path / "x"), "--task", "text-generation"], "no trained head", "→"),
    ):
        assert main(["export", str(classifier), *given]) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert cause in first
        assert second.startswith("  → ")
        assert step in second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_what_takes_long_is_said_on_a_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SHOWN_AFTER", 0)
    monkeypatch.setattr(export, "TICK", 0.001)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with export.Status(shown=True) as status:
        status.doing("writing model")
        while "writing model" not in stream.getvalue():
            status.ended.wait(0.001)
        status.line("model: 1e-07")
    assert "writing model … 0 s" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
