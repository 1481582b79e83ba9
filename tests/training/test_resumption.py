"""Runs that end early: killed, stopped by Ctrl-C, out of disk or out of numbers. What was kept goes on bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import learner
import pytest
import resumed
import torch

from samovar import AutoModelForMaskedLM, AutoModelForSequenceClassification, GPT2Config
from samovar.errors import CorruptFileError, FileMissingError, InputError, NumericError, SaveError, WeightsError
from samovar.training.callbacks import TrainerCallback
from samovar.training.checkpoints import get_last_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# Runs are processes of their own, copies of one that has its imports behind it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["torch._dynamo", "torch.distributed.fsdp", "samovar.architectures.bert", "samovar.training.trainer"]
)


def run(
    folder: Path, kind: str, end: int = -1, resume: bool = False, full_disk: bool = False
) -> tuple[int | None, str]:
    """Run the program; its exit code, and the error that it ended with."""
    error = folder.with_name(f"{folder.name}-error.txt")
    process = PROCESSES.Process(target=resumed.program, args=(folder, error, kind, end, resume, full_disk))
    process.start()
    process.join()
    return process.exitcode, error.read_text("utf-8") if error.exists() else ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "masked", "grouped", "evaluated", "stream"])
def test_a_killed_run_goes_on_bit_for_bit(kind: str, tmp_path: Path) -> None:
    assert run(tmp_path / "whole", kind) == (0, "")
    for step in (1, 7):
        folder = tmp_path / str(step)
        assert run(folder, kind, end=step) == (-signal.SIGKILL, "")
        if kind != "evaluated":
            assert Path(str(get_last_checkpoint(folder))).name == f"checkpoint-{step - 1}" if step > 1 else True
        assert run(folder, kind, resume=get_last_checkpoint(folder) is not None) == (0, "")
        for name in ("end/model.safetensors", "history.json"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_in_one_process_too(tmp_path: Path) -> None:
    whole = learner.trainer(tmp_path / "whole")
    whole.train()
    options = {"save_strategy": "steps", "save_steps": 5}
    learner.trainer(tmp_path / "part", **options, callbacks=[Stop(6)]).train()
    shutil.rmtree(tmp_path / "part" / "checkpoint-10", ignore_errors=True)
    again = learner.trainer(tmp_path / "part", model=learner.model(seed=9), **options)
    output = again.train(resume_from_checkpoint=True)
    assert output.global_step == 12
    assert learner.losses(again) == learner.losses(whole)
    assert learner.same(learner.weights(again.model), learner.weights(whole.model))
    assert output.training_loss == pytest.approx(sum(learner.losses(whole)) / 12, abs=1e-6)


def test_a_run_that_was_moved_finds_its_best(tmp_path: Path) -> None:
    options = {
        "eval_dataset": learner.rows(8), "eval_strategy": "epoch", "save_strategy": "epoch",
        "load_best_model_at_end": True, "num_train_epochs": 3, "learning_rate": 1e-2,
    }  # fmt: skip
    learner.trainer(tmp_path / "here", callbacks=[Stop(6)], **options).train()
    shutil.move(tmp_path / "here", tmp_path / "there")
    again = learner.trainer(tmp_path / "there", **options)
    again.train(resume_from_checkpoint=True)
    assert Path(str(again.state.best_model_checkpoint)).parent == tmp_path / "there"


class Stop(TrainerCallback):
    """Ends a run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step == self.step


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    class Press(TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:
                signal.raise_signal(signal.SIGINT)

    options = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    whole = learner.trainer(tmp_path / "whole", **options)
    whole.train()
    before = signal.getsignal(signal.SIGINT)
    pressed = learner.trainer(tmp_path / "part", callbacks=[Press], **options)
    with pytest.raises(KeyboardInterrupt, match=r"after step 4\. Go on.*checkpoint-4"):
        pressed.train()
    assert signal.getsignal(signal.SIGINT) is before
    again = learner.trainer(tmp_path / "part", **options)
    again.train(resume_from_checkpoint=tmp_path / "part" / "checkpoint-4")
    assert learner.same(learner.weights(again.model), learner.weights(whole.model))


# What stops a run -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    class Spoil(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 7:
                self.kept = learner.weights(model)
                with torch.no_grad():
                    next(model.parameters()).fill_(float("nan"))

    trainer = learner.trainer(tmp_path, callbacks=[Spoil], save_strategy="steps", save_steps=3)
    order = trainer.get_train_dataloader().sampler
    order.begin(1)
    rows = ", ".join(map(str, order.order()[8:16]))
    with pytest.raises(
        NumericError, match=f"step 8 .*batch 2 of the epoch, rows {rows} of train_dataset is nan"
    ) as found:
        trainer.train()
    assert "checkpoint-6" in str(found.value)
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-6")
    assert all(bool(torch.isfinite(one).all()) for one in saved.parameters())
    assert get_last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-6")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "collated"])
def test_labels_out_of_range_name_their_row(form: str, tmp_path: Path) -> None:
    data = learner.rows(20)
    data[13]["labels"] = 2
    with pytest.raises(InputError, match=r"train_dataset\[13\] has the label 2; the model has 2 classes, 0 … 1"):
        learner.trainer(tmp_path, data, dataloader_num_workers=0 if form == "list" else 1).train()
    data[13]["labels"] = -1
    with pytest.raises(InputError, match=r"eval_dataset\[13\] has the label -1"):
        learner.trainer(tmp_path, eval_dataset=data).evaluate()


def test_labels_that_teach_nothing(tmp_path: Path) -> None:
    same = [row | {"labels": 1} for row in learner.rows(6)]
    with pytest.raises(InputError, match="All 6 rows have the label 1"):
        learner.trainer(tmp_path, same).train()
    missing = learner.rows(6)
    missing[4]["labels"] = None
    with pytest.raises(InputError, match=r"train_dataset\[4\] has no label"):
        learner.trainer(tmp_path, missing).train()
    without = [{"input_ids": row["input_ids"]} for row in learner.rows(6, length=12)]
    with pytest.raises(InputError, match="gave no loss"):
        learner.trainer(tmp_path, without, data_collator=None).train()


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="eval_dataset is empty"):
        learner.trainer(tmp_path, eval_dataset=[])
    with pytest.raises(InputError, match="no row to evaluate on"):
        learner.trainer(tmp_path, eval_dataset=iter([])).evaluate()
    with pytest.raises(InputError, match="no row to train on"):
        learner.trainer(tmp_path, iter([]), max_steps=3).train()
    with pytest.raises(InputError, match="no eval_dataset"):
        learner.trainer(tmp_path, eval_strategy="epoch")
    with pytest.raises(InputError, match="nothing to evaluate on"):
        learner.trainer(tmp_path).evaluate()
    with pytest.raises(InputError, match="does not fill one batch"):
        learner.trainer(tmp_path, learner.rows(4), dataloader_drop_last=True).train()


def test_a_metric_that_there_is_not(tmp_path: Path) -> None:
    trainer = learner.trainer(
        tmp_path, eval_dataset=learner.rows(8), compute_metrics=lambda found: {"accuracy": 0.5}, eval_strategy="epoch",
        save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="accurracy",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"gives no eval_accurracy.*\n.*eval_accuracy"):
        trainer.train()
    assert get_last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-6")


def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    learner.trainer(tmp_path / "a", save_strategy="epoch", num_train_epochs=1).train()
    checkpoint = tmp_path / "a" / "checkpoint-6"
    with pytest.raises(WeightsError, match=r"does not fit|size"):
        learner.trainer(tmp_path / "b", model=learner.model(hidden_size=8)).train(checkpoint)
    torch.manual_seed(0)
    other = AutoModelForSequenceClassification.from_config(
        GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=32, pad_token_id=0)
    )
    with pytest.raises(WeightsError, match="holds a bert model; this one is gpt2"):
        learner.trainer(tmp_path / "b", model=other).train(checkpoint)
    model = AutoModelForMaskedLM.from_config(learner.config())
    data = [row | {"labels": row["input_ids"]} for row in learner.rows(8, length=12)]
    with pytest.raises(WeightsError, match="does not fit BertForMaskedLM"):
        learner.trainer(tmp_path / "b", data, model=model, data_collator=None).train(checkpoint)
    with pytest.raises(FileMissingError, match="holds no checkpoint"):
        learner.trainer(tmp_path / "c").train(resume_from_checkpoint=True)
    with pytest.raises(FileMissingError, match=r"is no checkpoint.*\n.*checkpoint-6"):
        learner.trainer(tmp_path / "a").train(resume_from_checkpoint=tmp_path / "a" / "checkpoint-7")
    (checkpoint / "optimizer.pt").write_bytes(b"tea")
    with pytest.raises(CorruptFileError, match=r"optimizer\.pt cannot be read"):
        learner.trainer(tmp_path / "a").train(resume_from_checkpoint=True)


def test_pickles_of_a_checkpoint_run_no_code(tmp_path: Path) -> None:
    learner.trainer(tmp_path, save_strategy="epoch", num_train_epochs=1).train()
    for name in ("optimizer.pt", "scheduler.pt", "run_state.pt"):
        path = tmp_path / "checkpoint-6" / name
        kept = path.read_bytes()
        torch.save(Evil(tmp_path / "ran"), path)
        with pytest.raises(CorruptFileError):
            learner.trainer(tmp_path).train(resume_from_checkpoint=True)
        path.write_bytes(kept)
    assert not (tmp_path / "ran").exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.slow
def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    class Second(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 1:
                self.status, self.error = run(tmp_path, "plain")

    second = Second()
    learner.trainer(tmp_path, callbacks=[second], num_train_epochs=1).train()
    assert second.status == 1
    assert f"is in use: process {os.getpid()} trains into it" in second.error
    learner.trainer(tmp_path, num_train_epochs=1).train()


@pytest.mark.slow
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    """A limit on file sizes stops a real write, as a full disk does."""
    status, error = run(tmp_path, "plain", end=4, full_disk=True)
    assert status == 1
    assert "SaveError" in error
    assert get_last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-3")
    assert not [path for path in tmp_path.iterdir() if "samovar-new" in path.name]
    again = learner.trainer(tmp_path, save_strategy="steps", save_steps=50)
    assert again.train(resume_from_checkpoint=True).global_step == 12


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("tea", "utf-8")
    with pytest.raises(SaveError):
        learner.trainer(tmp_path / "file").train()


def test_the_state_is_the_field_s(tmp_path: Path) -> None:
    import transformers

    trainer = learner.trainer(tmp_path, save_strategy="epoch", num_train_epochs=1, logging_steps=3)
    trainer.train()
    state = transformers.TrainerState.load_from_json(str(tmp_path / "checkpoint-6" / "trainer_state.json"))
    assert (state.global_step, state.max_steps, state.epoch, state.logging_steps) == (6, 6, 1.0, 3)
    assert [entry["step"] for entry in state.log_history] == [3, 6]
    values = json.loads((tmp_path / "checkpoint-6" / "training_args.json").read_text("utf-8"))
    assert values["learning_rate"] == 1e-3
