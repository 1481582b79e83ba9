"""Small vocabularies and hard texts that the tokenizer tests share."""

from __future__ import annotations

import json
import string
from pathlib import Path

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as RustTokenizer

from samovar.text.ranks import THREE_DIGITS

TEXTS = [
    "Hello world, this isn't unaffordable!",
    "Привет, как дела? Ёлка и йод.",
    "你好，世界 — mixed 漢字 text",
    "👩‍👩‍👧‍👦 family 🤦🏽‍♂️ and flags 🇷🇺🇯🇵",
    "tabs\tand\nnewlines\r\n and   spaces ",
    "null\x00 control\x07 zero\u200bwidth \u00a0nbsp",
    "مرحبا بالعالم שלום",
    "café naïve Ångström e\u0301",
    "",
    " ",
    "a" * 300,
    "[MASK] <mask> special [SEP] </s> tokens <s>",
    "don't we'll I'm they've 12.5% $3,000 (a_b) user@mail.com",
]


def train_texts() -> list[str]:
    """What the small vocabularies are trained on."""
    return TEXTS * 3 + ["low lower lowest new newer newest wide wider"] * 5


def write_wordpiece(folder: Path, style: str = "bert") -> Path:
    """vocab.txt with letters, pieces and the special tokens of BERT or MPNet."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if style == "mpnet":
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, *"абвгдежзийклмнопрстуфхцчшщъыьэюяё你好世界"]
    pieces = [f"##{letter}" for letter in letters]
    words = ["hello", "Hello", "world", "this", "un", "##afford", "##able", "привет", "family", "tokens", "caf", "##é"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*special, *letters, *pieces, *words]) + "\n", "utf-8")
    return folder


def write_bpe(folder: Path, style: str = "gpt2") -> Path:
    """vocab.json and merges.txt, trained on the hard texts."""
    special = ["<|endoftext|>"] if style == "gpt2" else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    rust = RustTokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator(train_texts(), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    rust.model.save(str(folder))
    return folder


SPLITS = {
    "bloom": [pre_tokenizers.Split(Regex(r" ?[^(\s|[.,!?…。，、।۔،])]+"), "isolated")],
    "falcon": [
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
    ],
    "llama3": [pre_tokenizers.Split(Regex(THREE_DIGITS), "isolated")],
    "modernbert": [],
}


def write_json_bpe(folder: Path, style: str) -> Path:
    """tokenizer.json of a byte-level BPE with the rules of BLOOM, Falcon, Llama 3 or ModernBERT."""
    special = {
        "bloom": ["<unk>", "<s>", "</s>", "<pad>"],
        "falcon": [">>TITLE<<", "<|endoftext|>"],
        "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
        "modernbert": ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"],
    }[style]
    rust = RustTokenizer(models.BPE())
    last = [] if style == "falcon" else [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not SPLITS[style])]
    rust.pre_tokenizer = pre_tokenizers.Sequence([*SPLITS[style], *last])
    rust.decoder = decoders.ByteLevel()
    if style == "modernbert":
        rust.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator(train_texts(), trainer)
    ends = {"llama3": ("<|begin_of_text|>", ""), "modernbert": ("[CLS]", "[SEP]")}.get(style)
    if ends is None:
        rust.post_processor = processors.ByteLevel(trim_offsets=False)
    else:
        first, last_token = ends
        tail = f" {last_token}:0" if last_token else ""
        rust.post_processor = processors.TemplateProcessing(
            single=f"{first}:0 $A:0{tail}",
            pair=f"{first}:0 $A:0{tail} {'' if last_token else first + ':1 '}$B:1{tail.replace(':0', ':1')}",
            special_tokens=[(token, rust.token_to_id(token)) for token in ends if token],
        )
    folder.mkdir(parents=True, exist_ok=True)
    rust.save(str(folder / "tokenizer.json"))
    return folder


def write_unigram(folder: Path, style: str) -> Path:
    """tokenizer.json of a unigram model with the template of ALBERT or XLM-RoBERTa."""
    begin, end = ("[CLS]", "[SEP]") if style == "albert" else ("<s>", "</s>")
    mask = "[MASK]" if style == "albert" else "<mask>"
    rust = RustTokenizer(models.Unigram())
    rust.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    rust.pre_tokenizer = pre_tokenizers.Metaspace()
    rust.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=[begin, "<pad>", end, "<unk>", mask], unk_token="<unk>", show_progress=False
    )
    rust.train_from_iterator(train_texts(), trainer)
    types = ("0", "1") if style == "albert" else ("0", "0")
    middle = f"{end}:0" if style == "albert" else f"{end}:0 {end}:0"
    rust.post_processor = processors.TemplateProcessing(
        single=f"{begin}:0 $A:0 {end}:0",
        pair=f"{begin}:0 $A:0 {middle} $B:{types[1]} {end}:{types[1]}",
        special_tokens=[(token, rust.token_to_id(token)) for token in (begin, end)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    rust.save(str(folder / "tokenizer.json"))
    return folder


def write_config(folder: Path, **settings: object) -> Path:
    """tokenizer_config.json."""
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder
