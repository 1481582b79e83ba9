"""The first step of most checkpoints: tokenizer and encoder."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from samovar.auto import AutoModel, AutoTokenizer
from samovar.config import parse_config
from samovar.errors import FileMissingError, InputError
from samovar.hub.source import Source
from samovar.pipelines.text import length_limit
from samovar.pipelines.transfer import pad_rows
from samovar.sentence.module import Features, Module

# Settings of this step have had one name per kind of encoder; whichever is there is read.
SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

BACKENDS = ("torch", "onnx")


class Transformer(Module):
    """Texts → `token_embeddings` (batch, sequence, hidden), by any encoder that `AutoModel` loads.

    Texts are cut at `max_seq_length` tokens; by default what encoder and tokenizer can take. With `backend="onnx"` the
    encoder runs in onnxruntime: the graph beside it, or one that is made of it now.
    """

    type_name = "sentence_transformers.models.Transformer"
    auto_class: ClassVar[type[AutoModel]] = AutoModel

    def __init__(
        self,
        model_name_or_path: str | Path,
        max_seq_length: int | None = None,
        do_lower_case: bool = False,
        *,
        backend: str = "torch",
        model_args: dict[str, Any] | None = None,
        tokenizer_args: dict[str, Any] | None = None,
        **source: Any,
    ) -> None:
        super().__init__()
        self.auto_model = encoder_of(self.auto_class, model_name_or_path, backend, {**source, **(model_args or {})})
        self.tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, **source, **(tokenizer_args or {}))
        self.do_lower_case = do_lower_case
        self.max_seq_length = (
            length_limit(self.auto_model, self.tokenizer) if max_seq_length is None else max_seq_length
        )

    def forward(self, features: Features) -> Features:
        """The last hidden state."""
        features["token_embeddings"] = self.auto_model(**self.inputs(features)).last_hidden_state
        return features

    @staticmethod
    def inputs(features: Features) -> Features:
        """What of the features the encoder reads."""
        names = ("input_ids", "attention_mask", "token_type_ids", "inputs_embeds", "position_ids")
        return {name: features[name] for name in names if name in features}

    def encode(self, texts: list[Any]) -> list[dict[str, list[int]]]:
        """Texts or pairs → their ids (and segments), cut but not padded."""
        if self.do_lower_case:
            texts = [tuple(part.lower() for part in t) if isinstance(t, tuple) else t.lower() for t in texts]
        cut: dict[str, Any] = {"truncation": True, "max_length": self.max_seq_length} if self.max_seq_length else {}
        encoding = self.tokenizer(texts, **cut, return_attention_mask=False, verbose=False)
        names = [name for name in ("input_ids", "token_type_ids") if name in encoding]
        rows = zip(*(encoding[name] for name in names), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def tokenize(self, texts: list[Any]) -> Features:
        """Texts or pairs → tensors (batch, sequence), cut and padded."""
        rows = self.encode([tuple(text) if isinstance(text, list) else text for text in texts])
        return dict(self.tokenizer.pad({k: [row[k] for row in rows] for k in rows[0]}, return_tensors="pt"))

    def collate(self, rows: list[dict[str, Any]], full: bool = False) -> Features:
        """What `encode` gave → tensors (batch, sequence); mask and segments only where they matter, or `full`."""
        ids = [np.asarray(row["input_ids"] or [self.empty_id], dtype=np.int64) for row in rows]
        batch = {"input_ids": pad_rows(ids, self.pad_id)}
        if full or len({len(row) for row in ids}) > 1:
            batch["attention_mask"] = pad_rows([np.ones_like(row) for row in ids], 0)
        if any(any(row.get("token_type_ids", ())) for row in rows):
            batch["token_type_ids"] = pad_rows([np.asarray(row["token_type_ids"], dtype=np.int64) for row in rows], 0)
        return batch

    @property
    def pad_id(self) -> int:
        """The id that fills up a batch."""
        for owner in (self.auto_model.config, self.tokenizer):
            pad = getattr(owner, "pad_token_id", None)
            if pad is not None:
                return int(pad)
        return 0

    @property
    def empty_id(self) -> int:
        """What stands for a text without tokens."""
        for name in ("bos_token_id", "eos_token_id", "cls_token_id"):
            token = getattr(self.tokenizer, name, None)
            if token is not None:
                return int(token)
        return self.pad_id

    def get_word_embedding_dimension(self) -> int:
        """Size of a token's vector."""
        return int(self.auto_model.config.hidden_size)

    @property
    def word_embedding_dimension(self) -> int:
        """Size of a token's vector."""
        return self.get_word_embedding_dimension()

    @classmethod
    def load(cls, source: Source, **options: Any) -> Self:
        """From the encoder's folder, with the length limit that stands beside it."""
        path = source.first(*SETTINGS)
        settings = parse_config(path) if path else {}
        name = source.base() if source.is_local else source.name
        if not source.is_local:
            options |= {"subfolder": source.subfolder}
        module = cls(
            name,
            settings.get("max_seq_length"),
            bool(settings.get("do_lower_case", False)),
            **options,
        )
        return module.eval()

    def save(self, folder: Path) -> None:
        """Encoder, tokenizer, and the length limit."""
        folder.mkdir(parents=True, exist_ok=True)
        self.auto_model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        settings = {"max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case}
        (folder / SETTINGS[0]).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def encoder_of(auto: type[AutoModel], name: str | Path, backend: str, options: dict[str, Any]) -> Any:
    """The encoder in PyTorch, or in onnxruntime where that is asked for, or where there is nothing else.

    Raises what loading raises, and `InputError` for another backend.
    """
    if backend not in BACKENDS:
        raise InputError(f"There is no backend {backend!r}.", f"Choose among {', '.join(BACKENDS)}.")
    if backend == "onnx":
        from samovar.runtime.onnx_model import OnnxModel

        try:
            return OnnxModel.from_pretrained(name, **options)
        except FileMissingError:
            return exported(auto.from_pretrained(name, **options))
    try:
        return auto.from_pretrained(name, **options)
    except FileMissingError as error:
        from samovar.runtime.onnx_model import OnnxModel

        try:
            return OnnxModel.from_pretrained(name, **options)
        except FileMissingError:
            raise error from None


def exported(model: Any) -> Any:
    """A model as a graph, in a folder that lives as long as the graph is used."""
    from samovar.export.run import export_model
    from samovar.runtime.onnx_model import OnnxModel

    folder = tempfile.mkdtemp(prefix="samovar-onnx-")
    try:
        export_model(model, "onnx", folder)
        graph = OnnxModel.from_pretrained(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(graph, shutil.rmtree, folder, True)
    return graph
