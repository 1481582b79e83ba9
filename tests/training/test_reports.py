"""What a run leaves to look at: the page, pictures, the card, and the boards of others, read back."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import learner
import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from samovar import Trainer
from samovar.errors import InputError, MissingExtraError
from samovar.training.callbacks import TrainerCallback
from samovar.training.trackers import Tracker, named, tracker_callbacks

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def accuracy(found: Any) -> dict[str, float]:
    return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}


def run(folder: Path, **options: Any) -> Trainer:
    parts = {
        "eval_dataset": learner.rows(16, seed=2), "compute_metrics": accuracy, "eval_strategy": "epoch",
        "num_train_epochs": 4, "save_strategy": "epoch", "load_best_model_at_end": True,
        "metric_for_best_model": "accuracy", "learning_rate": 1e-2, "save_total_limit": 1,
    }  # fmt: skip
    trainer = learner.trainer(folder, report=True, **(parts | options))
    trainer.train(resume_from_checkpoint=options.get("resume_from_checkpoint"))
    return trainer


class Page(HTMLParser):
    """What the tests ask of the page: its tags closed, addresses, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "action")]
        if tag not in ("meta", "line", "polyline", "circle", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.slow
def test_the_report_of_a_run(tmp_path: Path) -> None:
    trainer = run(tmp_path / "run <i>")
    folder = tmp_path / "run <i>" / "report"
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "log.csv", "loss.png", "accuracy.png", "learning_rate.png", "grad_norm.png"}
    text = (folder / "index.html").read_text("utf-8")
    page = Page(text)
    assert page.addresses == []
    assert "http" not in text.replace("http-equiv", "")
    assert f"{trainer.state.best_metric:.4g}" in page.texts
    assert "Ошибка (loss)" in page.texts
    assert "run <i>" in "".join(page.texts)
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    assert f"[{last['step']},{last['loss']:.6g}]" in text
    for name in names - {"index.html", "log.csv"}:
        pixels = np.array(Image.open(folder / name).convert("L"))
        assert pixels.std() > 5
    with (folder / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(trainer.state.log_history)
    assert [float(row["loss"]) for row in rows if row["loss"]] == learner.losses(trainer)


@pytest.mark.slow
def test_figures_of_the_user_are_left_alone(tmp_path: Path) -> None:
    import matplotlib
    import matplotlib.pyplot as plt

    backend = matplotlib.get_backend()
    run(tmp_path)
    assert plt.get_fignums() == []
    assert matplotlib.get_backend() == backend


def test_a_report_that_fails_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "report").write_text("a file in the way", "utf-8")
    with caplog.at_level(logging.WARNING, logger="samovar"):
        trainer = run(tmp_path)
    assert trainer.state.global_step == 24
    assert any("The report could not be written" in record.message for record in caplog.records)


def test_without_matplotlib_the_page_has_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run(tmp_path)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "log.csv"}
    assert "<polyline" in (tmp_path / "report" / "index.html").read_text("utf-8")


# Cards ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_card(tmp_path: Path) -> None:
    trainer = run(tmp_path / "films")
    trainer.create_model_card(
        language="en", license="apache-2.0", tags="tea", finetuned_from="owner/base", dataset="films",
        dataset_tags="owner/films",
    )  # fmt: skip
    path = tmp_path / "films" / "README.md"
    card = ModelCard.load(path)
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.base_model == "owner/base"
    assert card.data.tags == ["generated_from_trainer", "samovar", "tea"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.dataset_name) == ("accuracy", "films")
    assert result.metric_value == trainer.state.best_metric
    assert "| learning_rate | 0.01 |" in card.text
    assert f"| accuracy | {trainer.state.best_metric:.4f} |" in card.text
    # A sentence that somebody added stays when the card is made anew; the training's own part is replaced.
    text = path.read_text("utf-8").replace("# films", "# films\n\nServe with jam.").replace("- tea", "- tea\n- jam")
    path.write_text(text, "utf-8")
    trainer.args.learning_rate = 0.5
    trainer.create_model_card()
    again = ModelCard.load(path)
    assert "Serve with jam." in again.text
    assert "| learning_rate | 0.5 |" in again.text
    assert again.text.count("## Training") == 1
    assert {"jam", "tea", "samovar"} <= set(again.data.tags)
    assert {one.dataset_name for one in again.data.eval_results} == {"films", "held-out rows"}
    assert (again.data.license, again.data.language) == ("apache-2.0", "en")


@pytest.mark.slow
def test_the_card_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    learner.model().save_pretrained(tmp_path / "secret" / "start")
    model = type(learner.model()).from_pretrained(tmp_path / "secret" / "start")
    trainer = run(tmp_path / "end", model=model)
    trainer.create_model_card()
    text = (tmp_path / "end" / "README.md").read_text("utf-8")
    assert "secret" not in text
    assert "`start`" in text


# Boards -----------------------------------------------------------------------------------------------------------


def test_names_of_values() -> None:
    logs = {"loss": 1.0, "eval_loss": 2.0, "eval_near_f1": 0.5, "test_f1": 0.1, "epoch": 1, "kind": "tea"}
    assert named(logs) == {
        "train/loss": 1.0, "eval/loss": 2.0, "eval/near_f1": 0.5, "test/f1": 0.1, "train/epoch": 1,
    }  # fmt: skip


def expected(trainer: Trainer, name: str) -> list[tuple[int, float]]:
    return [(entry["step"], entry[name]) for entry in trainer.state.log_history if name in entry]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = run(tmp_path, report_to="tensorboard")
    (folder,) = (tmp_path / "runs").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    for name, key in (("train/loss", "loss"), ("eval/accuracy", "eval_accuracy")):
        found = [(one.step, one.value) for one in events.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in expected(trainer, key)]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected(trainer, key)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_and_a_resumed_run_in_the_same_record(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    class Stop(TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.epoch >= 2

    run(tmp_path, report_to="mlflow", callbacks=[Stop])
    trainer = run(tmp_path, report_to=["mlflow"], resume_from_checkpoint=True)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "samovar"]
    (record,) = client.search_runs([experiment.experiment_id])
    found = client.get_metric_history(record.info.run_id, "eval/accuracy")
    values = {one.step: one.value for one in found}
    assert values == pytest.approx(dict(expected(trainer, "eval_accuracy")))
    assert record.data.params["learning_rate"] == "0.01"


def records(path: Path) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, which an offline run of wandb is written in.

    After 7 bytes of wandb's own come blocks of 32 KiB with fragments: checksum (4), length (2), kind (1), data.
    """
    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # The only fragment, or the last.
            yield whole
            whole = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_SILENT", "true")
    trainer = run(tmp_path, report_to="wandb")
    (path,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    found = []
    for data in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        row = {one.key or "/".join(one.nested_key): one.value_json for one in record.history.item}
        if "train/loss" in row:
            found.append((int(row["train/global_step"]), float(row["train/loss"])))
    assert found == [(step, pytest.approx(loss)) for step, loss in expected(trainer, "loss")]


def test_which_boards_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracker_callbacks("none") == tracker_callbacks(None) == []
    with pytest.raises(InputError, match=r"'tensorbord' is not known.*\n.*tensorboard"):
        tracker_callbacks("tensorbord")
    monkeypatch.setitem(__import__("sys").modules, "trackio", None)
    with pytest.raises(MissingExtraError, match=re.escape("samovar[trackio]")):
        tracker_callbacks(["trackio"])


@pytest.mark.slow
def test_a_board_that_fails_does_not_stop_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Tracker):
        package, name = "json", "broken"

        def open(self, args: Any, values: dict[str, Any]) -> str:
            assert values["hidden_size"] == 16
            return "run"

        def write(self, values: dict[str, float], step: int) -> None:
            raise OSError("the disk of the board is full")

    with caplog.at_level(logging.WARNING, logger="samovar"):
        trainer = run(tmp_path, callbacks=[Broken])
    assert trainer.state.global_step == 24
    assert [one.message for one in caplog.records if "dropped" in one.message] == [
        "broken is dropped, and the training goes on: the disk of the board is full"
    ]
