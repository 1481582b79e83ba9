"""Texts divided among processes, one a device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.multiprocessing

from samovar.errors import InputError
from samovar.sentence.encoding import Request, as_texts, assembled, encode

if TYPE_CHECKING:
    from samovar.sentence.model import SentenceTransformer

# The model of a worker process.
worker: dict[str, Any] = {}


def default_devices() -> list[str]:
    """Each accelerator, or the CPU four times."""
    count = torch.cuda.device_count()
    return [f"cuda:{index}" for index in range(count)] or ["cpu"] * 4


def begin(model: SentenceTransformer, devices: Any, threads: int) -> None:
    """In a new process: take a device, and put the model there."""
    device = devices.get()
    if device == "cpu":
        torch.set_num_threads(threads)
    worker["model"] = model.to(torch.device(device))


def work(texts: list[Any], request: Request) -> Any:
    """In a worker: the embeddings of a chunk, as an array."""
    return encode(worker["model"], texts, request)


class Processes:
    """A pool: `with model.start_multi_process_pool(["cpu", "cpu"]) as pool: model.encode(texts, pool=pool)`."""

    def __init__(self, model: SentenceTransformer, devices: Sequence[str] | None = None) -> None:
        self.devices = list(default_devices() if devices is None else devices)
        if not self.devices:
            raise InputError("A pool of no devices.", 'Name at least one, such as "cpu".')
        context = torch.multiprocessing.get_context("spawn")
        queue = context.Manager().Queue()
        for device in self.devices:
            queue.put(str(device))
        threads = max((os.cpu_count() or 1) // max(self.devices.count("cpu"), 1), 1)
        self.executor = ProcessPoolExecutor(
            len(self.devices), context, initializer=begin, initargs=(model, queue, threads)
        )

    def encode(
        self, model: SentenceTransformer, sentences: Any, request: Request, chunk_size: int | None = None
    ) -> Any:
        """The same as `encode` of one process."""
        texts, single = as_texts(sentences)
        share = -(-len(texts) // (4 * len(self.devices))) if texts else 1
        size = min(max(share, 1), 5000) if chunk_size is None else chunk_size
        chunks = [texts[start : start + size] for start in range(0, len(texts), size)]
        # Steps of 8 bits depend on all embeddings, so that they are set here.
        plain = replace(
            request, precision="float32", convert_to_numpy=True, convert_to_tensor=False, show_progress_bar=False
        )
        if request.output_value != "sentence_embedding":
            raise InputError("Several processes give sentence embeddings only.", "Leave pool and output_value out.")
        parts = list(self.executor.map(work, chunks, [plain] * len(chunks)))
        rows: list[Any] = list(np.concatenate(parts)) if parts else []
        if request.precision == "float32" and (request.convert_to_tensor or not request.convert_to_numpy):
            rows = [torch.from_numpy(row).to(model.device) for row in rows]
        return assembled(rows, single, model, request)

    def close(self) -> None:
        """End the processes."""
        self.executor.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
