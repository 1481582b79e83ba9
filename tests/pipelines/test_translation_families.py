"""Translation with the tokenizers of the families themselves: how each is told the languages, beside the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from test_text_for_text import SHAPE
from tiny_checkpoints import lively

import samovar
from samovar import pipeline
from samovar.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "text"))
sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))
from sentencepieces import train_model
from test_sentencepiece_families import write_vocabulary
from vocabularies import write_config

TEXTS = ["Съешь же ещё этих мягких французских булок, да выпей чаю.", "low lower newest", "Привет, как дела?"]
# Family → the model's class, the languages as its checkpoints write them, and one that none of them knows.
FAMILIES: dict[str, tuple[str, str, str]] = {
    "MBart": ("MBartForConditionalGeneration", "ru_RU", "en_XX"),
    "MBart50": ("MBartForConditionalGeneration", "ru_RU", "fr_XX"),
    "M2M100": ("M2M100ForConditionalGeneration", "ru", "fr"),
    "Nllb": ("M2M100ForConditionalGeneration", "rus_Cyrl", "fra_Latn"),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The folder of a random model with the family's own files, saved by the reference."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    model = train_model(
        folder, "sentencepiece.bpe.model", **({"model_type": "bpe"} if name in ("M2M100", "Nllb") else {})
    )
    if name == "M2M100":
        write_vocabulary(folder, [model], ["<s>", "<pad>", "</s>", "<unk>"], [])
    write_config(folder, tokenizer_class=f"{name}Tokenizer", src_lang="en_XX" if "MBart" in name else None)
    kind = getattr(transformers, FAMILIES[name][0])
    config = kind.config_class(
        vocab_size=800, decoder_start_token_id=2, pad_token_id=1, eos_token_id=2, bos_token_id=0,
        forced_eos_token_id=None, **SHAPE,
    )  # fmt: skip
    lively(kind(config)).save_pretrained(folder)
    return name, str(folder)


@pytest.mark.slow
def test_texts_and_answers_are_marked_with_their_languages(family: tuple[str, str]) -> None:
    name, folder = family
    kind, source, target = FAMILIES[name]
    # The tokenizers' own parity is held in `tests/parity/test_sentencepiece_families.py`.
    tokenizer = samovar.AutoTokenizer.from_pretrained(folder, src_lang=source)
    assert type(tokenizer).__name__ == f"{name}Tokenizer"
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    start, wanted = tokenizer.get_lang_id(target), []
    for text in TEXTS:
        batch = {key: torch.tensor([ids]) for key, ids in tokenizer(text).items()}
        mark = tokenizer.get_lang_id(source)
        assert mark in batch["input_ids"][0, [0, -1]]
        with torch.no_grad():
            ids = model.generate(**batch, forced_bos_token_id=start, max_new_tokens=10, num_beams=1)
        assert ids[0, 1] == start
        wanted.append({"translation_token_ids": ids[0].tolist()})
    translate = pipeline("translation", model=folder, max_new_tokens=10)
    before = translate.tokenizer.src_lang
    languages: dict[str, Any] = {"src_lang": source, "tgt_lang": target}
    assert translate(TEXTS, return_tensors=True, **languages) == wanted
    found = translate(TEXTS, **languages)
    assert target not in found[0]["translation_text"]
    assert translate.tokenizer.src_lang == before
    # A language's own name is enough where there is one of it; the call leaves the tokenizer as it was.
    assert translate(TEXTS, src_lang=source, tgt_lang=target.split("_")[0]) == found
    with pytest.raises(InputError, match=rf"tgt_lang='tlh' is no language[\s\S]*{target}"):
        translate(TEXTS, src_lang=source, tgt_lang="tlh")
