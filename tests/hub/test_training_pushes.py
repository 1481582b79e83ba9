"""A run's repository on a real Hub: checkpoints on the way, the end, the card, and results that are added later."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, hf_hub_download
from machines import Machine

import samovar
from samovar import ModelCard, evaluate
from samovar.errors import HubError
from samovar.evaluate import MetricError

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import learner

pytestmark = pytest.mark.slow

Machines = Callable[..., Machine]


def train(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    """Two epochs, with an evaluation and a save after each."""
    trainer = learner.trainer(
        folder, num_train_epochs=2, save_strategy="epoch", eval_strategy="epoch", eval_dataset=learner.rows(8),
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
        push_to_hub=True, hub_model_id=name, hub_private_repo=True, report=True, **options,
    )  # fmt: skip
    trainer.train()
    api = HfApi()
    revision = options.get("hub_revision")
    return {
        "files": set(api.list_repo_files(name, revision=revision)),
        "titles": [one.title for one in api.list_repo_commits(name, revision=revision)],
        "private": api.model_info(name).private,
        "card": Path(hf_hub_download(name, "README.md", revision=revision)).read_text("utf-8"),
        "left": sorted(path.name for path in folder.glob(".push-*")),
        "accuracy": [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry][-1],
    }


def test_a_run_sends_its_checkpoints_and_its_end(machine: Machines, tmp_path: Path) -> None:
    found = machine("alice")(train, tmp_path / "a", "alice/every", hub_strategy="all_checkpoints", hub_always_push=True)
    assert found["titles"][:3] == ["End of training", "Training in progress, epoch 2", "Training in progress, epoch 1"]
    assert {"checkpoint-6/optimizer.pt", "checkpoint-12/trainer_state.json"} <= found["files"]
    assert {"README.md", "model.safetensors", "config.json", "report/index.html"} <= found["files"]
    assert "optimizer.pt" not in found["files"]
    assert found["private"] is True
    assert found["left"] == []
    card = ModelCard(found["card"])
    assert card.data.pipeline_tag == "text-classification"
    (result,) = card.results
    assert (result.metric_type, result.metric_value) == ("accuracy", found["accuracy"])


def test_a_run_can_wait_until_its_end_and_use_a_branch(machine: Machines, tmp_path: Path) -> None:
    found = machine("alice")(train, tmp_path / "b", "alice/end", hub_strategy="end", hub_revision="runs")
    assert found["titles"][0] == "End of training"
    assert not any(title.startswith("Training in progress") for title in found["titles"])
    assert "model.safetensors" in found["files"]


def train_twice(folder: Path, name: str, sentence: str) -> list[str]:
    """A person edits the card on the Hub between two runs."""
    train(folder / "one", name, hub_strategy="end")
    card = ModelCard.load(name)
    card.text = card.text.replace("# ", f"# Films\n\n{sentence}\n\n## ", 1)
    card.data.license = "mit"
    card.push_to_hub(name)
    return [train(folder / "two", name, hub_strategy="end", learning_rate=0.5)["card"]]


def test_a_persons_words_stay_when_the_run_is_repeated(machine: Machines, tmp_path: Path) -> None:
    (text,) = machine("alice")(train_twice, tmp_path, "alice/twice", "Serve with jam.")
    assert "Serve with jam." in text
    assert "license: mit" in text
    assert "| learning_rate | 0.5 |" in text
    assert text.count("## Training") == 1


def begin(folder: Path, name: str) -> None:
    learner.trainer(folder, push_to_hub=True, hub_model_id=name).train()


def test_a_run_that_could_not_push_does_not_begin(machine: Machines, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="needs a login"):
        machine(None)(begin, tmp_path / "c", "alice/never")
    with pytest.raises(HubError, match="Pushing to alice/never failed"):
        machine("bob")(begin, tmp_path / "d", "alice/never")
    assert not list(tmp_path.rglob("*.safetensors"))


# Results ----------------------------------------------------------------------------------------------------------


def push_results() -> list[str]:
    torch.manual_seed(0)
    samovar.BertForSequenceClassification(learner.config()).push_to_hub("alice/measured")
    evaluate.push_to_hub(
        "alice/measured", "text-classification", "owner/films", "Films", "accuracy", "Accuracy", 0.75,
        dataset_split="test",
    )  # fmt: skip
    found = evaluate.load("f1").compute(predictions=[0, 1, 1], references=[0, 1, 0])
    found.push_to_hub("alice/measured", "text-classification", "Films", dataset_type="owner/films")
    try:
        evaluate.push_to_hub(
            "alice/measured", "text-classification", "owner/films", "Films", "accuracy", "Accuracy", 0.5,
            dataset_split="test",
        )  # fmt: skip
    except MetricError as error:
        refused = str(error)
    evaluate.push_to_hub(
        "alice/measured", "text-classification", "owner/films", "Films", "accuracy", "Accuracy", 0.9,
        dataset_split="test", overwrite=True,
    )  # fmt: skip
    return [refused, Path(hf_hub_download("alice/measured", "README.md")).read_text("utf-8")]


def test_results_are_written_into_the_card(machine: Machines) -> None:
    refused, text = machine("alice")(push_results)
    assert "says accuracy 0.75 on Films; the new value is 0.5" in refused
    card = ModelCard(text)
    values = {one.metric_type: one.metric_value for one in card.results}
    assert values == {"accuracy": 0.9, "f1": pytest.approx(2 / 3)}
    assert card.data.metrics == ["accuracy", "f1"]
    assert "# alice/measured" in card.text
