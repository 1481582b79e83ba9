"""`StaticEmbedding`: each token has one vector, whatever stands beside it; a text is their mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tokenizers import Tokenizer as RustTokenizer
from torch import Tensor, nn

from samovar.errors import CorruptFileError, InputError
from samovar.hub.source import Source
from samovar.sentence.module import SAFETENSORS, Features, Module


class StaticEmbedding(Module):
    """Texts → `sentence_embedding` (batch, dim), the mean of their tokens' rows of one table (vocabulary, dim).

    `tokenizer` is a tokenizer of this library or of the `tokenizers` library. Give the table, or its `embedding_dim`.
    """

    type_name = "sentence_transformers.models.StaticEmbedding"

    def __init__(
        self,
        tokenizer: Any,
        embedding_weights: np.ndarray | Tensor | None = None,
        embedding_dim: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        rust = getattr(tokenizer, "rust", getattr(tokenizer, "_tokenizer", tokenizer))
        if not isinstance(rust, RustTokenizer):
            raise InputError(
                f"{type(tokenizer).__name__} is no tokenizer.", "Pass one of `tokenizers` or AutoTokenizer."
            )
        self.tokenizer: RustTokenizer = RustTokenizer.from_str(rust.to_str())
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if embedding_weights is not None:
            weights = (
                torch.as_tensor(np.asarray(embedding_weights))
                if not isinstance(embedding_weights, Tensor)
                else embedding_weights
            )
            self.embedding = nn.EmbeddingBag.from_pretrained(weights, freeze=False)
        elif embedding_dim is not None:
            self.embedding = nn.EmbeddingBag(self.tokenizer.get_vocab_size(), embedding_dim)
        else:
            raise InputError("StaticEmbedding has no table.", "Pass embedding_weights or embedding_dim.")
        self.max_seq_length: float = float("inf")

    def encode(self, texts: list[str]) -> list[dict[str, list[int]]]:
        """Texts → their ids."""
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [{"input_ids": encoding.ids} for encoding in encodings]

    def tokenize(self, texts: list[str]) -> Features:
        """Texts → what `forward` takes."""
        return self.collate(self.encode(texts))

    def collate(self, rows: list[dict[str, Any]], full: bool = False) -> Features:
        """What `encode` gave → all ids, `input_ids` (total,), and where each text starts, `offsets` (batch,)."""
        ids = [np.asarray(row["input_ids"], dtype=np.int64) for row in rows]
        starts = np.cumsum([0, *[len(row) for row in ids][:-1]])
        joined = np.concatenate(ids) if rows else np.empty(0, np.int64)
        return {"input_ids": torch.from_numpy(joined), "offsets": torch.from_numpy(starts)}

    def forward(self, features: Features) -> Features:
        """The mean of each text's rows; zeros for a text without tokens."""
        features["sentence_embedding"] = self.embedding(features["input_ids"], features["offsets"])
        return features

    def get_sentence_embedding_dimension(self) -> int:
        """Size of the result."""
        return self.embedding.embedding_dim

    @classmethod
    def load(cls, source: Source, **options: Any) -> Self:
        """From `tokenizer.json` and the table under the name `embedding.weight` (or `embeddings`)."""
        from samovar.weights.checkpoint import Checkpoint

        tokenizer = RustTokenizer.from_file(str(source.require("tokenizer.json", "It cuts texts into tokens.")))
        readers = Checkpoint(source).readers
        name = next(
            (name for name in ("embedding.weight", "embeddings", "embedding_bag.weight") if name in readers), None
        )
        if name is None:
            raise CorruptFileError(
                f"{source.name} has no tensor embedding.weight; it has {', '.join(readers)}.",
                "It is no StaticEmbedding.",
            )
        return cls(tokenizer, embedding_weights=readers[name]().clone()).eval()

    def save(self, folder: Path) -> None:
        """The tokenizer and the table."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        save_file({"embedding.weight": self.embedding.weight.detach().contiguous()}, folder / SAFETENSORS)
