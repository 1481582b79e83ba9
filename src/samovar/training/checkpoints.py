"""Checkpoints of a run: everything that the next step depends on, written beside and renamed."""

from __future__ import annotations

import json
import pickle
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar.errors import CorruptFileError, FileMissingError, WeightsError
from samovar.training.callbacks import STATE_FILE, TrainerState

OPTIMISER, SCHEDULE, SCALER, RUN, ARGUMENTS = (
    "optimizer.pt", "scheduler.pt", "scaler.pt", "run_state.pt", "training_args.json",
)  # fmt: skip
WEIGHTS = "model.safetensors"


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
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, pickle.UnpicklingError) as error:
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


# Weights ----------------------------------------------------------------------------------------------------------


def save_weights(model: Any, folder: Path, state_dict: Mapping[str, Any] | None = None) -> None:
    """The model as its own `save_pretrained` writes it; a plain module's tensors as one safetensors file."""
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder, **({} if state_dict is None else {"state_dict": state_dict}))
        return
    from safetensors.torch import save_model

    save_model(model, str(folder / WEIGHTS))


def load_weights(model: Any, folder: str | Path) -> None:
    """A checkpoint's weights into a model that is there, so that its optimiser goes on with the same parameters.

    Raises `WeightsError` when the checkpoint is another model's.
    """
    path = Path(folder)
    own = getattr(model, "load_adapter_weights", None) or getattr(model, "load_saved_weights", None)
    if own is not None:
        own(path)
    elif hasattr(type(model), "from_pretrained"):
        copy_weights(model, path)
    else:
        from safetensors.torch import load_model

        try:
            load_model(model, str(path / WEIGHTS))
        except (RuntimeError, OSError) as error:
            cause = " ".join(str(error).split())
            raise WeightsError(f"{path} does not fit {type(model).__name__}: {cause}", OTHER_MODEL) from error


OTHER_MODEL = "Resume with the model that wrote it, or train without resume_from_checkpoint."


def copy_weights(model: Any, path: Path) -> None:
    """The weights of a folder that `save_pretrained` wrote, by name."""
    theirs, ours = read_config(path), getattr(model.config, "model_type", None)
    if ours is not None and theirs.get("model_type") not in (None, ours):
        raise WeightsError(f"{path} holds a {theirs['model_type']} model; this one is {ours}.", OTHER_MODEL)
    found, report = type(model).from_pretrained(
        path, output_loading_info=True, ignore_mismatched_sizes=True, dtype=model.dtype
    )
    values = found.state_dict()
    wrong = sorted(report["missing_keys"]) + [
        name for name, tensor in model.state_dict().items() if name not in values or values[name].shape != tensor.shape
    ]
    if wrong:
        raise WeightsError(f"{path} does not fit {type(model).__name__}: {', '.join(wrong[:5])}.", OTHER_MODEL)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(values[name])


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of a folder."""
    try:
        return dict(json.loads((path / "config.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} has no readable config.json: {error}.", OTHER_MODEL) from error


def read_state(path: Path) -> TrainerState:
    """Where the run was."""
    return TrainerState.load(path / STATE_FILE)
