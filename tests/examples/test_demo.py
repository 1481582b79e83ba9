"""The demo, run as its reader runs it, on a part of the snippets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = ["A wonderful, moving film.", "Dull, stupid and far too long."]


@pytest.mark.slow
def test_demo_fits_answers_and_saves_a_checkpoint_that_the_reference_reads(tmp_path: Path) -> None:
    folder = tmp_path / "sentiment"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "--texts", "2000", "--folder", str(folder), *SENTENCES],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers = re.findall(r"^  (positive|negative) +([\d.]+)%  (.+)$", done.stdout, re.MULTILINE)
    assert [(label, text) for label, _, text in answers] == [("positive", SENTENCES[0]), ("negative", SENTENCES[1])]
    row = re.findall(r"film reviews \(held out\) +2,000 +([\d.]+)% +([\d.]+)% +([\d.]+)%", done.stdout)
    ours, baseline, probe = map(float, row[0])
    assert ours > probe + 1
    assert probe > baseline + 10
    assert re.search(r"loss  [▁▂▃▄▅▆▇█]{10,}", done.stdout)

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        probabilities = model(**tokenizer(SENTENCES, padding=True, return_tensors="pt")).logits.softmax(-1)
    best = probabilities.max(-1)
    assert [model.config.id2label[index] for index in best.indices.tolist()] == [label for label, _, _ in answers]
    shown = torch.tensor([float(percent) / 100 for _, percent, _ in answers])
    torch.testing.assert_close(best.values, shown, atol=1e-3, rtol=0)


def test_demo_says_what_is_wrong_without_its_assets(tmp_path: Path) -> None:
    """No assets, and an index at a port where nobody listens."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "src"),
            "SAMOVAR_ASSETS": str(tmp_path),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_RETRIES": "0",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "vaderSentiment==0.5 could not be fetched from the package index" in done.stderr
    assert "by hand" in done.stderr
    assert "Traceback" not in done.stderr
