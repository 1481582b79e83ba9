"""Tiny random checkpoints, built and saved by the reference library, for both sides to load."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

WORDS = """the a cat dog sat on mat in moscow paris anna jean likes film good bad very not and was it play
work""".split()  # noqa: SIM905
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TEXTS = [
    "the cat sat on the mat",
    "anna likes moscow and paris, jean was not playing it",
    "",
    "good film",
    "a very very bad film and it was not a good work in Paris!",
    "dog",
    "the dog likes the cat and the cat likes the dog on the mat in the film",
]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}


def wordpiece_vocabulary() -> list[str]:
    """Special tokens, words, word ends and letters: some words are one token, most are several."""
    letters = string.ascii_lowercase + string.digits
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ends = ["##ing", "##ed", "##s"]
    every = [*special, *WORDS, *ends, *letters, *(f"##{letter}" for letter in letters), *".,!?-'"]
    return list(dict.fromkeys(every))


def lively(model: Any) -> Any:
    """Weights large enough that answers differ between inputs."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    model.tie_weights()
    return model.eval()


def save_bert(folder: Path, head: str, **settings: Any) -> Path:
    """A BERT with this head, and a WordPiece tokenizer that reads 48 tokens at most."""
    vocabulary = wordpiece_vocabulary()
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=48, **SIZES, **settings)
    lively(getattr(transformers, head)(config)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=48).save_pretrained(folder)
    return folder


def save_byte_pairs(folder: Path, family: str) -> Any:
    """A byte-level tokenizer trained on the test's own texts; returns it."""
    from tokenizers import ByteLevelBPETokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if family == "roberta" else ["<|endoftext|>"]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS * 4, vocab_size=320, min_frequency=1, special_tokens=special)
    folder.mkdir(exist_ok=True)
    trained.save_model(str(folder))
    kind = transformers.RobertaTokenizerFast if family == "roberta" else transformers.GPT2TokenizerFast
    tokenizer = kind.from_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_roberta(folder: Path, head: str, **settings: Any) -> Path:
    """A RoBERTa, whose first two positions belong to padding: it reads 38 tokens."""
    tokenizer = save_byte_pairs(folder, "roberta")
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=40, **SIZES, **ids, **settings
    )
    lively(getattr(transformers, head)(config)).save_pretrained(folder)
    return folder


def save_gpt2(folder: Path, head: str, **settings: Any) -> Path:
    """A GPT-2, whose tokenizer has no padding token and adds no special tokens."""
    tokenizer = save_byte_pairs(folder, "gpt2")
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, **settings
    )
    lively(getattr(transformers, head)(config)).save_pretrained(folder)
    return folder


def save_vit(folder: Path, head: str, **settings: Any) -> Path:
    """A ViT on images of 32 x 32, and its image processor."""
    config = transformers.ViTConfig(image_size=32, patch_size=8, **SIZES, **settings)
    lively(getattr(transformers, head)(config)).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


SAVERS = {"bert": save_bert, "roberta": save_roberta, "gpt2": save_gpt2, "vit": save_vit}
Build = Callable[..., str]


def labels(*names: str) -> dict[str, Any]:
    """The settings of a model with these labels."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def same(ours: Any, theirs: Any, tolerance: float = 1e-4) -> bool:
    """Equal structure, types, texts and integers; floats within a tolerance."""
    if isinstance(theirs, float):
        return type(ours) is float and abs(ours - theirs) <= tolerance
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key], tolerance) for key in theirs)
    if isinstance(theirs, list):
        return (
            type(ours) is list
            and len(ours) == len(theirs)
            and all(map(partial(same, tolerance=tolerance), ours, theirs))
        )
    return type(ours) is type(theirs) and ours == theirs


def plain(value: Any) -> Any:
    """The reference's answer with NumPy's numbers as Python's own."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value.item() if hasattr(value, "item") else value
