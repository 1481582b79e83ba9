"""Every block of code of the documentation and the README runs as it stands, and prints what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import published
import pytest
import yaml
from blocks import NO_RUN, ROOT, Block, blocks, fits, pages
from running_hub import IMPORTED, RunningHub

from assets import minilm_folder

HERE = Path(__file__).parent
# What takes seconds to import and is imported late, when something is first trained or exported.
SLOW = (
    "accelerate", "datasets", "pandas", "sklearn.metrics", "torch._dynamo", "torch.distributed.fsdp", "torch.export",
    "matplotlib.backends.backend_agg", "onnxscript", "onnxruntime",
)  # fmt: skip
# What commands of the library import; those of the Hub are its own.
COMMANDS = (
    *SLOW, "samovar.auto", "samovar.text.load", "samovar.pipelines.factory",
    "samovar.pipelines.batching", "samovar.architectures.bert", "samovar.training.trainer", "samovar.sentence",
    *(f"samovar.cli.{name}" for name in ("run", "chat", "inspect", "train")),
)  # fmt: skip


def untranslated(page: str) -> str:
    """`docs/tour.ru.md` → `docs/tour.md`."""
    return re.sub(r"\.[a-z]{2}\.md$", ".md", page)


EVERY = [block for page in pages() for block in blocks(page)]
# Shown, and nothing to run: their form is checked, or they are drawings.
SHOWN = ("", "text", "json", "yaml", "toml", "pycon")
# Examples of metrics, which `tests/evaluate/test_pages.py` runs.
ELSEWHERE = ("docs/metrics.md",)
# Page in another language → the page: its code is the same, and runs there.
TRANSLATIONS = {page: english for page in pages() if (english := untranslated(page)) != page and english in pages()}
PAGES = [
    page for page in pages()
    if page not in ELSEWHERE and page not in TRANSLATIONS and any(block.runs for block in blocks(page))
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Page → what its blocks printed, run against a Hub that has the models under the ids that the pages name."""
    root = tmp_path_factory.mktemp("docs")
    folders = published.models(root / "models")
    files = published.files(root / "files", folders)
    # A busy machine takes its time to load a model.
    hub = RunningHub(root / "hub", inference_time="300")
    published.publish(root / "hub", folders)
    with hub:
        token = hub.add_user("you")
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HOME": str(root / "cache"),
            "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "examples")]),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "PYTHONWARNINGS": "error",
        }  # fmt: skip
        settings = {
            "hub": hub.url, "folder": str(root / "pages"), "files": str(files), "assets": str(minilm_folder().parent),
            "imports": [*COMMANDS, *IMPORTED], "slow": SLOW,
        }  # fmt: skip
        (root / "pages").mkdir()
        done = subprocess.run(
            [sys.executable, str(HERE / "runner.py"), *PAGES], input=json.dumps(settings), env=environment, text=True,
            capture_output=True, check=False, cwd=root,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield {page: result(root, page, done.stderr) for page in PAGES}


def result(root: Path, page: str, said: str) -> list[dict[str, Any]]:
    """What the runner wrote about a page."""
    path = root / "pages" / page.replace("/", "--") / "result.json"
    assert path.exists(), f"{page} did not come to its end.\n{said}"
    return list(json.loads(path.read_text("utf-8")))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_print_what_they_say(results: dict[str, list[dict[str, Any]]], page: str) -> None:
    done = {one["line"]: one for one in results[page]}
    for block in blocks(page):
        if not block.runs:
            continue
        assert block.line in done, f"{block.place} was not reached."
        one = done[block.line]
        assert not one["error"], f"{block.place}\n{one['error']}"
        # A shell's own words are free where nothing is promised; Python prints nothing that the page does not show.
        if block.promised or block.language == "python":
            assert fits(block.promised, one["printed"]), f"{block.place} printed {one['printed']}"


def reason(block: Block) -> bool:
    """Whether it says `no-run: why`."""
    return re.match(r": \S+ \S+", block.marks.partition(NO_RUN)[2]) is not None


def test_what_does_not_run_says_why() -> None:
    read = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
    silent = []
    for block in EVERY:
        if block.language in read:
            read[block.language](block.code)
        elif not block.runs and block.page not in ELSEWHERE and block.language not in SHOWN and not reason(block):
            silent.append(block.place)
    assert len(EVERY) > 150
    assert not silent


def test_extras_that_the_pages_name_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {
        extra.strip()
        for page in pages()
        for extras in re.findall(r"(?:samovar|\.)\[([a-z,\- ]+)\]", (ROOT / page).read_text("utf-8"))
        for extra in extras.split(",")
    }
    assert {"torch", "hub"} <= named <= set(known)


def test_translations_have_the_code_of_the_page_that_runs() -> None:
    assert "docs/tour.ru.md" in TRANSLATIONS
    for translated, page in TRANSLATIONS.items():
        ours, theirs = ([(one.language, one.code) for one in blocks(name) if one.runs] for name in (translated, page))
        assert ours == theirs, translated


def test_promises_are_held_to_the_letter() -> None:
    assert fits(["tea", "1 …"], ["tea", "1 cup"])
    assert fits(["a", "…", "z"], ["a", "b", "c", "z"])
    assert not fits(["tea"], ["tea", "milk"])
    assert not fits(["tea"], [])
    assert not fits(["t.a"], ["tea"])
