"""Small SentencePiece models and texts that are hard to cut, which the tokenizer tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
from vocabularies import TEXTS, train_texts

HARD = [
    *(text for text in TEXTS if "<s>" not in text),
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "いろはにほへと ちりぬるを",
    "x  two   three    four\u3000wide",
    "  leading and trailing  ",
    "\u2581already\u2581marked \u2581 words\u2581",
    "ﬁne ligatures ½ ① Ａｂｃ ㎏ İstanbul ß ẞ ǅ",
    "\x01\x02\x1f\x7f\x85\u200b\u200e\u202e\ufeff\ufffd",
    "new\nline\ttab\r\nboth\u2028separator",
    "👨‍👩‍👧 👩🏽‍💻 ❤️‍🔥 🏳️‍🌈 1️⃣",
    "हिन्दी ไทย 한국어 አማርኛ",
    "low <user> lower<user>er newest wi<user>der",
    "word" * 25_000,
    "йцу" * 17_000,
    ("spaced out text " * 500).strip(),
]


def train_model(folder: Path, name: str = "spiece.model", **options: Any) -> Path:
    """Train a `.model` file on the hard texts; the options are the trainer's."""
    prefix = folder / "trained"
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"model_type": "unigram", "vocab_size": 400, "character_coverage": 0.98} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            [text for text in [*train_texts(), *HARD[:24]] * 2 if text.strip() and "\0" not in text]
        ),
        model_prefix=str(prefix),
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **settings,
    )
    prefix.with_suffix(".vocab").unlink()
    return prefix.with_suffix(".model").rename(folder / name)
