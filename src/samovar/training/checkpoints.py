"""Checkpoints of a run: everything that the next step depends on, written beside and renamed."""

from __future__ import annotations

import pickle
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar.errors import CorruptFileError, FileMissingError
from samovar.training.callbacks import STATE_FILE, TrainerState

OPTIMISER, SCHEDULE, RANDOM, ARGUMENTS = "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.json"


def folder_name(step: int) -> str:
    """The checkpoint of a step."""
    return f"checkpoint-{step}"


def checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; those that were not finished are not among them."""
    found = []
    for path in Path(folder).glob("checkpoint-*"):
        step = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if step and path.is_dir() and (path / STATE_FILE).exists():
            found.append((int(step.group(1)), path))
    return [path for _, path in sorted(found)]


def get_last_checkpoint(folder: str | Path) -> str | None:
    """The newest checkpoint in a folder, None where there is none."""
    found = checkpoints(folder)
    return str(found[-1]) if found else None


def random_states() -> dict[str, Any]:
    """The states of all generators, as tensors and numbers: nothing that would run code when it is read."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": {"version": version, "numbers": torch.tensor(numbers, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "kind": str(kind), "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)), "position": int(position),
            "has_gauss": int(has_gauss), "cached": float(cached),
        },
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }  # fmt: skip


def set_random_states(states: Mapping[str, Any]) -> None:
    """Put the generators where they were."""
    python, numpy = states["python"], states["numpy"]
    random.setstate((python["version"], tuple(python["numbers"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["kind"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def read(path: Path) -> Any:
    """What `torch.save` wrote, tensors and numbers only. Raises `FileMissingError` or `CorruptFileError`."""
    if not path.exists():
        raise FileMissingError(f"{path.parent} has no {path.name}.", "Resume from a checkpoint that a run wrote.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise CorruptFileError(
            f"{path} cannot be read: {str(error).splitlines()[0]}", "Resume from the checkpoint before it."
        ) from error


def rotate(folder: str | Path, limit: int | None, keep: str | None) -> list[Path]:
    """Remove the oldest checkpoints above `limit`, but not the best one (`keep`) nor the newest."""
    if not limit or limit < 1:
        return []
    found = checkpoints(folder)
    spared = {Path(keep).resolve()} if keep else set()
    spared.add(found[-1].resolve()) if found else None
    removable = [path for path in found if path.resolve() not in spared]
    doomed = removable[: max(0, len(found) - limit)]
    for path in doomed:
        shutil.rmtree(path, ignore_errors=True)
    return doomed


def find(resume: str | Path | bool, folder: str) -> Path:
    """The checkpoint to resume from: a path, or True for the newest of the run's folder. Raises `FileMissingError`."""
    if resume is True:
        last = get_last_checkpoint(folder)
        if last is None:
            raise FileMissingError(f"{folder} holds no checkpoint.", "Train without resume_from_checkpoint first.")
        return Path(last)
    path = Path(str(resume)).expanduser()
    if not (path / STATE_FILE).exists():
        near = [one.name for one in checkpoints(path)] or [one.name for one in checkpoints(path.parent)]
        raise FileMissingError(
            f"{path} is no checkpoint of a run: it has no {STATE_FILE}.",
            f"There are: {', '.join(near)}." if near else "Give a folder such as …/checkpoint-500.",
        )
    return path


def read_state(path: Path) -> TrainerState:
    """Where the run was."""
    return TrainerState.load(path / STATE_FILE)
