"""Families with SentencePiece files give what the reference gives, from its files and from ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

import samovar
from samovar.errors import CorruptFileError, InputError, TokenizerError

sys.path.insert(0, str(Path(__file__).parents[1] / "text"))
from sentencepieces import HARD, train_model
from vocabularies import write_bpe, write_config

# What every cut of the field agrees on: the reference's own normalisers are not those of the models for the rest.
PLAIN = [
    "Hello world, this isn't unaffordable!",
    "Привет, как дела? Ёлка и йод.",
    "你好 世界 漢字 text",
    "low lower newest 👩‍👩‍👧‍👦 family",
    "two  spaces and more",
    "",
]
FAIRSEQ: dict[str, Any] = {}
BRACKETS = {"pad_id": 0, "pad_piece": "[PAD]", "bos_id": 1, "bos_piece": "[CLS]", "eos_id": 2, "eos_piece": "[SEP]"}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "bos_piece": "[CLS]", "eos_id": 3, "eos_piece": "[SEP]"}
BYTES = {"model_type": "bpe", "byte_fallback": True, "vocab_size": 600, "normalization_rule_name": "identity"}
FAMILIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "T5": ("spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}, {"extra_ids": 100}),
    "MT5": ("spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}, {"extra_ids": 100}),
    "Albert": ("spiece.model", {**ALBERT, "control_symbols": ["[MASK]"]}, {"do_lower_case": True}),
    "XLNet": ("spiece.model", {"control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]}, {}),
    "XLMRoberta": ("sentencepiece.bpe.model", FAIRSEQ, {}),
    "Camembert": ("sentencepiece.bpe.model", FAIRSEQ, {}),
    "MBart": ("sentencepiece.bpe.model", FAIRSEQ, {"src_lang": "ru_RU", "tgt_lang": "de_DE"}),
    "MBart50": ("sentencepiece.bpe.model", FAIRSEQ, {"src_lang": "ru_RU", "tgt_lang": "de_DE"}),
    "DebertaV2": ("spm.model", {**BRACKETS, "unk_id": 3, "unk_piece": "[UNK]"}, {"do_lower_case": False}),
    "Llama": ("tokenizer.model", {**BYTES, "remove_extra_whitespaces": False}, {"add_bos_token": True}),
}


def make(name: str, folder: Path) -> Path:
    file, options, settings = FAMILIES[name]
    train_model(folder, file, **options)
    return write_config(folder, tokenizer_class=f"{name}Tokenizer", **settings)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """Ours and the reference's, from the same slow files."""
    folder = make(request.param, tmp_path_factory.mktemp(request.param))
    kind = "T5" if request.param == "MT5" else request.param
    reference = getattr(transformers, f"{kind}Tokenizer").from_pretrained(folder)
    return request.param, samovar.AutoTokenizer.from_pretrained(folder), reference


def test_model_files_encode_as_in_the_reference(family: tuple[str, Any, Any]) -> None:
    name, ours, reference = family
    assert type(ours).__name__ == f"{name}Tokenizer"
    for text in PLAIN:
        assert ours(text)["input_ids"] == reference(text)["input_ids"], text
        ids = ours(text)["input_ids"]
        assert ours.decode(ids, skip_special_tokens=True) == reference.decode(ids, skip_special_tokens=True), text
    assert ours("low lower", "newest")["input_ids"] == reference("low lower", "newest")["input_ids"]
    if ours.pad_token:
        for key in ("input_ids", "attention_mask"):
            assert ours(PLAIN, padding=True)[key] == reference(PLAIN, padding=True)[key]
    if "token_type_ids" in ours.model_input_names:
        assert ours("a b", "c")["token_type_ids"] == reference("a b", "c", return_token_type_ids=True)["token_type_ids"]


# Families whose first tokenizer was SentencePiece alone; the others change the text before, as the reference does.
AS_SENTENCEPIECE = {"T5", "MT5", "XLMRoberta", "Camembert", "MBart", "MBart50", "DebertaV2"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """SentencePiece's own processors of the families' files."""
    import sentencepiece

    folders = {name: make(name, tmp_path_factory.mktemp(f"model-{name}")) for name in FAMILIES}
    return {
        name: sentencepiece.SentencePieceProcessor(model_file=str(folder / FAMILIES[name][0]))
        for name, folder in folders.items()
    }


@pytest.mark.slow
def test_hard_texts_are_cut_as_by_sentencepiece_or_by_the_reference(
    family: tuple[str, Any, Any], models: dict[str, Any]
) -> None:
    """Control characters, emoji with joiners, many scripts, 100 kB without a space."""
    name, ours, reference = family
    theirs = models[name]
    for text in HARD:
        ids = ours(text, add_special_tokens=False, verbose=False)["input_ids"]
        found = ours.convert_ids_to_tokens(ids)
        cut = [ours.unk_token if i == theirs.unk_id() else theirs.id_to_piece(i) for i in theirs.encode(text)]
        if len(set(text)) == 1 and len(text) > 1:
            # Cuts of one score: which comes out is rounding.
            assert sorted(found) == sorted(cut)
        elif name in AS_SENTENCEPIECE:
            assert found == cut, text[:60]
        else:
            known = reference.convert_ids_to_tokens(reference(text, add_special_tokens=False, verbose=False).input_ids)
            assert found in (known, cut), text[:60]


def test_vocabularies_and_special_tokens_are_the_references(family: tuple[str, Any, Any]) -> None:
    _, ours, reference = family
    assert ours.get_vocab() == reference.get_vocab()
    assert ours.padding_side == reference.padding_side
    for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        assert getattr(ours, f"{role}_token_id") == getattr(reference, f"{role}_token_id"), role
    if ours.mask_token:
        text = f"low {ours.mask_token} lower"
        assert ours(text)["input_ids"] == reference(text)["input_ids"]


def test_saved_files_are_read_both_ways(family: tuple[str, Any, Any], tmp_path: Path) -> None:
    name, ours, reference = family
    ours.save_pretrained(tmp_path / "ours")
    reference.save_pretrained(tmp_path / "theirs")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    again = samovar.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    same = samovar.AutoTokenizer.from_pretrained(tmp_path / "ours")
    # A file names the reference's class, which is T5's for mT5 too.
    assert type(again).__name__ in (f"{name}Tokenizer", type(reference).__name__)
    assert type(same).__name__ == f"{name}Tokenizer"
    for text in PLAIN:
        expected = ours(text)["input_ids"]
        assert theirs(text)["input_ids"] == expected
        assert again(text)["input_ids"] == expected
        assert same(text)["input_ids"] == expected


@pytest.mark.parametrize("name", ["MBart", "MBart50"])
def test_languages_mark_texts_as_in_the_reference(name: str, tmp_path: Path) -> None:
    folder = make(name, tmp_path)
    ours = samovar.AutoTokenizer.from_pretrained(folder)
    reference = getattr(transformers, f"{name}Tokenizer").from_pretrained(folder)
    assert ours.lang_code_to_id == reference.lang_code_to_id
    check_languages(ours, reference, "fr_XX", "de_DE")


def check_languages(ours: Any, reference: Any, source: str, target: str) -> None:
    text, answer = "low lower", "newest wide"
    for tokenizer in (ours, reference):
        tokenizer.src_lang, tokenizer.tgt_lang = source, target
    assert ours(text)["input_ids"] == reference(text)["input_ids"]
    assert ours(text_target=answer)["input_ids"] == reference(text_target=answer)["input_ids"]
    assert ours(text, text_target=answer)["labels"] == reference(text, text_target=answer)["labels"]
    assert ours(text)["input_ids"] == reference(text)["input_ids"]
    ours.set_tgt_lang_special_tokens(target)
    assert ours(text)["input_ids"] == reference(text)["input_ids"]
    for set_language in (lambda: setattr(ours, "src_lang", "xx"), lambda: setattr(ours, "tgt_lang", "xx")):
        with pytest.raises(InputError, match=f"(?s)'xx' is no language.*{source}") as caught:
            set_language()
        assert source in str(caught.value)
        assert target in str(caught.value)


def write_vocabulary(folder: Path, models: list[Path], special: list[str], last: list[str]) -> None:
    import sentencepiece

    found = dict.fromkeys(special)
    for path in models:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        found |= dict.fromkeys(pieces.id_to_piece(index) for index in range(pieces.get_piece_size()))
    kept = [token for token in found if token in special or token not in ("<s>", "</s>", "<unk>")]
    names = {token: index for index, token in enumerate([*kept, *last])}
    (folder / "vocab.json").write_text(json.dumps(names), "utf-8")


@pytest.fixture(scope="module")
def m2m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("m2m")
    model = train_model(folder, "sentencepiece.bpe.model", model_type="bpe")
    write_vocabulary(folder, [model], ["<s>", "<pad>", "</s>", "<unk>"], [])
    return write_config(folder, tokenizer_class="M2M100Tokenizer", src_lang="ru")


def test_m2m100_is_the_references(m2m: Path, tmp_path: Path) -> None:
    ours, reference = samovar.AutoTokenizer.from_pretrained(m2m), transformers.M2M100Tokenizer.from_pretrained(m2m)
    for text in HARD:
        assert ours(text)["input_ids"] == reference(text)["input_ids"], text[:60]
    assert ours.get_lang_id("fr") == reference.get_lang_id("fr")
    assert ours.lang_code_to_id == reference.lang_code_to_id
    assert ours.lang_token_to_id == reference.lang_token_to_id
    check_languages(ours, reference, "en", "de")
    ours.save_pretrained(tmp_path / "ours")
    reference.save_pretrained(tmp_path / "theirs")
    theirs = transformers.M2M100Tokenizer.from_pretrained(tmp_path / "ours")
    again = samovar.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    for text in PLAIN:
        ids = ours(text)["input_ids"]
        assert theirs(text)["input_ids"] == ids
        again.src_lang = ours.src_lang
        assert again(text)["input_ids"] == ids


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian")
    source = train_model(folder, "source.spm", vocab_size=220)
    target = train_model(folder, "target.spm", vocab_size=330)
    write_vocabulary(folder, [source, target], ["</s>", "<unk>"], [">>fra<<", ">>deu<<", "<pad>"])
    return write_config(folder, tokenizer_class="MarianTokenizer", source_lang="en", target_lang="fr")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended")
def test_marian_is_the_references(marian: Path, tmp_path: Path) -> None:
    ours, reference = (
        samovar.AutoTokenizer.from_pretrained(marian),
        transformers.MarianTokenizer.from_pretrained(marian),
    )
    texts = [text for text in HARD if "aaaa" not in text]
    for text in [*texts, ">>fra<< low lower", ">>deu<<newest"]:
        assert ours(text)["input_ids"] == reference(text)["input_ids"], text
    for text in texts:
        target = ours(text_target=text)["input_ids"]
        assert target == reference(text_target=text)["input_ids"], text
        assert ours.decode(target, skip_special_tokens=True) == reference.decode(target, skip_special_tokens=True)
        assert ours.convert_ids_to_tokens(target) == reference.convert_ids_to_tokens(target)
    assert ours.get_vocab() == reference.get_vocab()
    assert ours.supported_language_codes == [">>fra<<", ">>deu<<"]
    assert ours("low", text_target="newest")["labels"] == reference("low", text_target="newest")["labels"]
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.MarianTokenizer.from_pretrained(tmp_path / "ours")
    again = samovar.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in texts:
        assert theirs(text)["input_ids"] == again(text)["input_ids"] == ours(text)["input_ids"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended")
def test_marian_with_a_vocabulary_for_each_side(tmp_path: Path) -> None:
    folder, special = tmp_path / "files", ["</s>", "<unk>"]
    for side, name, kind in (("target", "target_vocab.json", "bpe"), ("source", "vocab.json", "unigram")):
        model = train_model(folder, f"{side}.spm", model_type=kind)
        write_vocabulary(folder, [model], special, ["<pad>"])
        (folder / "vocab.json").rename(folder / name)
    write_config(folder, tokenizer_class="MarianTokenizer", source_lang="en", target_lang="fr", separate_vocabs=True)
    paths = {"source_spm": "source.spm", "target_spm": "target.spm", "vocab": "vocab.json"}
    paths |= {"target_vocab_file": "target_vocab.json"}
    given = {argument: str(folder / name) for argument, name in paths.items()}
    reference = transformers.MarianTokenizer(**given, separate_vocabs=True)
    ours = samovar.AutoTokenizer.from_pretrained(folder)
    assert ours.get_vocab() == json.loads((folder / "vocab.json").read_text("utf-8"))
    # The reference reads an id of the target as the source's <pad> where the numbers meet, so the file itself is asked.
    names = {index: token for token, index in json.loads((folder / "target_vocab.json").read_text("utf-8")).items()}
    different = 0
    for text in (text for text in HARD if "aaaa" not in text):
        source, target = ours(text)["input_ids"], ours(text_target=text)["input_ids"]
        assert source == reference(text)["input_ids"]
        assert target == reference(text_target=text)["input_ids"]
        assert ours(text, text_target=text)["labels"] == target
        assert ours.convert_ids_to_tokens(target) == [names[index] for index in target]
        written = "".join(names[index] for index in target if names[index] not in ("</s>", "<unk>", "<pad>"))
        assert ours.decode(target, skip_special_tokens=True) == written.replace("▁", " ").strip()
        different += source != target
    assert different > 10
    # Padding of a target is the target's own.
    rows = ours(text_target=["low", "low lower newest"], padding=True)["input_ids"]
    assert rows[0][-1] == json.loads((folder / "target_vocab.json").read_text("utf-8"))["<pad>"]
    ours.save_pretrained(tmp_path / "saved")
    again = samovar.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("low", text_target="newest")["labels"] == ours("low", text_target="newest")["labels"]
    (folder / "target_vocab.json").unlink()
    with pytest.raises(TokenizerError, match=r"separate_vocabs=True without a target_vocab\.json"):
        samovar.AutoTokenizer.from_pretrained(folder)


def test_files_of_different_checkpoints_are_refused(marian: Path, m2m: Path, tmp_path: Path) -> None:
    for path in marian.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "vocab.json").write_text(json.dumps({"</s>": 0, "<unk>": 1, "other": 2, "<pad>": 3}))
    with pytest.raises(TokenizerError, match="contradict each other"):
        samovar.AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"</s>": 0, "<unk>": 1, "other": 1}))
    with pytest.raises(TokenizerError, match="one id"):
        samovar.AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"</s>": 0, "<unk>": 5}))
    with pytest.raises(TokenizerError, match="no token of the id 1"):
        samovar.AutoTokenizer.from_pretrained(tmp_path)


def test_merges_and_settings_that_contradict_the_vocabulary_are_refused(tmp_path: Path) -> None:
    write_bpe(tmp_path)
    good = (tmp_path / "merges.txt").read_text("utf-8")
    (tmp_path / "merges.txt").write_text(f"{good}\nzzq qqz\n", "utf-8")
    with pytest.raises(TokenizerError, match="contradict each other"):
        samovar.GPT2Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "merges.txt").write_text(good, "utf-8")
    entry = {"content": "<x>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}
    write_config(tmp_path, tokenizer_class="GPT2Tokenizer", added_tokens_decoder={"3": entry})
    with pytest.raises(TokenizerError, match=r"'<x>' the id 3"):
        samovar.AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "tokenizer.model"])
def test_pointers_are_named(name: str, tmp_path: Path) -> None:
    write_bpe(tmp_path)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")
    kind = samovar.LlamaTokenizer if name == "tokenizer.model" else samovar.GPT2Tokenizer
    with pytest.raises(CorruptFileError, match=rf"{name} is a pointer"):
        kind.from_pretrained(tmp_path)


def test_a_model_without_a_family_is_read_as_it_is(tmp_path: Path) -> None:
    import sentencepiece

    path = train_model(tmp_path, "tokenizer.model", **BYTES)
    theirs, ours = (
        sentencepiece.SentencePieceProcessor(model_file=str(path)),
        samovar.AutoTokenizer.from_pretrained(tmp_path),
    )
    assert len(ours) == theirs.get_piece_size()
    for text in HARD:
        assert ours(text)["input_ids"] == theirs.encode(text)
    assert (ours.bos_token_id, ours.eos_token_id, ours.unk_token_id) == (1, 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Gemma", "Pegasus", "Nllb"])
def test_families_whose_files_the_reference_reads_otherwise(kind: str, tmp_path: Path) -> None:
    import sentencepiece

    ends = {"pad_id": 0, "eos_id": 1}
    options: dict[str, dict[str, Any]] = {
        "Gemma": {**BYTES, **ends, "bos_id": 2, "unk_id": 3, "bos_piece": "<bos>", "eos_piece": "<eos>"},
        "Pegasus": {**ends, "bos_id": -1, "unk_id": 2},
        "Nllb": {"model_type": "bpe"},
    }
    extra = {"add_dummy_prefix": False, "remove_extra_whitespaces": False} if kind == "Gemma" else {}
    tokenizer = getattr(samovar, f"{kind}Tokenizer")
    path = train_model(tmp_path, tokenizer.vocab_files_names["vocab_file"], **options[kind], **extra)
    theirs, ours = sentencepiece.SentencePieceProcessor(model_file=str(path)), tokenizer.from_pretrained(tmp_path)
    moved = {"Gemma": 0, "Pegasus": 103, "Nllb": 1}[kind]
    front = {"Gemma": ["<bos>"], "Pegasus": [], "Nllb": ["eng_Latn"]}[kind]
    behind = {"Gemma": [], "Pegasus": ["</s>"], "Nllb": ["</s>"]}[kind]
    for text in [*PLAIN, *(hard for hard in HARD if "aaaa" not in hard)]:
        unknown = ours.unk_token_id
        ids = [unknown if index == theirs.unk_id() else index + moved for index in theirs.encode(text)]
        expected = [*ours.convert_tokens_to_ids(front), *ids, *ours.convert_tokens_to_ids(behind)]
        assert ours(text)["input_ids"] == expected, text
    if kind == "Pegasus":
        assert [ours.convert_ids_to_tokens(i) for i in (0, 1, 2, 3, 4, 105)] == [
            *("<pad>", "</s>", "<mask_1>", "<mask_2>", "<unk_2>", "<unk>")
        ]
    if kind == "Nllb":
        assert len(ours) == theirs.get_piece_size() + 1 + len(ours.lang_code_to_id) + 1
        assert ours.mask_token_id == len(ours) - 1


@pytest.mark.slow
def test_new_vocabularies_keep_the_rules_of_the_family(family: tuple[str, Any, Any]) -> None:
    name, ours, _ = family
    # Of the longest text its beginning: learning merges within one word of 100 kB takes most of a minute.
    texts = [text[:2000] for text in (*PLAIN, *HARD)]
    mine = ours.train_new_from_iterator(texts * 3, 700, show_progress=False)
    assert type(mine) is type(ours)
    assert mine.special_tokens_map == ours.special_tokens_map
    specials = set(ours.all_special_tokens) | {token.content for token in ours.added_tokens_decoder.values()}
    ends = [token for token in ours.convert_ids_to_tokens(ours("low")["input_ids"]) if token in specials]
    assert [t for t in mine.convert_ids_to_tokens(mine("low")["input_ids"]) if t in specials] == ends
    assert mine.decode(mine("low lower")["input_ids"], skip_special_tokens=True).strip() == "low lower"
    if name == "Llama":
        # A letter that was in no text is spelt by its bytes.
        assert mine.decode(mine("ꙮ")["input_ids"], skip_special_tokens=True) == "ꙮ"
        assert len(mine) <= 700
