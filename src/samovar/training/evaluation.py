"""Predictions of a whole data set, on disk: memory does not grow with it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError

if TYPE_CHECKING:
    from samovar.training.trainer import Trainer

IGNORED = -100


@dataclass
class EvalPrediction:
    """What `compute_metrics` gets: arrays (rows, …), or tuples of them; iterable as (predictions, label_ids)."""

    predictions: Any
    label_ids: Any
    inputs: Any = None

    def __iter__(self) -> Any:
        return iter((self.predictions, self.label_ids))

    def __getitem__(self, index: int) -> Any:
        return (self.predictions, self.label_ids)[index]


class EvalLoopOutput(NamedTuple):
    """What an evaluation found."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]
    num_samples: int


class PredictionOutput(NamedTuple):
    """What `predict` gives."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


class Rows:
    """Arrays of batches one after the other in an unnamed file; rows of unequal lengths are filled up with -100."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the rows)
        self.shapes: list[tuple[int, ...]] = []
        self.dtype: np.dtype | None = None

    def add(self, batch: np.ndarray) -> None:
        """One batch (rows, …)."""
        self.dtype = batch.dtype
        self.shapes.append(batch.shape)
        self.file.write(np.ascontiguousarray(batch).data)

    def array(self) -> np.ndarray:
        """All rows, mapped from the file, which goes with the array."""
        assert self.dtype is not None
        self.file.flush()
        count = sum(shape[0] for shape in self.shapes)
        inner = {shape[1:] for shape in self.shapes}
        if len(inner) == 1:
            return np.memmap(self.file, self.dtype, "r", shape=(count, *inner.pop()))
        widest = tuple(max(sizes) for sizes in zip(*inner, strict=True))
        with tempfile.TemporaryFile() as wide:
            padded = np.memmap(wide, self.dtype, "w+", shape=(count, *widest))
        row = offset = 0
        for shape in self.shapes:
            batch = np.memmap(self.file, self.dtype, "r", offset=offset, shape=shape)
            padded[row : row + shape[0]] = IGNORED
            padded[(slice(row, row + shape[0]), *(slice(size) for size in shape[1:]))] = batch
            row, offset = row + shape[0], offset + batch.nbytes
        return padded


class Spool:
    """Batches of tensors, or tuples and dictionaries of tensors → arrays of all rows in the same structure."""

    def __init__(self) -> None:
        self.parts: Any = None
        self.files: list[Rows] = []

    def add(self, batch: Any) -> None:
        """One batch."""
        self.parts = self.put(self.parts, batch)

    def put(self, parts: Any, batch: Any) -> Any:
        """Write each tensor to its file."""
        if isinstance(batch, Tensor):
            rows = parts
            if rows is None:
                rows = Rows()
                self.files.append(rows)
            batch = batch.detach().cpu()
            rows.add((batch.float() if str(batch.dtype) == "torch.bfloat16" else batch).numpy())
            return rows
        if isinstance(batch, Mapping):
            return {name: self.put((parts or {}).get(name), value) for name, value in batch.items()}
        before = parts or (None,) * len(batch)
        return tuple(self.put(part, value) for part, value in zip(before, batch, strict=True))

    def result(self) -> Any:
        """The arrays; None where nothing was added."""
        return arrays(self.parts)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        """Close the files; arrays that were made of them stay."""
        for rows in self.files:
            rows.file.close()


def arrays(parts: Any) -> Any:
    """Files → arrays, in the same structure."""
    if parts is None or isinstance(parts, Rows):
        return None if parts is None else parts.array()
    if isinstance(parts, Mapping):
        return {name: arrays(part) for name, part in parts.items()}
    return tuple(arrays(part) for part in parts)


def evaluation_loop(
    trainer: Trainer, dataloader: Any, loss_only: bool, ignore_keys: Sequence[str] | None, prefix: str
) -> EvalLoopOutput:
    """What `Trainer.evaluation_loop` does. Raises `InputError` where there was no batch."""
    accelerator = trainer.accelerator
    model = trainer.wrapped if trainer.wrapped is not None else trainer.model.to(accelerator.device)
    training = model.training
    model.eval()
    batches = accelerator.prepare_data_loader(dataloader, device_placement=False)
    loss_only = loss_only or trainer.args.prediction_loss_only
    precise = torch.float32 if accelerator.device.type == "mps" else torch.float64
    total, weight, samples, steps = torch.zeros((), dtype=precise, device=accelerator.device), 0, 0, 0
    began = time.perf_counter()
    with torch.no_grad(), Spool() as predictions, Spool() as labels:
        for batch in batches:
            batch, own = without_filling(accelerator, batch)
            loss, logits, wanted = trainer.prediction_step(model, batch, loss_only, ignore_keys)
            counts = rows_of_all(accelerator, own)
            samples, steps = samples + sum(counts), steps + 1
            if loss is not None:
                # Summed where it is: reading it would wait for each batch.
                part = loss.detach().to(precise) * own
                total = total + (part if len(counts) == 1 else accelerator.reduce(part, "sum"))
                weight += sum(counts)
            if logits is not None and trainer.preprocess_logits_for_metrics is not None:
                logits = trainer.preprocess_logits_for_metrics(logits, wanted)
            for spool, found in ((predictions, logits), (labels, wanted)):
                if found is not None:
                    spool.add(gathered(accelerator, found, counts))
            trainer.tell("on_prediction_step", eval_dataloader=batches)
        model.train(training)
        if not samples:
            raise InputError("There is no row to evaluate on.", "Look at eval_dataset.")
        found, truth = predictions.result(), labels.result()
    taken = time.perf_counter() - began
    metrics: dict[str, float] = {"loss": float(total) / weight} if weight else {}
    if trainer.compute_metrics is not None and found is not None and truth is not None:
        computed = trainer.compute_metrics(EvalPrediction(found, truth))
        metrics |= {key: plain(value) for key, value in computed.items()}
    metrics |= {"runtime": taken, "samples_per_second": samples / taken, "steps_per_second": steps / taken}
    named = {key if key.startswith(f"{prefix}_") else f"{prefix}_{key}": value for key, value in metrics.items()}
    return EvalLoopOutput(found, truth, named, samples)


def without_filling(accelerator: Any, batch: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    """The batch without the rows by which the last one was filled up, so that all processes have as many; their count.

    A process whose rows are all of that kind keeps one, so that it takes part, and counts none.
    """
    rows = next((len(value) for value in batch.values() if isinstance(value, Tensor)), 0)
    state = accelerator.gradient_state
    if accelerator.num_processes == 1 or not state.end_of_dataloader or state.remainder <= 0:
        return batch, rows
    real = min(max(state.remainder - accelerator.process_index * rows, 0), rows)
    kept = max(real, 1)
    return {name: value[:kept] if isinstance(value, Tensor) else value for name, value in batch.items()}, real


def rows_of_all(accelerator: Any, own: int) -> list[int]:
    """How many rows each process has."""
    if accelerator.num_processes == 1:
        return [own]
    return [int(one) for one in accelerator.gather(torch.tensor([own], device=accelerator.device))]


def gathered(accelerator: Any, value: Any, counts: list[int]) -> Any:
    """A batch's values from all processes, in their order, padded to one width with -100."""
    if len(counts) == 1:
        return value
    if isinstance(value, Mapping):
        return {name: gathered(accelerator, one, counts) for name, one in value.items()}
    if not isinstance(value, Tensor):
        return tuple(gathered(accelerator, one, counts) for one in value)
    value = accelerator.pad_across_processes(value.contiguous(), dim=0, pad_index=IGNORED)
    if value.ndim > 1:
        value = accelerator.pad_across_processes(value, dim=1, pad_index=IGNORED)
    parts = accelerator.gather(value.contiguous()).chunk(len(counts))
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def predictions_of(outputs: Any, with_loss: bool, ignore_keys: Sequence[str] | None) -> Any:
    """The tensors of a model's outputs without its loss: one, or a tuple."""
    skipped = {"loss", *(ignore_keys or ())}
    parts = (
        tuple(value for key, value in outputs.items() if key not in skipped and isinstance(value, Tensor))
        if isinstance(outputs, Mapping)
        else tuple(outputs[1:] if with_loss else outputs)
    )
    return parts[0] if len(parts) == 1 else parts


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python number."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
