"""Tiny checkpoints that the reference library writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}


def bert(folder: Path, kind: str = "BertForSequenceClassification", labels: int = 3, **saving: Any) -> Path:
    """A random tiny BERT of the reference, saved into `folder`."""
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.BertConfig(**SIZES, num_labels=labels))
    model.save_pretrained(folder, **saving)
    return folder


def ids(rows: int = 2, length: int = 7) -> torch.Tensor:
    """Token ids (rows, length)."""
    return torch.randint(5, 90, (rows, length), generator=torch.Generator().manual_seed(3))
