"""The tasks that write, on real editorials and pages in two languages, beside the reference's models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from test_text_for_text import SHAPE, by_hand
from tiny_checkpoints import lively
from tokenizers import ByteLevelBPETokenizer

from assets import snippets
from samovar import pipeline

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"
SPECIAL = {
    "summarization": {
        "prefix": "summarize: ",
        "max_length": 16,
        "min_length": 5,
        "num_beams": 3,
        "no_repeat_ngram_size": 1,
    },
    "translation_en_to_ru": {"prefix": "translate English to Russian: ", "max_length": 14, "no_repeat_ngram_size": 1},
    "translation_ru_to_en": {"prefix": "переведи на английский: ", "max_length": 14, "no_repeat_ngram_size": 1},
}


def editorials(count: int = 12) -> list[str]:
    """Articles of five sentences each."""
    texts = [text for _, text in snippets("editorials")[: 5 * count]]
    return [" ".join(texts[start : start + 5]) for start in range(0, len(texts), 5)]


def paragraphs(name: str) -> list[str]:
    """The prose of a page, without code and headings."""
    text = re.sub(r"```.*?```", "", (DOCS / name).read_text("utf-8"), flags=re.S)
    found = [" ".join(part.split()) for part in text.split("\n\n")]
    return [part for part in found if len(part) > 80 and not part.startswith(("#", "|"))][:10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BART over a vocabulary of this text."""
    folder = tmp_path_factory.mktemp("writer")
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [*editorials(), *paragraphs("tour.md"), *paragraphs("tour.ru.md")]
    trained.train_from_iterator(texts, vocab_size=900, min_frequency=1, special_tokens=special)
    trained.save_model(str(folder))
    transformers.RobertaTokenizerFast.from_pretrained(str(folder)).save_pretrained(folder)
    config = transformers.BartConfig(
        vocab_size=900, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
        forced_eos_token_id=2, task_specific_params=SPECIAL, **SHAPE,
    )  # fmt: skip
    lively(transformers.BartForConditionalGeneration(config)).save_pretrained(folder)
    return str(folder)


def told(folder: str, texts: list[str], **options: Any) -> list[str]:
    """The reference model's answers, one text at a time, each cut to what the encoder reads."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    answers = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=SHAPE["max_position_embeddings"], return_tensors="pt")
        with torch.no_grad():
            answers.append(tokenizer.decode(model.generate(**batch, **options)[0], skip_special_tokens=True))
    return answers


def test_summaries_of_editorials(folder: str) -> None:
    articles = editorials()
    found = pipeline("summarization", model=folder)(articles)
    options = {name: value for name, value in SPECIAL["summarization"].items() if name != "prefix"}
    wanted = told(folder, [f"summarize: {text}" for text in articles], **options)
    assert [row["summary_text"] for row in found] == wanted
    assert len(set(wanted)) > 6


@pytest.mark.parametrize(
    ("task", "page"), [("translation_en_to_ru", "tour.md"), ("translation_ru_to_en", "tour.ru.md")]
)
def test_translations_of_pages(folder: str, task: str, page: str) -> None:
    texts = paragraphs(page)
    assert len(texts) > 5
    wanted = told(folder, [SPECIAL[task]["prefix"] + text for text in texts], max_length=14, no_repeat_ngram_size=1)
    found = pipeline(task, model=folder)(texts)
    assert [row["translation_text"] for row in found] == wanted
    source, target = task.split("_")[1::2]
    again = pipeline("translation", model=folder)(texts, src_lang=source, tgt_lang=target)
    assert again == found


def test_texts_for_editorials(folder: str) -> None:
    articles = [text[:100] for text in editorials()]
    options = {"max_new_tokens": 10, "no_repeat_ngram_size": 1}
    found = pipeline("text2text-generation", model=folder)(articles, **options)
    ids = by_hand(folder, articles, **options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert [row["generated_text"] for row in found] == [tokenizer.decode(row, skip_special_tokens=True) for row in ids]


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random GPT-2 over a vocabulary of this text, with a template for chats."""
    folder = tmp_path_factory.mktemp("teller")
    trained = ByteLevelBPETokenizer()
    texts = [*editorials(), *paragraphs("tour.ru.md")]
    trained.train_from_iterator(texts, vocab_size=900, min_frequency=1, special_tokens=["<|endoftext|>"])
    trained.save_model(str(folder))
    tokenizer = transformers.GPT2TokenizerFast.from_pretrained(str(folder))
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
    tokenizer.save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=900, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0
    )
    lively(transformers.GPT2LMHeadModel(config)).save_pretrained(folder)
    return str(folder)


OPTIONS: dict[str, Any] = {"do_sample": False, "max_new_tokens": 12}


def test_editorials_and_pages_go_on(teller: str) -> None:
    texts = [text[:200] for text in [*editorials(), *paragraphs("tour.ru.md")]]
    ours, theirs = pipeline("text-generation", model=teller), transformers.pipeline("text-generation", model=teller)
    for full in (True, False):
        found = ours(texts, return_full_text=full, **OPTIONS)
        assert found == [theirs(text, return_full_text=full, **OPTIONS) for text in texts]
    # In pieces it is the same text, whose characters of several bytes are whole.
    for text in (texts[0], texts[-1]):
        pieces = list(ours(text, stream=True, **OPTIONS))
        assert "".join(pieces) == ours(text, return_full_text=False, **OPTIONS)[0]["generated_text"]


def test_a_chat_about_editorials(teller: str) -> None:
    ours, theirs = pipeline("text-generation", model=teller), transformers.pipeline("text-generation", model=teller)
    chats = [
        [{"role": "system", "content": "Будь краток."}, {"role": "user", "content": t[:150]}] for t in editorials()
    ]
    assert ours(chats, **OPTIONS) == [theirs(chat, **OPTIONS) for chat in chats]
