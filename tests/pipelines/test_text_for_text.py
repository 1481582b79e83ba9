"""Text for text, summaries and translations by encoder–decoders, against the reference model's own `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from learned_models import teach, word_tokenizer
from tiny_checkpoints import TEXTS, Build, lively, plain, same, save_byte_pairs

import samovar
from samovar import pipeline
from samovar.errors import ConfigError, InputError, InputTypeError

SHAPE: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "max_position_embeddings": 64,
}  # fmt: skip
FULL = [text for text in TEXTS if text]
BRIEF = {"max_new_tokens": 9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BART, whose decoder starts from the end token."""
    return str(save_bart(tmp_path_factory.mktemp("bart")))


def save_bart(folder: Path, **settings: Any) -> Path:
    tokenizer = save_byte_pairs(folder, "roberta")
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=ids["eos_token_id"], forced_eos_token_id=None,
        **SHAPE, **ids, **settings,
    )  # fmt: skip
    lively(transformers.BartForConditionalGeneration(config)).save_pretrained(folder)
    return folder


def by_hand(folder: str, texts: list[str], **options: Any) -> list[list[int]]:
    """The reference model's ids, one text at a time."""
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        rows = [model.generate(**tokenizer(text, return_tensors="pt"), **options)[0].tolist() for text in texts]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [("text2text-generation", "generated"), ("summarization", "summary"), ("translation", "translation")],
)
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"min_new_tokens": 5, "no_repeat_ngram_size": 2}])
def test_answers_equal_the_reference_model(folder: str, task: str, name: str, options: dict[str, Any]) -> None:
    ours = pipeline(task, model=folder)
    options = BRIEF | options
    ids = by_hand(folder, FULL, **options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    expected = [{f"{name}_text": tokenizer.decode(row, skip_special_tokens=True)} for row in ids]
    assert ours(FULL, **options) == expected
    assert ours(FULL[1], **options) == expected[1:2]
    assert list(ours(iter(FULL), batch_size=2, **options)) == [[row] for row in expected]
    assert ours(FULL, return_tensors=True, **options) == [{f"{name}_token_ids": row} for row in ids]


def test_several_answers_of_each_text(folder: str) -> None:
    ours = pipeline("text2text-generation", model=folder)
    found = ours(FULL, num_beams=4, num_return_sequences=3, **BRIEF)
    assert [len(row) for row in found] == [3] * len(FULL)
    assert found[2] == ours(FULL[2], num_beams=4, num_return_sequences=3, **BRIEF)
    drawn = ours(FULL, do_sample=True, seed=4, **BRIEF)
    assert drawn == [ours(text, do_sample=True, seed=4, **BRIEF)[0] for text in FULL]


def test_the_task_is_inferred_and_streams(folder: str) -> None:
    ours = pipeline(model=folder)
    assert type(ours).__name__ == "Text2TextGenerationPipeline"
    whole = ours(FULL[0], max_new_tokens=20)[0]["generated_text"]
    assert "".join(ours(FULL[0], stream=True, max_new_tokens=20)) == whole


def test_a_text_beyond_the_encoder_is_cut(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    ours = pipeline("summarization", model=folder, **BRIEF)
    long = "the cat and the dog " * 40
    found = ours([long, FULL[0]])
    assert len([one for one in caplog.records if "this model reads 64" in one.getMessage()]) == 1
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(long, truncation=True, max_length=64, return_tensors="pt")
    row = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval().generate(**batch, **BRIEF)[0]
    assert found[0]["summary_text"] == tokenizer.decode(row, skip_special_tokens=True)
    assert ours(long, truncation=True) == found[:1]
    with pytest.raises(InputError, match=r"^Input 0: An input has \d+ tokens; this model reads 64"):
        ours([long], truncation=False)


def test_a_head_beside_another_writes(build: Build) -> None:
    folder = build("gpt2", "GPT2DoubleHeadsModel")
    ours, theirs = pipeline(model=folder, do_sample=False), transformers.pipeline("text-generation", model=folder)
    assert ours("the cat", max_new_tokens=5) == theirs("the cat", max_new_tokens=5, do_sample=False)


def test_lengths_that_look_wrong_are_told_of(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    summarize = pipeline("summarization", model=folder)
    summarize(FULL, max_length=40)
    assert len([one for one in caplog.records if "A summary is shorter than its text" in one.getMessage()]) == 1
    caplog.clear()
    pipeline("translation", model=folder)(FULL, max_length=6)
    assert len([one for one in caplog.records if "it may be cut off" in one.getMessage()]) == 1
    with pytest.raises(ConfigError, match="asks for 30 tokens"):
        summarize(FULL[0], min_length=30, max_length=10)
    found = summarize(FULL[:2], min_length=8, max_length=12, return_tensors=True)
    assert all(8 <= len(row["summary_token_ids"]) <= 12 for row in found)


def test_bad_input(folder: str) -> None:
    ours = pipeline("summarization", model=folder, **BRIEF)
    with pytest.raises(InputTypeError, match=r"^Input 1: Text expected, got NoneType"):
        ours(["cat", None])
    with pytest.raises(InputTypeError, match="Text expected, got dict"):
        ours({"txt": "cat"})
    with pytest.raises(InputError, match="Did you mean 'num_beams'"):
        ours("cat", num_beam=3)
    with pytest.raises(InputError, match="exclude each other"):
        ours("cat", return_tensors=True, return_text=True)
    assert ours("") == ours([""])
    assert ours([]) == []


@pytest.mark.slow
def test_masks_are_filled_by_a_bart(folder: str) -> None:
    ours, theirs = pipeline("fill-mask", model=folder), transformers.pipeline("fill-mask", model=folder, device="cpu")
    masked = ["the <mask> sat on the mat", "anna likes <mask> and <mask>"]
    assert same(ours(masked), [plain(theirs(text)) for text in masked])
    assert same(pipeline("fill-mask", model=ours.model, tokenizer=ours.tokenizer)(masked), ours(masked))
    among = {"targets": ["Ġcat", "Ġdog"]}
    assert same(ours(masked[0], **among), plain(theirs(masked[0], **among)))


# Languages ------------------------------------------------------------------------------------------------------------

SPECIAL = {
    "summarization": {"prefix": "a film: ", "max_length": 12, "min_length": 4, "num_beams": 2},
    "translation_en_to_fr": {"prefix": "in paris: ", "max_length": 10},
    "translation_en_to_ru": {"prefix": "in moscow: ", "max_length": 10},
}


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_bart(tmp_path_factory.mktemp("special"), task_specific_params=SPECIAL))


def test_prefix_and_options_of_the_checkpoint(special: str) -> None:
    ours = pipeline("summarization", model=special)
    expected = by_hand(special, [f"a film: {text}" for text in FULL], max_length=12, min_length=4, num_beams=2)
    assert [row["summary_token_ids"] for row in ours(FULL, return_tensors=True)] == expected
    plain = by_hand(special, FULL, max_new_tokens=7, min_length=4, num_beams=1)
    again = ours(FULL, return_tensors=True, prefix="", num_beams=1, max_new_tokens=7)
    assert [row["summary_token_ids"] for row in again] == plain


def test_languages_by_the_tasks_name_or_by_arguments(special: str) -> None:
    expected = by_hand(special, [f"in paris: {text}" for text in FULL], max_length=10)
    named = pipeline("translation_en_to_fr", model=special)
    assert named.task == "translation_en_to_fr"
    assert [row["translation_token_ids"] for row in named(FULL, return_tensors=True)] == expected
    given = pipeline("translation", model=special, src_lang="en", max_length=10)
    assert [row["translation_token_ids"] for row in given(FULL, tgt_lang="fr", return_tensors=True)] == expected
    with pytest.raises(InputError, match=r"'en' to 'de'[\s\S]*translation_en_to_fr, translation_en_to_ru"):
        given("cat", tgt_lang="de")
    with pytest.raises(samovar.errors.TaskError, match="Unknown task 'translation_en_fr'"):
        pipeline("translation_en_fr", model=special)


def test_languages_that_change_nothing_are_told_of_once(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    translate = pipeline("translation", model=folder, **BRIEF)
    assert translate(FULL, src_lang="en", tgt_lang="ru") == translate(FULL) == translate(FULL, tgt_lang="fr")
    pipeline("translation_en_to_ru", model=folder, **BRIEF)(FULL[0])
    assert len([one for one in caplog.records if "one pair of languages" in one.getMessage()]) == 1


def coded(folder: str, *codes: str) -> Any:
    """The tokenizer of a folder with tokens for languages, and a model that has words for them."""
    tokenizer = samovar.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(codes)})
    torch.manual_seed(0)
    config = samovar.AutoConfig.from_pretrained(folder, vocab_size=len(tokenizer))
    model = samovar.AutoModelForSeq2SeqLM.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval(), tokenizer


@pytest.mark.parametrize(
    ("codes", "asked", "token"),
    [
        (("en_XX", "fr_XX", "ru_RU"), "ru_RU", "ru_RU"),
        (("en_XX", "fr_XX", "ru_RU"), "fr", "fr_XX"),
        (("__en__", "__fr__", "__ru__"), "ru", "__ru__"),
        (("eng_Latn", "fra_Latn", "rus_Cyrl"), "rus_Cyrl", "rus_Cyrl"),
    ],
)
def test_the_answer_begins_with_the_languages_token(folder: str, codes: Any, asked: str, token: str) -> None:
    model, tokenizer = coded(folder, *codes)
    translate = pipeline("translation", model=model, tokenizer=tokenizer, **BRIEF)
    found = translate(FULL, tgt_lang=asked, return_tensors=True)
    wanted = tokenizer.convert_tokens_to_ids(token)
    assert {row["translation_token_ids"][1] for row in found} == {wanted}
    batch = tokenizer(FULL[1], return_tensors="pt")
    ids = model.generate(**batch, forced_bos_token_id=wanted, **BRIEF)[0].tolist()
    assert found[1]["translation_token_ids"] == ids
    assert token not in translate(FULL[0], tgt_lang=asked)[0]["translation_text"]


def test_an_unknown_language_is_an_error_with_the_list(folder: str) -> None:
    model, tokenizer = coded(folder, "en_XX", "fr_XX", "ru_RU")
    translate = pipeline("translation", model=model, tokenizer=tokenizer)
    with pytest.raises(InputError, match=r"tgt_lang='xx_XX' is no language[\s\S]*It knows: en_XX, fr_XX, ru_RU"):
        translate("cat", tgt_lang="xx_XX")
    with pytest.raises(InputError, match=r"src_lang='fr_FR'[\s\S]*Did you mean 'fr_XX'"):
        translate("cat", src_lang="fr_FR", tgt_lang="ru_RU")


class Marking(samovar.PreTrainedTokenizerFast):
    """A tokenizer that puts its language's token before each text."""

    src_lang = "en_XX"

    def __call__(self, text: Any = None, *more: Any, **options: Any) -> Any:  # type: ignore[override]
        texts = [text] if isinstance(text, str) else text
        return super().__call__([self.src_lang + one for one in texts], *more, **options)


def test_the_text_is_marked_with_its_language(folder: str) -> None:
    model, tokenizer = coded(folder, "en_XX", "fr_XX", "ru_RU")
    marking = Marking(tokenizer_object=tokenizer.rust, **tokenizer.special_tokens_map)
    translate = pipeline("translation", model=model, tokenizer=marking, return_tensors=True, **BRIEF)
    found = translate(FULL, src_lang="fr_XX", tgt_lang="ru_RU")
    ids = tokenizer("fr_XX" + FULL[0], return_tensors="pt")
    assert (
        found[0]["translation_token_ids"]
        == model.generate(**ids, forced_bos_token_id=len(tokenizer) - 1, **BRIEF)[0].tolist()
    )
    assert marking.src_lang == "en_XX"


WORDS = {"i": "ya", "like": "lyublyu", "tea": "chai", "and": "i", "soup": "sup", "bread": "khleb", "you": "ty"}


@pytest.mark.slow
def test_a_trained_model_translates_words() -> None:
    nouns = ["tea", "soup", "bread"]
    lines = [f"{who} like {one} and {other}" for who in ("i", "you") for one in nouns for other in nouns]
    answers = [" ".join(WORDS[word] for word in line.split()) for line in lines]
    tokenizer = word_tokenizer([*lines, *answers])
    config = samovar.BartConfig(
        vocab_size=len(tokenizer), pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
        forced_eos_token_id=None, **SHAPE,
    )  # fmt: skip
    model = samovar.AutoModelForSeq2SeqLM.from_config(config)
    goal = torch.tensor([[*row, 3] for row in tokenizer(answers)["input_ids"]])
    assert teach(model, [{**tokenizer(lines, return_tensors="pt"), "labels": goal}], 250, 5e-3) < 0.1
    translate = pipeline("translation_en_to_ru", model=model, tokenizer=tokenizer)
    assert [row["translation_text"] for row in translate(lines)] == answers
