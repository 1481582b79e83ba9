"""The examples run as scripts and print what they promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

from assets import minilm_folder

ROOT = Path(__file__).parents[2]


def printed(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.slow
def test_embeddings_by_hand_find_the_related_sentences() -> None:
    rows = [line.split()[:3] for line in printed("examples/embeddings_by_hand.py", str(minilm_folder()))]
    related, unrelated = float(rows[0][1]), float(rows[0][2])
    assert related > 0.3 > unrelated
    assert [float(row[index]) for index, row in enumerate(rows)] == [1.0, 1.0, 1.0]


@pytest.mark.slow
def test_a_custom_pipeline_answers_each_text() -> None:
    lines = printed("examples/custom_pipeline.py", str(minilm_folder()))
    assert [line.split()[1] for line in lines] == ["tea", "a"]
    assert all(float(line.split()[0]) > 0 for line in lines)


@pytest.mark.slow
def test_a_photograph_becomes_pixel_values() -> None:
    photograph = Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg"
    lines = printed("examples/images.py", str(photograph))
    assert lines[0] == "pixel values: (1, 3, 224, 224)"
    assert "LABEL_" in lines[1]


@pytest.mark.slow
def test_embeddings_are_features_for_a_classical_model() -> None:
    lines = printed("examples/embedding_features.py", str(minilm_folder()))
    assert lines[0] == "features: 4000 texts × 384 numbers"
    accuracy, majority = (float(number) for number in re.findall(r"0\.\d+", lines[1]))
    assert accuracy > majority + 0.15
    assert json.loads("\n".join(lines[2:]))["accuracy"] == pytest.approx(accuracy, abs=1e-3)
