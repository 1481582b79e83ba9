"""Files of examples → data sets: CSV, TSV, JSON lines, JSON, Parquet, plain text, and a folder of folders of images."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samovar.errors import FileMissingError, InputError
from samovar.extras import require

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the reader's own bars and traces: what went wrong is said by an error."""
    import datasets  # type: ignore[import-untyped]

    log, bars = logging.getLogger("datasets"), datasets.are_progress_bars_disabled()
    level = log.level
    datasets.disable_progress_bars()
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


def read_table(path: str | Path) -> Any:
    """A `datasets.Dataset` of a file. Raises `FileMissingError`, and `InputError` for what cannot be read."""
    file = Path(path).expanduser()
    if not file.is_file():
        near = ", ".join(sorted(one.name for one in file.parent.glob("*") if one.is_file())[:8])
        raise FileMissingError(f"There is no file {path}.", f"Beside it: {near}." if near else "Look at the path.")
    kind = file.suffix.lower()
    data = require("datasets", "Reading examples").Dataset
    readers = {
        ".csv": lambda: data.from_csv(str(file), keep_in_memory=True),
        ".tsv": lambda: data.from_csv(str(file), sep="\t", keep_in_memory=True),
        ".jsonl": lambda: data.from_json(str(file), keep_in_memory=True),
        ".json": lambda: data.from_json(str(file), keep_in_memory=True),
        ".ndjson": lambda: data.from_json(str(file), keep_in_memory=True),
        ".parquet": lambda: data.from_parquet(str(file), keep_in_memory=True),
        ".txt": lambda: data.from_text(str(file), keep_in_memory=True),
    }
    if kind not in readers:
        raise InputError(f"{path}: files of the kind {kind or 'without ending'} are not read.", f"{', '.join(readers)}")
    try:
        with quiet():
            found = readers[kind]()
    except Exception as error:  # The readers raise errors of several libraries.
        cause = error.__cause__ or error
        raise InputError(f"{path} cannot be read: {' '.join(str(cause).split())[:300]}", "Look at the file.") from error
    if not len(found):
        raise InputError(f"{path} has no rows.", "Give at least one.")
    return found


def read_images(folder: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of `path` and `labels` of a folder of folders, and the folders' names, which are the classes."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileMissingError(f"There is no folder {folder}.", "Give one that holds a folder for each class.")
    classes = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    rows = [
        {"path": str(path), "labels": number}
        for number, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in IMAGES
    ]
    if len(classes) < 2:
        raise InputError(f"{folder} holds {len(classes)} folders.", "Put the images of each class into one of its own.")
    empty = [name for number, name in enumerate(classes) if not any(row["labels"] == number for row in rows)]
    if empty:
        raise InputError(f"No image in {', '.join(empty)}.", f"Images end in {', '.join(IMAGES)}.")
    return rows, classes


def divided(data: Any, share: float, seed: int) -> tuple[Any, Any]:
    """Two parts of a data set (or of a list), shuffled; the second has this share, and at least one row."""
    if not 0 < share < 1:
        raise InputError(f"The held-out share is {share}.", "Give a number between 0 and 1.")
    if len(data) < 2:
        raise InputError("One row cannot be divided into training and held-out rows.", "Give more, or an --eval file.")
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(data)).tolist()
    cut = min(max(1, round(len(data) * share)), len(data) - 1)
    if isinstance(data, list):
        return [data[row] for row in order[cut:]], [data[row] for row in order[:cut]]
    return data.select(order[cut:]), data.select(order[:cut])
