"""What `encode` does: texts through the batching engine, embeddings in the form that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import InputError, InputTypeError
from samovar.nn.memory import keep_freed_memory
from samovar.pipelines.base import BAR_AFTER
from samovar.pipelines.batching import run_many
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.scores import not_finite
from samovar.pipelines.text import ACCELERATOR_BUDGET, ACCELERATOR_OVERHEAD, CPU_BUDGET, CPU_OVERHEAD
from samovar.pipelines.transfer import fetch, place
from samovar.sentence.precision import check_precision, quantize_embeddings

if TYPE_CHECKING:
    from samovar.sentence.model import SentenceTransformer

OUTPUTS = ("sentence_embedding", "token_embeddings", None)


@dataclass(frozen=True)
class Request:
    """The options of one call."""

    prompt: str = ""
    batch_size: int | None = None
    show_progress_bar: bool | None = None
    output_value: str | None = "sentence_embedding"
    precision: str = "float32"
    convert_to_numpy: bool = True
    convert_to_tensor: bool = False
    normalize_embeddings: bool = False
    truncate_dim: int | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.output_value not in OUTPUTS:
            raise InputError(f"There is no output {self.output_value!r}.", f"Choose among {OUTPUTS}.")
        for name in ("batch_size", "truncate_dim"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} must be a whole number above 0, got {value!r}.", "Leave it out for all.")


class Steps:
    """What the engine runs for one call."""

    def __init__(self, model: Any, modules: Sequence[Any], request: Request) -> None:
        self.model, self.request = model, request
        self.first = modules[0]
        self.device, self.dtype = home_of(model)
        self.prompt_length = 0
        if request.prompt and not all(getattr(module, "include_prompt", True) for module in modules):
            self.prompt_length = prompt_length(self.first, request.prompt)

    def prepare(self, inputs: list[Any]) -> list[list[Item]]:
        """Checked, prompted, cut into tokens."""
        texts = [checked(text) for text in inputs]
        if self.request.prompt:
            texts = [self.request.prompt + text for text in texts]
        if not hasattr(self.first, "encode"):  # a module of the caller's own
            return [[Item({"text": text}, len(text))] for text in texts]
        return [[Item(row, max(len(row["input_ids"]), 1))] for row in self.first.encode(texts)]

    def start(self, items: list[Item]) -> Callable[[], list[Any]]:
        """One batch through all modules."""
        with torch.inference_mode():
            features = place(self.collate(items), self.device, self.dtype)
            if self.prompt_length:
                features["prompt_length"] = self.prompt_length
            out = self.model(features)
            if self.request.output_value == "sentence_embedding":
                return partial(self.rows, self.finished(out["sentence_embedding"]))
            if self.request.output_value == "token_embeddings":
                tokens = out["token_embeddings"]
                return partial(lambda: [row[: item.size] for row, item in zip(tokens, items, strict=True)])
            return partial(one_by_one, out, len(items))

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """Rows → tensors, without a mask where none is needed."""
        rows = [item.features for item in items]
        if "text" in rows[0]:
            return self.first.tokenize([row["text"] for row in rows])
        return self.first.collate(rows, self.request.output_value is None)

    def finished(self, embeddings: Tensor) -> Any:
        """Cut, then scaled, as was asked for; on the way to the CPU unless they shall stay."""
        if self.request.truncate_dim is not None:
            embeddings = embeddings[:, : self.request.truncate_dim]
        if self.request.normalize_embeddings:
            embeddings = F.normalize(embeddings, p=2, dim=1)
        if self.stays:
            return embeddings
        return fetch(embeddings.float() if embeddings.dtype == torch.bfloat16 else embeddings)

    @property
    def stays(self) -> bool:
        """Whether results are tensors on the model's device."""
        return self.request.precision == "float32" and (
            self.request.convert_to_tensor or not self.request.convert_to_numpy
        )

    def rows(self, embeddings: Any) -> list[Any]:
        """One row a text. Raises `NumericError`."""
        tensor: Tensor = embeddings if self.stays else embeddings.wait()
        if not tensor.isfinite().all():
            raise not_finite("embedding")
        return list(tensor) if self.stays else list(tensor.numpy())

    def finish(self, items: list[Item], values: list[Any]) -> Any:
        """A text is one row."""
        return values[0]


def encode(model: SentenceTransformer, sentences: Any, request: Request) -> Any:
    """The embeddings of one text or of several."""
    texts, single = as_texts(sentences)
    rows = run(texts, Steps(model, list(model), request), request, "Embeddings")
    return assembled(rows, single, model, request)


def run(inputs: list[Any], steps: Steps, request: Request, label: str) -> list[Any]:
    """The results of all inputs, under a progress bar when they take longer than a moment."""
    if steps.device.type == "cpu":
        keep_freed_memory()
        limits = Limits(CPU_BUDGET, request.batch_size, CPU_OVERHEAD, window=2048, chunk=256)
    else:
        limits = Limits(ACCELERATOR_BUDGET, request.batch_size, ACCELERATOR_OVERHEAD, window=8192, chunk=256)
    depth = 1 if steps.device.type == "cuda" else 0
    overlap = len(inputs) > limits.chunk
    results = run_many(inputs, steps, limits, overlap=overlap, depth=depth, first_window=limits.window)
    if request.show_progress_bar is not False:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        delay = 0 if request.show_progress_bar else BAR_AFTER
        results = iter(tqdm(results, total=len(inputs), desc=label, delay=delay))
    return list(results)


def home_of(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a model's parameters are, and their type."""
    first = next(model.parameters(), torch.empty(0))
    return first.device, first.dtype


def assembled(rows: list[Any], single: bool, model: SentenceTransformer, request: Request) -> Any:
    """Rows → the form that was asked for."""
    if request.output_value != "sentence_embedding":
        return rows[0] if single else rows
    if request.precision != "float32":
        rows = list(quantize_embeddings(np.stack(rows), request.precision)) if rows else []
    if request.convert_to_tensor:
        if not rows:
            return torch.empty(0, model.get_sentence_embedding_dimension() or 0, device=model.device)
        joined = torch.stack(rows) if isinstance(rows[0], Tensor) else torch.from_numpy(np.stack(rows))
        return joined[0] if single else joined
    if not request.convert_to_numpy:
        tensors = [row if isinstance(row, Tensor) else torch.from_numpy(row) for row in rows]
        return tensors[0] if single else tensors
    if not rows:
        return np.empty((0, model.get_sentence_embedding_dimension() or 0), np.float32)
    return rows[0].copy() if single else np.stack(rows)


def as_texts(sentences: Any) -> tuple[list[Any], bool]:
    """The texts as a list, and whether there was just one, bare."""
    if isinstance(sentences, str):
        return [sentences], True
    if hasattr(sentences, "tolist"):  # arrays and series of text
        sentences = sentences.tolist()
    if isinstance(sentences, dict) or not hasattr(sentences, "__iter__") or isinstance(sentences, bytes):
        raise InputTypeError(
            f"Text expected, got {type(sentences).__name__} ({sentences!r:.60}).", "Pass a string or a list of them."
        )
    return list(sentences), False


def checked(text: Any) -> str:
    """A text. Raises `InputTypeError`; the engine adds its index."""
    if not isinstance(text, str):
        raise InputTypeError(f"Text expected, got {type(text).__name__} ({text!r:.60}).", "Pass strings.")
    return text


def prompt_length(first: Any, prompt: str) -> int:
    """Tokens that a prompt takes before the text, special ones that come first included."""
    with_end = len(first.encode([prompt])[0]["input_ids"])
    return with_end - 1 if ends_special(first, prompt) else with_end


def ends_special(first: Any, prompt: str) -> bool:
    """Whether the tokenizer closes a text with a token of its own."""
    tokenizer = first.tokenizer
    last = first.encode([prompt])[0]["input_ids"][-1]
    return last in (getattr(tokenizer, "sep_token_id", None), getattr(tokenizer, "eos_token_id", None))


def one_by_one(features: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Features of a batch → one dictionary a text."""

    def row(value: Any, index: int) -> Any:
        return value[index] if isinstance(value, Tensor) and value.ndim and len(value) == count else value

    return [{name: row(value, index) for name, value in features.items()} for index in range(count)]
