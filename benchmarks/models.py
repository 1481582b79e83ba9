"""The checkpoints and inputs that both sides are measured on: random weights of real sizes, built once by the peer."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import numpy as np
from measure import CACHE
from PIL import Image

SYLLABLES = ["".join(p) for p in itertools.product("bcdfgklm", "aeiou", "nprst", "aeiou")]


def bert_base() -> Path:
    """BERT-base with a classifier and a WordPiece vocabulary in which each word of `texts` is one token."""
    folder = CACHE / "bert-base"
    if not (folder / "tokenizer.json").exists():
        import torch
        from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

        torch.manual_seed(0)
        BertForSequenceClassification(BertConfig()).save_pretrained(folder)
        letters = "abcdefghijklmnopqrstuvwxyz"
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *SYLLABLES]
        (folder / "vocab.txt").write_text("\n".join(vocabulary))
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def bert_base_for_questions() -> Path:
    """The same size and vocabulary with a head that marks answers."""
    folder = CACHE / "bert-base-questions"
    if not (folder / "tokenizer.json").exists():
        import torch
        from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

        torch.manual_seed(0)
        BertForQuestionAnswering(BertConfig()).save_pretrained(folder)
        AutoTokenizer.from_pretrained(bert_base()).save_pretrained(folder)
    return folder


def roberta_base() -> Path:
    """RoBERTa-base: 125 million parameters, without a head."""
    folder = CACHE / "roberta-base"
    if not (folder / "model.safetensors").exists():
        import torch
        from transformers import RobertaConfig, RobertaModel

        torch.manual_seed(0)
        config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
        RobertaModel(config).save_pretrained(folder)
    return folder


def vit_base() -> Path:
    """ViT-base on 224 × 224 pixels with 1,000 labels."""
    folder = CACHE / "vit-base"
    if not (folder / "preprocessor_config.json").exists():
        import torch
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

        torch.manual_seed(0)
        ViTForImageClassification(ViTConfig(num_labels=1000)).save_pretrained(folder)
        ViTImageProcessor().save_pretrained(folder)
    return folder


def texts(count: int = 256, shortest: int = 5, longest: int = 400) -> tuple[list[str], list[int]]:
    """Texts and their lengths in tokens, special tokens included.

    Lengths are log-uniform, as lengths of real texts are nearer to than to uniform ones: many short, a few long.
    """
    source = random.Random(0)
    lengths = [int(math.exp(source.uniform(math.log(shortest), math.log(longest + 1)))) for _ in range(count)]
    return [" ".join(source.choice(SYLLABLES) for _ in range(n - 2)) for n in lengths], lengths


def images(count: int = 32) -> list[Image.Image]:
    """Photograph-sized images of noise, of several shapes."""
    source = np.random.default_rng(0)
    shapes = [(480, 640), (640, 480), (427, 640), (375, 500)]
    return [
        Image.fromarray(source.integers(0, 256, (*shapes[i % len(shapes)], 3), dtype=np.uint8)) for i in range(count)
    ]
