"""Translate lines of text, several at once and word by word as they are written.

python examples/translate.py [FOLDER or owner/name of a translation model] [TEXT …]

Without a model, a tiny one is taught a few English sentences in Russian first, which takes some seconds. A model of
several languages is told them: pipeline("translation", model=M)(text, src_lang="en", tgt_lang="ru").
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from taught import teach, words_of

from samovar import AutoModelForSeq2SeqLM, BartConfig, pipeline

NOUNS = {"tea": "чай", "bread": "хлеб", "soup": "суп", "jam": "варенье"}
WHO = {"i like": "я люблю", "you like": "ты любишь", "we like": "мы любим"}


def taught() -> Any:
    """A pipeline whose model knows three ways to like four things."""
    torch.manual_seed(0)
    pairs = [
        (f"{who} {one} and {other}", f"{WHO[who]} {NOUNS[one]} и {NOUNS[other]}")
        for who in WHO
        for one in NOUNS
        for other in NOUNS
        if (one, other) != ("jam", "soup")  # is not taught, and translated all the same
    ]
    english, russian = zip(*pairs, strict=True)
    tokenizer = words_of(*english, *russian)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=32,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=None,
    )  # fmt: skip
    goal = torch.tensor([[*ids, 3] for ids in tokenizer(list(russian))["input_ids"]])
    batch = tokenizer(list(english), return_tensors="pt")
    model = teach(AutoModelForSeq2SeqLM.from_config(config), rate=5e-3, **batch, labels=goal)
    return pipeline("translation_en_to_ru", model=model, tokenizer=tokenizer)


def main(translate: Any, texts: list[str]) -> None:
    """All at once, then the first again as it is written."""
    for text, answer in zip(texts, translate(texts, max_new_tokens=20), strict=True):
        print(f"{text}  →  {answer['translation_text']}")
    print("…", *translate(texts[0], stream=True, max_new_tokens=20), sep="")


if __name__ == "__main__":
    given, *texts = sys.argv[1:] or [""]
    main(
        pipeline("translation", model=given) if given else taught(),
        texts or ["we like jam and soup", "i like bread and tea"],
    )
