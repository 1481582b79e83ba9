"""The demo, run as its reader runs it, on a part of the snippets."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / "examples" / "demo.py")]
AGAIN = [sys.executable, str(ROOT / "examples" / "demo_hub.py")]
SENTENCES = ["A wonderful, moving film.", "Dull, stupid and far too long."]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """The model's folder, the Hub's, and what the demo printed without a terminal."""
    work = tmp_path_factory.mktemp("demo")
    folder, hub = work / "sentiment", work / "hub"
    done = subprocess.run(
        [*DEMO, "--texts", "2000", "--held-out", "800", "--folder", str(folder), "--hub", str(hub), *SENTENCES],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    return folder, hub, done


@pytest.mark.slow
def test_demo_fits_answers_and_saves_a_checkpoint_that_the_reference_reads(made) -> None:
    folder, _, done = made
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers = re.findall(r"^  (positive|negative) +([\d.]+)%  (.+)$", done.stdout, re.MULTILINE)
    assert [(label, text) for label, _, text in answers] == [("positive", SENTENCES[0]), ("negative", SENTENCES[1])]
    row = re.findall(r"film reviews \(held out\) +800 +([\d.]+)% +([\d.]+)% +([\d.]+)%", done.stdout)
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


@pytest.mark.slow
def test_demo_ends_on_a_page_that_answers_and_serves_it_again_until_interrupted(made) -> None:
    """The first run asked the page itself; the second, at a terminal, leaves that to the visitor."""
    folder, data, done = made
    assert re.search(r"asking it on its page .*positive [\d.]+%", done.stdout)
    assert re.search(r"sentence and see the answer:  http://127\.0\.0\.1:\d+/demo/film-sentiment\n", done.stdout)
    assert "Ctrl-C" not in done.stdout
    terminal, stdin = pty.openpty()
    demo = subprocess.Popen(
        [*AGAIN, "--folder", str(folder), "--hub", str(data)], stdin=stdin, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    try:
        lines = []
        while not lines or not lines[-1].startswith("Press Ctrl-C"):
            lines.append(demo.stdout.readline())
            assert lines[-1], "".join(lines)
        page = next(line.split()[-1] for line in lines if "see the answer" in line)
        hub = page.removesuffix("/demo/film-sentiment")
        answer = httpx.post(f"{page}/try", data={"text": SENTENCES[1]}, headers={"Origin": hub}, timeout=60).text
        assert re.search(r"<li><span>negative</span>.*?<b>0\.[5-9]", answer)
        shown = httpx.get(page).text
        assert "Rated snippets: tweets" in shown  # How well it does there, from the card.
        assert "Not bad at all!" in shown
        commits = httpx.get(f"{hub}/api/models/demo/film-sentiment/commits/main").json()
        assert [one["title"] for one in commits].count("Publish what make demo has made") == 1
        splits = httpx.get(f"{hub}/splits?dataset=demo/rated-snippets", timeout=60).json()["splits"]
        assert {(one["config"], one["split"]) for one in splits} == {
            ("movies", "train"), ("movies", "test"), ("products", "test"), ("tweets", "test"),
        }  # fmt: skip
        served = psutil.Process(demo.pid).children(recursive=True)
    finally:
        demo.send_signal(signal.SIGINT)
        status = demo.wait(60)
        demo.stdout.close()
        os.close(terminal)
        os.close(stdin)
    assert status == 0
    assert served
    assert not [one for one in served if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_demo_says_what_is_wrong_without_its_assets(tmp_path: Path) -> None:
    """No assets, and an index at a port where nobody listens."""
    done = subprocess.run(
        DEMO,
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
