"""Two processes over gloo train as one does: `torchrun` and `accelerate launch` run the same script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import learner
import pytest
import torch
from safetensors.torch import load_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

SCRIPT = """
import json, os, signal, sys, warnings
from pathlib import Path
import learner
from samovar.training.callbacks import TrainerCallback

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
end, resume = options.pop("end", None), options.pop("resume", None)

class End(TrainerCallback):
    def on_step_end(self, args, state, control, **k):
        if end and state.global_step == end and int(os.environ["RANK"]) == 1:
            os.kill(os.getpid(), signal.SIGINT)

def scores(found):
    return {"sum": float(found.label_ids.sum()), "rows": float(len(found.predictions))}

still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
trainer = learner.trainer(
    folder, learner.rows(64), model=learner.model(**still), eval_dataset=learner.rows(13, seed=3), callbacks=[End],
    compute_metrics=scores, eval_strategy="epoch", **options,
)
try:
    trainer.train(resume_from_checkpoint=resume)
finally:
    print(type(sys.exc_info()[1]).__name__, flush=True)
    # The launcher kills the other process as soon as one ends by an error.
    trainer.accelerator.wait_for_everyone()
trainer.save_model(folder / "end")
if trainer.is_world_process_zero():
    (folder / "history.json").write_text(json.dumps(trainer.state.log_history))
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def launch(folder: Path, how: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The script in two processes."""
    folder.mkdir(exist_ok=True)
    (folder.parent / "script.py").write_text(SCRIPT, "utf-8")
    environment = os.environ | {
        "PYTHONPATH": f"{os.environ['PYTHONPATH']}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    start = {
        "torchrun": ["torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"],
        # What it calls several GPUs is several processes; the script says that they use the CPU.
        "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
                       "--mixed_precision=no", "--dynamo_backend=no", f"--main_process_port={free_port()}"],
    }[how]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", *start, str(folder.parent / "script.py"), str(folder), json.dumps(options)],
        env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def alone(folder: Path, **options: Any) -> Any:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    trainer = learner.trainer(
        folder, learner.rows(64), model=learner.model(**still), eval_dataset=learner.rows(13, seed=3), **options
    )
    trainer.train()
    trainer.save_model(folder / "end")
    return trainer


@pytest.mark.parametrize("how", ["torchrun", "accelerate"])
def test_two_processes_equal_one(how: str, tmp_path: Path) -> None:
    done = launch(tmp_path / "two", how, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    assert done.returncode == 0, done.stderr
    one = alone(tmp_path / "one", eval_strategy="epoch")
    history = json.loads((tmp_path / "two" / "history.json").read_text("utf-8"))
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses == pytest.approx(learner.losses(one), abs=1e-5)
    evaluated = [entry for entry in history if "eval_loss" in entry]
    expected = [entry["eval_loss"] for entry in one.state.log_history if "eval_loss" in entry]
    assert [entry["eval_loss"] for entry in evaluated] == pytest.approx(expected, abs=1e-5)
    assert [entry["eval_rows"] for entry in evaluated] == [13, 13]
    assert evaluated[0]["eval_sum"] == sum(row["labels"] for row in learner.rows(13, seed=3))
    first, second = (load_file(tmp_path / name / "end" / "model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=1e-5, rtol=1e-4)


def test_ctrl_c_in_one_of_two_saves_once_and_goes_on(tmp_path: Path) -> None:
    done = launch(tmp_path / "two", "torchrun", per_device_train_batch_size=4, end=3)
    assert done.returncode != 0
    assert done.stdout.count("KeyboardInterrupt") == 2, done.stderr
    (path,) = (tmp_path / "two").glob("checkpoint-*")
    states = torch.load(path / "run_state.pt", weights_only=True)
    assert len(states) == 2
    done = launch(tmp_path / "two", "torchrun", per_device_train_batch_size=4, resume=str(path))
    assert done.returncode == 0, done.stderr
    one = alone(tmp_path / "one")
    first, second = (load_file(tmp_path / name / "end" / "model.safetensors") for name in ("one", "two"))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=1e-5, rtol=1e-4)
    assert one.state.global_step == 16
