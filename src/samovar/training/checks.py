"""What would spoil a run, found before it does: labels that no class has, one class alone, a folder in use."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from samovar.errors import InputError, SaveError

try:
    import fcntl
except ImportError:  # Windows: two runs on one folder are then not noticed.
    fcntl = None  # type: ignore[assignment]

IGNORED = -100
LOCK = ".training.lock"
# Seconds in which the loading processes of a run that was killed notice it and end: till then they hold its folder too.
WAIT = 15
LANGUAGE_MODELS = ("masked-lm", "causal-lm", "seq2seq-lm")


def classes_of(model: Any) -> int | None:
    """How many classes integer labels can name; None where they are not classes."""
    config, task = getattr(model, "config", None), getattr(model, "task", "")
    if task in LANGUAGE_MODELS:
        return getattr(config, "vocab_size", None)
    if task not in ("sequence-classification", "token-classification", "image-classification"):
        return None
    if getattr(config, "problem_type", None) not in (None, "single_label_classification"):
        return None
    count = getattr(config, "num_labels", None)
    return None if count == 1 else count


class LabelCheck:
    """Raises `InputError` for a label outside the model's classes, with the row that holds it."""

    def __init__(self, classes: int, data: str) -> None:
        self.classes, self.data = classes, data

    def __call__(self, batch: Any, rows: list[int]) -> None:
        """Look at a batch's integer labels; -100 is none."""
        labels = batch.get("labels") if isinstance(batch, Mapping) else None
        if not isinstance(labels, Tensor) or labels.is_floating_point() or not labels.numel():
            return
        wrong = ((labels < 0) & (labels != IGNORED)) | (labels >= self.classes)
        if bool(wrong.any()):
            place = wrong.nonzero()[0].tolist()
            raise InputError(
                f"{self.data}[{rows[place[0]]}] has the label {int(labels[tuple(place)])}; the model has"
                f" {self.classes} classes, 0 … {self.classes - 1}.",
                f"Correct the label, write {IGNORED} for what is not to be learned, or load the model with more"
                " num_labels.",
            )


def label_column(data: Any) -> list[Any] | None:
    """The column `labels` (or `label`) of data that has it at hand, without reading its other columns."""
    names = getattr(data, "column_names", None)
    if isinstance(names, list):
        name = next((name for name in ("labels", "label") if name in names), None)
        return None if name is None else list(data[name])
    if isinstance(data, list) and isinstance(data[0], Mapping):
        name = next((name for name in ("labels", "label") if name in data[0]), None)
        return None if name is None else [row.get(name) for row in data]
    return None


def check_variety(data: Any, classes: int | None) -> None:
    """Raise `InputError` where labels are missing, or all the same: there would be nothing to learn."""
    column = label_column(data) if classes else None
    if not column:
        return
    missing = next((row for row, label in enumerate(column) if label is None), None)
    if missing is not None:
        raise InputError(f"train_dataset[{missing}] has no label.", "Leave out rows without one.")
    numbers = [label for label in column if isinstance(label, int | float) or getattr(label, "ndim", 1) == 0]
    if len(numbers) == len(column) > 1 and len({float(label) for label in numbers}) == 1:
        raise InputError(
            f"All {len(column)} rows have the label {numbers[0]}: there is nothing to tell apart.",
            "Look at how the labels were made, or at which rows were chosen.",
        )


def gone(owner: str) -> bool:
    """Whether this owner of a folder, `process` and its number, no longer runs on this machine."""
    number = owner.rpartition(" ")[2]
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


@contextlib.contextmanager
def claimed(folder: str | Path) -> Iterator[None]:
    """Hold a run's folder for this process. Raises `SaveError` while another process trains into it."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = (path / LOCK).open("a+")
    except OSError as error:
        raise SaveError(f"{folder} cannot be written: {error.strerror}.", "Choose another output_dir.") from error
    with handle:
        until = time.monotonic() + WAIT
        while fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                handle.seek(0)
                owner = handle.read().strip() or "another process"
                if gone(owner) and time.monotonic() < until:
                    time.sleep(0.1)
                    continue
                raise SaveError(
                    f"{folder} is in use: {owner} trains into it.", "Choose another output_dir, or wait for its end."
                ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()}")
        handle.flush()
        # The file stays: removing it would let two others lock two files of one name.
        yield
        handle.truncate(0)


class Interrupts:
    """Ctrl-C during a run: noted, so that the step is ended and saved; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self.note)
        return self

    def note(self, number: int, frame: Any) -> None:
        """What the signal calls."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
