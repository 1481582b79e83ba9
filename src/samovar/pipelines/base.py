"""`Pipeline`: a task in a few steps, each a method that a task overrides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from samovar.config import Config
from samovar.errors import InputError, TaskError, did_you_mean
from samovar.hub.publish import Shareable, shares
from samovar.nn.memory import keep_freed_memory
from samovar.pipelines.batching import run_many, run_one
from samovar.pipelines.inputs import Stream, as_list, is_single, stream_of
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.transfer import Fetched, fetch, place, slice_rows, stack_rows

# Seconds of work after which a list shows a progress bar.
BAR_AFTER = 2


class Pipeline(Shareable):
    """Base of all pipelines.

    ::

        inputs ─▶ prepare_many ─▶ Items ─▶ [window, sort, pack] ─▶ collate ─▶ _forward ─▶ reduce ─▶ one transfer
                  (background)                                     (on the device, in inference mode)    │
        result ◀─ finish ◀─ values per Item ◀──────────────────────────────────────────────── unpack ◀───┘

    **A pipeline of your own** overrides four methods, each for one input at a time; the engine makes batches of
    inputs whose tensors have equal shapes (or, when `batch_size` is given, of any inputs, padded)::

        class Shout(Pipeline):
            def _sanitize_parameters(self, **kwargs):
                return {}, {}, {"mark": kwargs.get("mark", "!")}      # for preprocess, _forward, postprocess
            def preprocess(self, inputs):
                return self.tokenizer(inputs, return_tensors="pt")    # tensors (1, …)
            def _forward(self, model_inputs):
                return self.model(**model_inputs)                     # tensors (batch, …)
            def postprocess(self, model_outputs, mark="!"):
                return str(model_outputs["logits"].argmax().item()) + mark

    **Built-in tasks** override the batched steps of the drawing instead, which cost less per input.

    `batch_size` caps the rows of a batch; without it a budget of tokens or pixels decides. `device` None means: an
    accelerator if there is one.
    """

    # Whether the factory loads these along with the model.
    _load_tokenizer: ClassVar[bool] = False
    _load_image_processor: ClassVar[bool] = False
    # The tasks (of `samovar.tasks`) whose models this pipeline can run; empty: any model.
    model_tasks: ClassVar[tuple[str, ...]] = ()
    # The task that a class from a repository came with, so that it is saved with it again.
    own_spec: Any = None

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        image_processor: Any = None,
        task: str = "",
        device: int | str | torch.device | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        for ignored in ("framework", "num_workers", "dtype", "torch_dtype", "feature_extractor", "processor"):
            kwargs.pop(ignored, None)
        self.task = task
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.model = self.checked_model(model)
        home = next(iter(self.model.parameters()), torch.empty(0)).device
        # An exported model runs where its engine does, whatever accelerators there are.
        self.device = chosen_device(getattr(self.model, "fixed_device", None) if device is None else device, home)
        if self.device.type == "cpu":
            keep_freed_memory()
        if home != self.device:
            self.model.to(self.device)
        self.model.eval()
        self.batch_size = checked_batch_size(batch_size)
        self.parameters = self._sanitize_parameters(**kwargs)

    @property
    def config(self) -> Config:
        """The model's configuration."""
        return self.model.config

    @property
    def dtype(self) -> torch.dtype:
        """The type of the model's numbers."""
        return next((p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.get_default_dtype())

    def checked_model(self, model: Any) -> Any:
        """The model, if this pipeline can run it; raises `TaskError` with what the model can do."""
        kind = getattr(model, "task", None)
        if self.model_tasks and kind not in self.model_tasks:
            from samovar.pipelines.registry import cannot_do

            raise TaskError(*cannot_do(getattr(model, "saved_from", type(model).__name__), self.task))
        return model

    # Parameters ---------------------------------------------------------------------------------------------------

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Sort a call's keyword arguments: those for `preprocess`, for `_forward` and for `postprocess`."""
        self.refuse(kwargs)
        return {}, {}, {}

    def refuse(self, kwargs: dict[str, Any], known: tuple[str, ...] = ()) -> None:
        """Raise `InputError` for keyword arguments that mean nothing here."""
        for name in kwargs:
            hint = did_you_mean(name, known) or (f"Known: {', '.join(known)}." if known else "Leave it out.")
            raise InputError(f"{type(self).__name__} has no argument {name!r}.", hint)

    # Steps for one input: override these in a pipeline of your own ------------------------------------------------

    def preprocess(self, inputs: Any, **parameters: Any) -> dict[str, Any]:
        """One input → what the model reads, tensors with a batch dimension of 1."""
        raise NotImplementedError(f"{type(self).__name__} needs a method `preprocess`.")

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Any:
        """A batch of what `preprocess` made → the model's output."""
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        """One row of the model's output (batch dimension 1, on the CPU) → one result."""
        raise NotImplementedError(f"{type(self).__name__} needs a method `postprocess`.")

    # Steps for many: what the engine calls ------------------------------------------------------------------------

    def prepare_many(self, inputs: list[Any], **parameters: Any) -> list[list[Item]]:
        """Each input's rows; an input that is longer than the model may become several."""
        return [[self.item(self.preprocess(value, **parameters))] for value in inputs]

    def item(self, features: Any) -> Item:
        """One input's features as a row: of equal shapes unless the caller asked for padding."""
        features = dict(features)
        tensors = {name: value for name, value in features.items() if isinstance(value, Tensor)}
        shapes = tuple((name, tuple(value.shape[1:])) for name, value in sorted(tensors.items()))
        kept = tuple(sorted(name for name in features if name not in tensors))
        size = max((value[0].numel() for value in tensors.values() if value.ndim > 1), default=1)
        one_row = all(value.shape[:1] == (1,) for value in tensors.values())
        # What cannot be put beside another input runs alone.
        group: Any = (tuple(tensors), kept) if self.batch_size else (shapes, kept)
        return Item(features, size, group if tensors and one_row else object())

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """Rows → one batch: tensors are padded to the longest and joined, anything else becomes a list."""
        pad = getattr(self.tokenizer, "pad_token_id", None) or 0
        return stack_rows([item.features for item in items], {"input_ids": pad, "labels": -100})

    def reduce(self, outputs: Any, items: list[Item], **parameters: Any) -> Any:
        """The part of the output that is worth a transfer, still on the device."""
        return outputs

    def unpack(self, reduced: Any, items: list[Item], **parameters: Any) -> list[Any]:
        """What `reduce` gave, now on the CPU → one value per row."""
        return slice_rows(reduced, len(items))

    def finish(self, items: list[Item], values: list[Any], **parameters: Any) -> Any:
        """One input's rows and their values → its result."""
        return self.postprocess(values[0], **parameters)

    def limits(self, batch_size: int | None) -> Limits:
        """How much to work on at once; in units of `Item.size`."""
        budget = 1 << 18 if self.device.type == "cpu" else 1 << 22
        return Limits(budget=budget, rows=batch_size or 32, window=128, chunk=8)

    # Calls --------------------------------------------------------------------------------------------------------

    def __call__(self, inputs: Any = None, *, batch_size: int | None = None, **kwargs: Any) -> Any:
        """One input → its result; a list → a list; a generator, iterable, dataset or `DataLoader` → a lazy iterator.

        Results are in the order of the inputs. Raises `InputError` (or a kind of it) that names the input.
        """
        kwargs.pop("num_workers", None)
        steps = TaskSteps(self, *self.merged(kwargs))
        if is_single(inputs):
            return run_one(inputs, steps)
        rows = self.batch_size if batch_size is None else checked_batch_size(batch_size)
        limits = self.limits(rows)
        depth = 1 if self.device.type == "cuda" else 0
        values = as_list(inputs)
        if values is None:
            if rows == 1:
                limits = replace(limits, window=1, chunk=1)
            overlap = limits.window > 1
            first = 4 * limits.chunk
            results = run_many(stream_of(inputs), steps, limits, overlap=overlap, depth=depth, first_window=first)
            return Stream(results, inputs)
        overlap = len(values) > limits.chunk
        results = run_many(values, steps, limits, overlap=overlap, depth=depth, first_window=limits.window)
        return list(with_bar(results, len(values)))

    def merged(self, kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The parameters of the constructor and of a call, for each of the three kinds; the call's win."""
        return (base | call for base, call in zip(self.parameters, self._sanitize_parameters(**kwargs), strict=True))

    def predict(self, inputs: Any) -> Any:
        """The same as a call, under the name that scikit-learn uses."""
        return self(inputs)

    transform = predict

    @shares
    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Write the model, and the tokenizer and image processor where there are any, into one folder.

        `options` are the model's. A class that was registered for a task of its own is written beside them as source,
        and named in `config.json`. Raises `InputError` for one whose code stands in no file.
        """
        from samovar.pipelines.custom import named_in_config

        with named_in_config(self, Path(save_directory)):
            self.model.save_pretrained(save_directory, **options)
        for part in (self.tokenizer, self.image_processor):
            if part is not None:
                part.save_pretrained(save_directory)

    def tell_card(self, about: Any) -> None:
        """Add to a model card what only the pipeline knows."""
        from samovar.pipelines.custom import tell_card

        tell_card(self, about)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(task={self.task!r}, model={type(self.model).__name__}, device={self.device})"


@dataclass
class TaskSteps:
    """A pipeline with the parameters of one call: what the engine runs."""

    pipeline: Pipeline
    before: dict[str, Any]
    during: dict[str, Any]
    after: dict[str, Any]

    def prepare(self, inputs: list[Any]) -> list[list[Item]]:
        return self.pipeline.prepare_many(inputs, **self.before)

    def start(self, items: list[Item]) -> Callable[[], list[Any]]:
        pipe = self.pipeline
        with torch.inference_mode():
            batch = place(pipe.collate(items), pipe.device, pipe.dtype)
            reduced = pipe.reduce(pipe._forward(batch, **self.during), items, **self.after)
            return partial(self.results, fetch(reduced), items)

    def results(self, fetched: Fetched, items: list[Item]) -> list[Any]:
        return self.pipeline.unpack(fetched.wait(), items, **self.after)

    def finish(self, items: list[Item], values: list[Any]) -> Any:
        return self.pipeline.finish(items, values, **self.after)


def chosen_device(device: int | str | torch.device | None, home: torch.device) -> torch.device:
    """Where to run. None: where the model is, unless it is on the CPU and there is an accelerator."""
    from samovar.weights.load import target_device

    if device is None:
        return target_device("auto", None) if home.type == "cpu" else home
    if isinstance(device, int) and device >= 0:
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        if found is None or device >= torch.accelerator.device_count():
            count = 0 if found is None else torch.accelerator.device_count()
            raise InputError(
                f"device={device} was asked for; this machine has {count} accelerator(s).",
                "Use device=-1 or 'cpu', or leave it out.",
            )
        return torch.device(found.type, device)
    return target_device(device, None)


def checked_batch_size(batch_size: Any) -> int | None:
    """`batch_size`, if it is None or a positive integer; raises `InputError` otherwise."""
    if batch_size is None or (isinstance(batch_size, int) and batch_size >= 1):
        return batch_size
    raise InputError(f"batch_size must be a positive int or None, got {batch_size!r}.", "None lets a budget decide.")


def with_bar(results: Iterator[Any], total: int) -> Iterator[Any]:
    """The same results; on a terminal, a progress bar once they take long."""
    if sys.stderr is None or not sys.stderr.isatty():
        return results
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(results, total=total, delay=BAR_AFTER, unit=" inputs", dynamic_ncols=True)
