"""Data sets of every kind → a loader whose order depends on seed and epoch alone, and can start anywhere in it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

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
    """Indices of one epoch, shuffled by seed and epoch; `start` rows are left out without being read.

    With `lengths` rows of like length stand in one batch: among each 50 batches' rows, sorted, in shuffled order.
    """

    def __init__(self, count: int, seed: int, batch: int, lengths: Sequence[int] | None = None) -> None:
        self.count, self.seed, self.batch, self.lengths = count, seed, batch, lengths
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Which epoch comes next, and from which row."""
        self.epoch, self.start = epoch, start

    def order(self) -> list[int]:
        """All indices of the epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        if self.lengths is None:
            return order
        size = self.batch * GROUP
        lengths = self.lengths
        groups = [sorted(order[i : i + size], key=lambda row: -lengths[row]) for i in range(0, self.count, size)]
        batches = [group[i : i + self.batch] for group in groups for i in range(0, len(group), self.batch)]
        # The longest batch first, so that memory runs out at once or not at all; a short last one stays last.
        last = batches.pop() if len(batches[-1]) < self.batch else []
        if batches:
            longest = max(range(len(batches)), key=lambda place: lengths[batches[place][0]])
            first = batches.pop(longest)
            batches = [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]
            batches.insert(0, first)
        return [row for batch in [*batches, last] for row in batch]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order()[self.start :])

    def __len__(self) -> int:
        return self.count - self.start


def loader(
    data: Any, collate: Any, args: TrainingArguments, batch: int, sampler: EpochSampler | None = None
) -> DataLoader[Any]:
    """A loader on the CPU; its workers' seeds come from a generator of its own, so that nothing else is disturbed."""
    options: dict[str, Any] = {}
    if args.dataloader_num_workers:
        options |= {
            "num_workers": args.dataloader_num_workers,
            "persistent_workers": args.dataloader_persistent_workers,
            "prefetch_factor": args.dataloader_prefetch_factor,
        }
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


def accepted_columns(model: Any, label_names: Sequence[str]) -> list[str]:
    """What the model's forward pass reads; empty where it takes anything."""
    module = getattr(model, "module", model)
    parameters = inspect.signature(module.forward).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    return list(dict.fromkeys([*(one.name for one in parameters), *label_names, *LABEL_NAMES]))


class Columns:
    """A collator that hands on only what the model reads, and says once what it left out."""

    def __init__(self, collate: Any, accepted: Sequence[str]) -> None:
        self.collate, self.accepted = collate, set(accepted)
        self.told = False

    def __call__(self, rows: list[Any]) -> Any:
        """A batch."""
        if self.accepted and isinstance(rows[0], Mapping):
            left = [name for name in rows[0] if name not in self.accepted]
            if len(left) == len(rows[0]):
                hints = " ".join(filter(None, (did_you_mean(name, list(self.accepted)) for name in left)))
                raise InputError(
                    f"No column of the data is read by the model: {', '.join(map(repr, left))}.",
                    f"{hints} Tokenize first, or pass remove_unused_columns=False.".strip(),
                )
            if left and not self.told:
                self.told = True
                logger.info("Columns that the model does not read are left out: %s.", ", ".join(left))
            rows = [{name: value for name, value in row.items() if name in self.accepted} for row in rows]
        return self.collate(rows)


def row_lengths(data: Any, column: str) -> list[int]:
    """Each row's length in tokens: the column of that name, or the length of `input_ids`."""
    names = getattr(data, "column_names", None) or list(data[0])
    if column in names:
        return [int(row) for row in (data[column] if hasattr(data, "column_names") else (r[column] for r in data))]
    if "input_ids" not in names:
        raise InputError("group_by_length needs lengths.", f"Add a column {column!r}, or tokenize the data first.")
    return [len(row["input_ids"]) for row in data]
