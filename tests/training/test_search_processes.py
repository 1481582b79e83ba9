"""Searches of several processes, and searches that are stopped: nothing is lost, repeated or left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from search_setup import rates, table, trainer

from samovar.training.callbacks import TrainerCallback
from samovar.training.search import hyperparameter_search

SLOW_SEARCH = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from search_setup import rates, trainer
from samovar.training.callbacks import TrainerCallback
from samovar.training.search import hyperparameter_search


class Hang(TrainerCallback):
    def on_train_begin(self, args, state, control, **k):
        if args.output_dir.endswith("run-2"):
            Path({mark!r}).write_text(str(args.learning_rate))
            time.sleep(600)

hyperparameter_search(trainer(Path({folder!r}), parts={{"callbacks": [Hang()]}}), rates, n_trials=4, n_jobs={jobs})
"""


def stopped_in_the_third_trial(folder: Path, jobs: int, how: int = signal.SIGKILL) -> float:
    """Run a search in a program of its own and stop it while trial 2 runs; that trial's rate."""
    mark = folder.parent / "mark"
    code = SLOW_SEARCH.format(tests=str(Path(__file__).parent), mark=str(mark), folder=str(folder), jobs=jobs)
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not (mark.exists() and mark.read_text()):
        assert process.poll() is None, "The search ended before its third trial."
        time.sleep(0.05)
    os.kill(process.pid, how)
    process.wait()
    return float(mark.read_text())


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_trials_that_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    rate = stopped_in_the_third_trial(folder, jobs=1)
    best = hyperparameter_search(trainer(folder), rates, n_trials=4)
    found = table(folder)
    assert [one["state"] for one in found] == ["complete", "complete", "failed", "complete", "complete"]
    assert found[2]["error"] == "interrupted"
    assert float(found[3]["learning_rate"]) == rate, "The interrupted values are tried again."
    assert best.objective == min(float(one["objective"]) for one in found if one["objective"])
    hyperparameter_search(trainer(tmp_path / "whole"), rates, n_trials=4)
    whole = [(one["learning_rate"], one["objective"]) for one in table(tmp_path / "whole")]
    assert whole == [(one["learning_rate"], one["objective"]) for one in found if one["objective"]]


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    rate = stopped_in_the_third_trial(folder, jobs=2, how=signal.SIGINT)
    hyperparameter_search(trainer(folder), rates, n_trials=4)
    found = table(folder)
    assert sum(one["state"] == "complete" for one in found) == 4
    assert found[2]["error"] == "interrupted"
    assert rate in [float(one["learning_rate"]) for one in found if one["state"] == "complete"]


@pytest.mark.slow
def test_trials_side_by_side_give_what_they_give_alone(tmp_path: Path) -> None:
    alone = hyperparameter_search(trainer(tmp_path / "one"), rates, n_trials=4)
    both = hyperparameter_search(trainer(tmp_path / "two"), rates, n_trials=4, n_jobs=2)
    one, two = table(tmp_path / "one"), table(tmp_path / "two")
    values = [sorted((row["learning_rate"], float(row["objective"])) for row in rows) for rows in (one, two)]
    assert [rate for rate, _ in values[0]] == [rate for rate, _ in values[1]]
    assert [value for _, value in values[0]] == pytest.approx([value for _, value in values[1]], abs=1e-6)
    assert both.objective == pytest.approx(alone.objective, abs=1e-6)
    processes = {trial.user_attrs["process"] for trial in both.run_summary.trials}
    assert len(processes) == 2
    assert os.getpid() not in processes


class Dies(TrainerCallback):
    """Ends its process in the second trial, as running out of memory does."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **k: Any) -> None:
        if args.output_dir.endswith("run-1"):
            os._exit(9)


@pytest.mark.slow
def test_a_process_that_dies_fails_its_trial_only(tmp_path: Path) -> None:
    first = trainer(tmp_path, parts={"callbacks": [Dies()]})
    best = hyperparameter_search(first, rates, n_trials=4, n_jobs=2)
    states = [one["state"] for one in table(tmp_path)]
    assert states == ["complete", "failed", "complete", "complete"]
    assert best.run_id != "1"


@pytest.mark.slow
def test_workers_end_with_their_search(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    stopped_in_the_third_trial(folder, jobs=2)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")
    workers = {trial.user_attrs.get("process") for trial in study.trials} - {None}
    assert len(workers) == 2
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() and b"search.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()
              for pid in workers):  # fmt: skip
        assert time.monotonic() < end, "A worker outlives its search."
        time.sleep(0.1)
