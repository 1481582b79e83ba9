"""Small models with a real vocabulary, and the command itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from driving import Command, run

from assets import minilm_folder
from samovar import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    GPT2Config,
    ViTConfig,
    ViTImageProcessor,
)

SIZES = {
    "initializer_range": 0.3,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


@pytest.fixture(scope="session")
def command() -> Command:
    """Run `samovar …` to its end."""
    return run


def encoder(folder: Path, auto: Any, **settings: Any) -> Path:
    """A BERT with a head and the real vocabulary."""
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    torch.manual_seed(0)
    auto.from_config(BertConfig(vocab_size=len(tokenizer), **SIZES, **settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences → one of three labels."""
    names = {0: "bad", 1: "fair", 2: "good"}
    return encoder(tmp_path_factory.mktemp("classifier"), AutoModelForSequenceClassification, id2label=names)


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions and contexts → places."""
    return encoder(tmp_path_factory.mktemp("reader"), AutoModelForQuestionAnswering)


@pytest.fixture(scope="session")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images → one of two labels."""
    folder = tmp_path_factory.mktemp("eye")
    torch.manual_seed(0)
    AutoModelForImageClassification.from_config(
        ViTConfig(image_size=16, patch_size=8, **SIZES), dtype=torch.float32
    ).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 that writes words of the real vocabulary, until its window of 128 tokens is full."""
    folder = tmp_path_factory.mktemp("writer")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.3,
        bos_token_id=tokenizer.cls_token_id, eos_token_id=tokenizer.sep_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
