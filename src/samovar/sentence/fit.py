"""Training a `SentenceTransformer` with a plain PyTorch loop: `model.fit(train_objectives=[(loader, loss)], …)`."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from samovar.errors import InputError, InputTypeError, NumericError, did_you_mean
from samovar.sentence.module import Features

logger = logging.getLogger(__name__)


@dataclass
class InputExample:
    """One row of training data: a text per column, and what is known about them."""

    guid: str = ""
    texts: list[str] | None = None
    label: Any = 0


@dataclass
class Batch:
    """What a loss is called with, and the first row's texts for messages."""

    features: list[Features]
    labels: Tensor
    first: str


@dataclass(frozen=True)
class SmartBatching:
    """A collate function: `InputExample`s → features (batch, sequence) per column, padded to that batch's longest."""

    tokenize: Callable[[list[str]], Features]

    def __call__(self, examples: Sequence[Any]) -> Batch:
        rows = [checked_texts(example) for example in examples]
        if len({len(row) for row in rows}) > 1:
            raise InputError(
                f"Examples of one batch have {', '.join(str(len(row)) for row in rows)} texts.",
                "Give all examples of one loader the same columns.",
            )
        columns = [list(column) for column in zip(*rows, strict=True)]
        return Batch(
            [dict(self.tokenize(column)) for column in columns],
            labels_of([example.label for example in examples]),
            " | ".join(rows[0]),
        )


def checked_texts(example: Any) -> list[str]:
    """The texts of an example. Raises `InputTypeError`."""
    texts = getattr(example, "texts", None)
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputTypeError(
            f"Training takes InputExamples with lists of strings, got {example!r:.120}.",
            'Such as InputExample(texts=["one text", "another"], label=0.8).',
        )
    return list(texts)


def labels_of(labels: list[Any]) -> Tensor:
    """Labels (batch, …): whole numbers stay whole. Raises `InputTypeError`."""
    try:
        values = np.stack([label.cpu() if isinstance(label, Tensor) else np.asarray(label) for label in labels])
        return torch.from_numpy(values.astype(np.float32) if values.dtype == np.float64 else values)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"Labels such as {labels[0]!r:.60} make no tensor: {error}.", "Give numbers.") from error


# Learning rate -----------------------------------------------------------------------------------------------------


def rises(step: int, warmup: int) -> float:
    """The share of the learning rate during the warm-up."""
    return step / max(warmup, 1)


def progress(step: int, warmup: int, total: int) -> float:
    """How far the rest of the training is, in 0 … 1."""
    return min((step - warmup) / max(total - warmup, 1), 1.0)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "warmupconstant": lambda done: 1.0,
    "warmuplinear": lambda done: 1 - done,
    "warmupcosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    # One cycle, as the field's library uses it: there is nothing to restart.
    "warmupcosinewithhardrestarts": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


def schedule(name: str, warmup: int, total: int) -> Callable[[int], float]:
    """Step → share of the learning rate. Raises `InputError` for a name that there is not."""
    key = str(name).lower()
    if key == "constantlr":
        return lambda step: 1.0
    if key not in SCHEDULES:
        known = ["constantlr", *SCHEDULES]
        raise InputError(f"There is no scheduler {name!r}.", f"{did_you_mean(key, known)} All: {', '.join(known)}.")
    falls = SCHEDULES[key]
    return lambda step: rises(step, warmup) if step < warmup else falls(progress(step, warmup, total))


def decay_groups(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices shrink by `weight_decay`; biases and the scales of norms do not."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


# Evaluation --------------------------------------------------------------------------------------------------------


@dataclass
class Best:
    """Runs the evaluator, and keeps the best model in `output_path`."""

    model: Any
    evaluator: Any
    output_path: Path | None
    save: bool
    callback: Callable[[float, int, int], None] | None
    score: float | None = field(default=None, init=False)

    def evaluate(self, epoch: int, steps: int) -> None:
        """Measure; save if it is the best so far; tell the callback. A score of nan is never the best."""
        if self.evaluator is None:
            return
        folder = None if self.output_path is None else str(self.output_path / "eval")
        found = self.evaluator(self.model, output_path=folder, epoch=epoch, steps=steps)
        score = float(found[self.evaluator.primary_metric] if isinstance(found, Mapping) else found)
        sign = 1 if getattr(self.evaluator, "greater_is_better", True) else -1
        if not math.isnan(score) and (self.score is None or sign * score > sign * self.score):
            self.score = score
            if self.save and self.output_path is not None:
                self.model.save(str(self.output_path))
        if self.callback is not None:
            self.callback(score, epoch, steps)

    def finish(self) -> None:
        """Save the model as it is, unless a best one was saved."""
        if self.output_path is not None and (not self.save or self.score is None):
            self.model.save(str(self.output_path))


# The loop ----------------------------------------------------------------------------------------------------------


def fit(
    model: Any,
    train_objectives: Sequence[tuple[Any, nn.Module]],
    evaluator: Any = None,
    epochs: int = 1,
    steps_per_epoch: int | None = None,
    scheduler: str = "WarmupLinear",
    warmup_steps: int = 10000,
    optimizer_class: type[Optimizer] = torch.optim.AdamW,
    optimizer_params: Mapping[str, Any] | None = None,
    weight_decay: float = 0.01,
    evaluation_steps: int = 0,
    output_path: str | Path | None = None,
    save_best_model: bool = True,
    max_grad_norm: float = 1,
    use_amp: bool = False,
    callback: Callable[[float, int, int], None] | None = None,
    show_progress_bar: bool = True,
) -> None:
    """Train `model` on pairs of a `DataLoader` of `InputExample`s and a loss, in turn one batch of each.

    An epoch has `steps_per_epoch` rounds (default: the batches of the shortest loader; a loader that ends starts
    anew). One optimizer holds all parameters of all losses; `optimizer_params` is `{"lr": 2e-5}`. The learning rate
    rises for `warmup_steps` batches and then follows `scheduler` (ConstantLR, WarmupConstant, WarmupLinear,
    WarmupCosine). Gradients are clipped to `max_grad_norm`; 0 leaves them. `use_amp` computes in half precision:
    float16 with a scaled loss on CUDA, bfloat16 elsewhere.

    The `evaluator` runs every `evaluation_steps` rounds, if above 0, and after each epoch; `callback(score, epoch,
    steps)` gets what it found, with `steps` -1 for the end of an epoch. The model with the best score is saved to
    `output_path`, tables of scores to `eval` in it; the last model is saved there without an evaluator or with
    `save_best_model=False`. `torch.manual_seed` before the call makes a training repeatable; evaluating changes
    nothing in it.

    Raises `NumericError`, which names the batch, for a loss or gradient that is not finite, before it reaches the
    weights; a best model that was saved stays. `InputError` for empty loaders and examples that do not fit the loss.
    """
    loaders, losses = objectives(train_objectives)
    rounds = steps_per_epoch or shortest(loaders)
    total = rounds * epochs * len(losses)
    if epochs < 1:
        raise InputError(f"epochs must be above 0, got {epochs}.", "Leave it out for 1.")
    modules = nn.ModuleList([loss.to(model.device) for loss in losses])
    parameters = [p for p in modules.parameters() if p.requires_grad]  # Each once, however many losses share it.
    if not parameters:
        raise InputError("No parameter is to be trained.", "Set requires_grad of some.")
    optimizer = optimizer_class(decay_groups(parameters, weight_decay), **(optimizer_params or {"lr": 2e-5}))
    rate = LambdaLR(optimizer, schedule(scheduler, warmup_steps, total))
    if warmup_steps >= total and str(scheduler).lower() != "constantlr":
        logger.warning("The learning rate rises for %d steps, but there are only %d.", warmup_steps, total)
    step = Step(model, optimizer, rate, parameters, max_grad_norm, use_amp)
    best = Best(model, evaluator, None if output_path is None else Path(output_path), save_best_model, callback)

    collate = SmartBatching(model.tokenize)
    with collating(loaders, collate), progress_bar(total, show_progress_bar) as bar:
        streams = [endless(loader) for loader in loaders]
        try:
            for epoch in range(epochs):
                bar.set_description(f"Epoch {epoch + 1}/{epochs}")
                modules.train()
                for done in range(1, rounds + 1):
                    for index, loss in enumerate(losses):
                        where = f"epoch {epoch}, step {done - 1}" + (f", objective {index}" if len(losses) > 1 else "")
                        value = step(loss, next(streams[index]), where)
                        bar.set_postfix(loss=f"{value:.4f}", refresh=False)
                        bar.update()
                    if evaluation_steps > 0 and done % evaluation_steps == 0 and done < rounds:
                        best.evaluate(epoch, done)
                        modules.train()
                best.evaluate(epoch, -1)
        finally:
            optimizer.zero_grad(set_to_none=True)
            modules.eval()
    best.finish()


class Step:
    """One batch: loss, gradients, weights."""

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        rate: LambdaLR,
        parameters: list[nn.Parameter],
        max_grad_norm: float,
        use_amp: bool,
    ) -> None:
        self.device: torch.device = model.device
        self.optimizer, self.rate, self.parameters = optimizer, rate, parameters
        self.max_grad_norm, self.use_amp = max_grad_norm or math.inf, use_amp
        self.half = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        # float16 ends at 65,504 and at 6e-8: the loss is scaled so that gradients stay between; bfloat16 needs none.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=use_amp and self.half == torch.float16)

    def __call__(self, loss: nn.Module, batch: Batch, where: str) -> float:
        """The batch's loss. Raises `NumericError`."""
        self.optimizer.zero_grad(set_to_none=True)
        features = [placed(column, self.device) for column in batch.features]
        with torch.autocast(self.device.type, self.half, enabled=self.use_amp):
            result: Tensor = loss(features, batch.labels.to(self.device))
        value = result.item()
        if not math.isfinite(value):
            raise diverged(f"The loss is {value}", where, loss, batch)
        self.scaler.scale(result).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        scaled = self.scaler.is_enabled()  # The scaler leaves out steps that overflow, and lowers its factor.
        if not scaled and not bool(norm.isfinite()):
            raise diverged(f"The loss is {value:.4g}, its gradient {norm.item()}", where, loss, batch)
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if not scaled or self.scaler.get_scale() >= before:
            self.rate.step()
        return value


def diverged(what: str, where: str, loss: nn.Module, batch: Batch) -> NumericError:
    """The error for a batch without a finite loss."""
    wrong = []
    if batch.labels.is_floating_point():
        wrong = (~batch.labels.isfinite()).reshape(len(batch.labels), -1).any(1).nonzero().flatten().tolist()
    reason = f" The labels of its rows {wrong} are not finite." if wrong else ""
    return NumericError(
        f"{what} at {where} ({type(loss).__name__}); the batch begins with {batch.first!r:.100}.{reason}",
        "The weights are as they were before this batch. " + (
            "Mend these labels." if wrong else "Lower the learning rate, or look at its texts and labels."
        ),
    )  # fmt: skip


def objectives(pairs: Any) -> tuple[list[Any], list[nn.Module]]:
    """Loaders and losses. Raises `InputTypeError`."""
    if isinstance(pairs, list | tuple) and pairs:
        good = [
            isinstance(pair, list | tuple) and len(pair) == 2 and hasattr(pair[0], "collate_fn")
            and isinstance(pair[1], nn.Module)
            for pair in pairs
        ]  # fmt: skip
        if all(good):
            return [loader for loader, _ in pairs], [loss for _, loss in pairs]
    raise InputTypeError(
        f"train_objectives is a list of (DataLoader, loss), got {pairs!r:.120}.",
        "Such as [(DataLoader(examples, shuffle=True, batch_size=16), CosineSimilarityLoss(model))].",
    )


def shortest(loaders: Sequence[Any]) -> int:
    """Batches of the shortest loader. Raises `InputError`."""
    try:
        count = min(len(loader) for loader in loaders)
    except TypeError as error:
        raise InputError("A loader does not say how many batches it has.", "Pass steps_per_epoch.") from error
    if count < 1:
        raise InputError("A loader has no batch.", "Give it examples; drop_last leaves out an incomplete batch.")
    return count


def endless(loader: Any) -> Iterator[Batch]:
    """Batches, over and over. Raises `InputError` for a loader that has none."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise InputError("A loader has no batch.", "Give it examples; drop_last leaves out an incomplete batch.")


@contextlib.contextmanager
def collating(loaders: Sequence[Any], collate: SmartBatching) -> Iterator[None]:
    """Loaders that give batches for the model, and afterwards what they gave before."""
    before = [loader.collate_fn for loader in loaders]
    for loader in loaders:
        loader.collate_fn = collate
    try:
        yield
    finally:
        for loader, function in zip(loaders, before, strict=True):
            loader.collate_fn = function


def progress_bar(total: int, show: bool) -> Any:
    """A bar over all batches, with the loss."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    return tqdm(total=total, disable=not show, unit=" batches", dynamic_ncols=True)


def placed(features: Features, device: torch.device) -> Features:
    """The features on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in features.items()}
