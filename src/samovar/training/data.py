"""Data sets of every kind → a loader whose order depends on seed and epoch alone, and can start anywhere in it."""

from __future__ import annotations

import contextlib
import inspect
import logging
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from samovar.errors import InputError, did_you_mean
from samovar.training.arguments import TrainingArguments
from samovar.training.collators import LABEL_NAMES

logger = logging.getLogger(__name__)

# Rows among which those of like length are put together, in batches.
GROUP = 50


def as_dataset(data: Any, name: str) -> Any:
    """A `datasets.Dataset`, a torch data set, a list of dictionaries or a pandas table → something with rows.

    Raises `InputError` for what has none.
    """
    if data is None or isinstance(data, IterableDataset):
        return data
    if hasattr(data, "to_dict") and hasattr(data, "iloc"):  # pandas
        return data.to_dict("records")
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, Mapping):
        if not len(data):
            raise InputError(f"{name} is empty.", "Give at least one row.")
        return data
    if hasattr(data, "__iter__") and not isinstance(data, Mapping):
        return Streamed(data)
    raise InputError(
        f"{name} is {type(data).__name__}, which has no rows.",
        "Give a Dataset, a list of rows or a table.",
    )


class Streamed(IterableDataset[Any]):
    """An iterable as torch wants it."""

    def __init__(self, source: Iterable[Any]) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)


class EpochSampler(Sampler[int]):
    """Tickets of one epoch's rows, shuffled by seed and epoch; `start` rows are left out without being read.

    A ticket is epoch · count + row, so that who reads the row knows the epoch as well, in whichever process.
    With `lengths` rows of like length stand in one batch: among each 50 batches' rows, sorted, in shuffled order.
    """

    def __init__(self, count: int, seed: int, batch: int, lengths: Sequence[int] | None = None) -> None:
        self.count, self.seed, self.batch, self.lengths = count, seed, batch, lengths
        self.epoch = self.start = 0

    def begin(self, epoch: int, start: int = 0) -> None:
        """Which epoch comes next, and from which row. Not `set_epoch`: `accelerate` calls that by its own count."""
        self.epoch, self.start = epoch, start

    def order(self) -> list[int]:
        """The rows of the epoch, all of them."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        if self.lengths is None:
            return order
        size = self.batch * GROUP
        lengths = self.lengths
        groups = [sorted(order[i : i + size], key=lambda row: -lengths[row]) for i in range(0, self.count, size)]
        batches = [group[i : i + self.batch] for group in groups for i in range(0, len(group), self.batch)]
        # The longest batch comes first, so that memory that is too small is found at once; a short one is the last.
        last = batches.pop() if len(batches[-1]) < self.batch and len(batches) > 1 else []
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        longest = max(range(len(batches)), key=lambda place: lengths[batches[place][0]])
        shuffled.remove(longest)
        return [row for place in [longest, *shuffled] for row in batches[place]] + last

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.count
        return iter([first + row for row in self.order()[self.start :]])

    def __len__(self) -> int:
        return self.count - self.start


@contextlib.contextmanager
def seeded(seed: int, place: int) -> Iterator[None]:
    """Generators that depend on seed and place for a while; afterwards they are where they were."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    own = (seed * 1_000_003 + place) % 2**32
    try:
        random.seed(own)
        np.random.seed(own)
        # Not torch.manual_seed, which would seed accelerators too, where they are not put back.
        torch.random.default_generator.manual_seed(own)
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])


class Batches(Dataset[Any]):
    """Whole batches: rows are read and collated under seeds that depend on seed, epoch and the first row alone.

    So random crops and masked words are those of an uninterrupted run after any resumption, with any number of
    loading processes. `check(batch, rows)` may refuse a batch, naming its rows.
    """

    def __init__(self, data: Any, collate: Any, seed: int | None, check: Check | None = None) -> None:
        self.data, self.collate, self.seed, self.check = data, collate, seed, check

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, ticket: int) -> Any:
        return self.data[ticket % len(self.data)]

    def __getitems__(self, tickets: list[int]) -> Any:
        """One batch."""
        count = len(self.data)
        rows = [ticket % count for ticket in tickets]
        if self.seed is None:
            return self.read(rows)
        with seeded(self.seed, tickets[0]):
            return self.read(rows)

    def read(self, rows: list[int]) -> Any:
        """The rows, collated and checked."""
        at_once = getattr(self.data, "__getitems__", None)
        batch = self.collate(at_once(rows) if at_once else [self.data[row] for row in rows])
        if self.check is not None:
            self.check(batch, rows)
        return batch


Check = Callable[[Any, list[int]], None]


class SeededCollate:
    """The same for data that comes as a stream: the seeds depend on how many batches there were."""

    def __init__(self, collate: Any, seed: int) -> None:
        self.collate, self.seed, self.count = collate, seed, 0

    def __call__(self, rows: list[Any]) -> Any:
        """A batch."""
        self.count += 1
        with seeded(self.seed, self.count):
            return self.collate(rows)


def as_it_is(batch: Any) -> Any:
    """What `Batches` collated."""
    return batch


def ignore_interrupts(worker: int) -> None:
    """Ctrl-C is for the process that trains: it saves first, and needs the next batch for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def loader(
    data: Any,
    collate: Any,
    args: TrainingArguments,
    batch: int,
    sampler: EpochSampler | None = None,
    check: Check | None = None,
) -> DataLoader[Any]:
    """A loader of batches on the CPU; its generator is its own, so that nothing else is disturbed."""
    options: dict[str, Any] = {}
    if args.dataloader_num_workers:
        options |= {
            "num_workers": args.dataloader_num_workers,
            "persistent_workers": args.dataloader_persistent_workers,
            "prefetch_factor": args.dataloader_prefetch_factor,
            "worker_init_fn": ignore_interrupts,
        }
    if hasattr(data, "__len__"):
        data = Batches(data, collate, None if sampler is None else sampler.seed, check)
        collate = as_it_is
    else:
        collate = SeededCollate(collate, args.seed)
    return DataLoader(
        data,
        batch_size=batch,
        sampler=sampler,
        collate_fn=collate,
        drop_last=args.dataloader_drop_last and sampler is not None,
        pin_memory=args.dataloader_pin_memory and torch.cuda.is_available() and not args.use_cpu,
        generator=torch.Generator().manual_seed(args.seed),
        **options,
    )


def inner(model: Any) -> Any:
    """The model inside what several processes or adapters wrapped around it."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def accepted_columns(model: Any, label_names: Sequence[str]) -> list[str]:
    """What the model's forward pass reads; empty where it takes anything."""
    parameters = inspect.signature(inner(model).forward).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    return list(dict.fromkeys([*(one.name for one in parameters), *label_names, *LABEL_NAMES]))


class Columns:
    """A collator that hands on only what the model reads, and says once what it left out."""

    def __init__(self, collate: Any, accepted: Sequence[str], main_input: str = "") -> None:
        self.collate, self.accepted, self.main_input = collate, set(accepted), main_input
        self.left: list[str] = []

    def __call__(self, rows: list[Any]) -> Any:
        """A batch."""
        if self.accepted and isinstance(rows[0], Mapping):
            left = [name for name in rows[0] if name not in self.accepted]
            if left != self.left:
                self.left = left
                self.judge(rows[0])
            rows = [{name: value for name, value in row.items() if name in self.accepted} for row in rows]
        return self.collate(rows)

    def judge(self, row: Mapping[str, Any]) -> None:
        """Say what is left out. Raises `InputError` where nothing that the model needs is left."""
        hints = " ".join(filter(None, (did_you_mean(name, list(self.accepted)) for name in self.left)))
        if len(self.left) == len(row) or (self.main_input in self.accepted and not MAIN_INPUTS & row.keys()):
            raise InputError(
                f"The model reads none of the columns {', '.join(map(repr, self.left))}"
                + (f", and needs {self.main_input!r}." if self.main_input else "."),
                f"{hints} Tokenize (or process) the data first, or pass remove_unused_columns=False.".strip(),
            )
        if self.left:
            logger.info("Columns that the model does not read are left out: %s.", ", ".join(self.left))


MAIN_INPUTS = {"input_ids", "inputs_embeds", "pixel_values", "input_values", "input_features"}


def row_lengths(data: Any, column: str) -> list[int]:
    """Each row's length in tokens: the column of that name, or the length of `input_ids`."""
    names = getattr(data, "column_names", None) or list(data[0])
    if column in names:
        return [int(row) for row in (data[column] if hasattr(data, "column_names") else (r[column] for r in data))]
    if "input_ids" not in names:
        raise InputError("group_by_length needs lengths.", f"Add a column {column!r}, or tokenize the data first.")
    return [len(row["input_ids"]) for row in data]
