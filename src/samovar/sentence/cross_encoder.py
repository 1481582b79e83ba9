"""`CrossEncoder`: two texts read together → how well they fit; slower than embeddings, and more exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from samovar.auto import AutoConfig, AutoModelForSequenceClassification
from samovar.errors import InputError, InputTypeError
from samovar.hub.atomic import write_beside
from samovar.hub.publish import Shareable, shares
from samovar.hub.source import Source
from samovar.pipelines.base import chosen_device
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import not_finite
from samovar.pipelines.transfer import fetch, place
from samovar.sentence.encoding import Request, Steps, run
from samovar.sentence.files import settings_of
from samovar.sentence.layers import activation_named
from samovar.sentence.module import Features
from samovar.sentence.transformer import Transformer

Activation = Callable[[Tensor], Tensor]


class PairReader(Transformer):
    """Pairs of texts → `scores` (batch, labels), by any model for sequence classification."""

    auto_class = AutoModelForSequenceClassification

    def forward(self, features: Features) -> Features:
        """The logits."""
        features["scores"] = self.auto_model(**self.inputs(features)).logits
        return features


class CrossEncoder(Shareable, nn.Module):
    """Scores of pairs of texts.

    ::

        model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
        model.predict([("How many people live in Riga?", "Riga has 605,273 inhabitants.")])     # NumPy (1,)
        model.rank("How many people live in Riga?", documents)                                  # best first

    `activation_fn` turns logits into scores: by default what the checkpoint names, else a sigmoid for one label and
    nothing for several. `max_length` cuts pairs. A checkpoint without a head gets a new one of `num_labels` (1).
    """

    def __init__(
        self,
        model_name_or_path: str | Path,
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Activation | None = None,
        device: str | torch.device | None = None,
        *,
        cache_folder: str | Path | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "cache_dir": cache_folder, "revision": revision, "local_files_only": local_files_only, "token": token
        }  # fmt: skip
        config = AutoConfig.from_pretrained(model_name_or_path, **options, **(config_kwargs or {}))
        trained = any("SequenceClassification" in name for name in config.architectures or ())
        if num_labels is not None or not trained:
            config.num_labels = num_labels or 1
        self.reader = PairReader(
            str(model_name_or_path), max_length, model_args={"config": config, **(model_kwargs or {})},
            tokenizer_args=dict(tokenizer_kwargs or {}), **options,
        )  # fmt: skip
        settings = settings_of(Source(model_name_or_path, **options))
        named = settings.get("activation_fn") or named_activation(config.extra)
        self.activation_fn: Activation = (
            activation_fn or (activation_named(named) if named else None) or default_activation(self.num_labels)
        )
        self.to(chosen_device(device, self.device))
        self.eval()

    def predict(
        self,
        sentences: Any,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Pairs → NumPy (pairs,), or (pairs, labels) for several labels; one pair → its score.

        Raises `InputTypeError` with the index of what is no pair, `NumericError` where a score is not finite.
        """
        self.eval()
        single = is_pair(sentences)
        pairs = [sentences] if single else list(sentences)
        request = Request("", batch_size, show_progress_bar, convert_to_tensor=convert_to_tensor)
        steps = PairSteps(self, request, activation_fn or self.activation_fn, apply_softmax)
        rows = run(pairs, steps, request, "Pairs")
        tensors = [torch.as_tensor(row) for row in rows]
        if not convert_to_numpy and not convert_to_tensor:
            return tensors[0] if single else tensors
        shape = (0,) if self.num_labels == 1 else (0, self.num_labels)
        scores = torch.stack(tensors) if tensors else torch.empty(shape)
        scores = scores.to(self.device) if convert_to_tensor else scores
        scores = scores[0] if single else scores
        return scores if convert_to_tensor else scores.numpy()[()]

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
    ) -> list[dict[str, Any]]:
        """Documents by falling score, as `{"corpus_id": …, "score": …}`, with their `text` if it is wanted.

        Raises `InputError` for a model of several labels: it gives no order.
        """
        if self.num_labels != 1:
            raise InputError(f"This model gives {self.num_labels} scores a pair: no order.", "Use `predict`.")
        scores = self.predict(
            [(query, document) for document in documents], batch_size, show_progress_bar, activation_fn
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {"corpus_id": int(i), "score": float(scores[i])} | ({"text": documents[i]} if return_documents else {})
            for i in order
        ]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> Any:
        """The model's own forward pass: logits, and a loss where `labels` are given."""
        return self.model(input_ids, attention_mask, **inputs)

    @property
    def model(self) -> Any:
        """The classifier."""
        return self.reader.auto_model

    @property
    def tokenizer(self) -> Any:
        """The classifier's tokenizer."""
        return self.reader.tokenizer

    @property
    def config(self) -> Any:
        """The classifier's configuration."""
        return self.model.config

    @property
    def num_labels(self) -> int:
        """Scores a pair."""
        return int(self.config.num_labels)

    @property
    def max_length(self) -> int | None:
        """Tokens after which a pair is cut."""
        return self.reader.max_seq_length

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @shares
    def save_pretrained(self, path: str | Path) -> None:
        """An ordinary checkpoint folder that names the activation too."""
        kind = type(self.activation_fn)
        if isinstance(self.activation_fn, nn.Module) and kind.__module__.startswith("torch.nn"):
            name = f"{kind.__module__}.{kind.__name__}"
            self.config.sentence_transformers = {"activation_fn": name, "version": "4.0.0"}
        with write_beside(path) as beside:
            self.model.save_pretrained(beside)
            self.tokenizer.save_pretrained(beside)

    save = save_pretrained


class PairSteps(Steps):
    """What the engine runs for one call."""

    def __init__(self, encoder: CrossEncoder, request: Request, activation: Activation, softmax: bool) -> None:
        super().__init__(encoder.reader, [encoder.reader], request)
        self.activation, self.softmax, self.one = activation, softmax, encoder.num_labels == 1

    def prepare(self, inputs: list[Any]) -> list[list[Item]]:
        """Checked and cut into tokens."""
        for pair in inputs:
            if not is_pair(pair):
                raise InputTypeError(f"A pair of texts expected, got {pair!r:.80}.", "Pass (text, text).")
        return [[Item(row, len(row["input_ids"]))] for row in self.first.encode([tuple(pair) for pair in inputs])]

    def start(self, items: list[Item]) -> Callable[[], list[Any]]:
        """One batch of pairs."""
        with torch.inference_mode():
            scores = self.model(place(self.collate(items), self.device, self.dtype))["scores"]
            if not scores.isfinite().all():
                raise not_finite("scores")
            scores = self.activation(scores)
            scores = scores.softmax(1) if self.softmax else scores
            scores = scores[:, 0] if self.one else scores
            return partial(self.rows, scores if self.stays else fetch(scores.float()))


def is_pair(value: Any) -> bool:
    """Whether this is one pair of texts."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)


def named_activation(extra: Mapping[str, Any]) -> str | None:
    """The activation that a `config.json` names, in its newer or its older place."""
    newer = extra.get("sentence_transformers")
    name = newer.get("activation_fn") if isinstance(newer, Mapping) else None
    return name or extra.get("sbert_ce_default_activation_function")


def default_activation(labels: int) -> nn.Module:
    """A sigmoid for one label, nothing for several."""
    return nn.Sigmoid() if labels == 1 else nn.Identity()
