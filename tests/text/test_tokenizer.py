"""The tokenizer's own promises: clear errors, no state between calls, files written whole, threads and copies."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from vocabularies import TEXTS, write_bpe, write_config, write_unigram, write_wordpiece

from samovar import AutoTokenizer, BertTokenizer, GPT2Tokenizer, Tokenizer
from samovar.errors import CorruptFileError, InputError, InputTypeError, TokenizerError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_wordpiece(tmp_path_factory.mktemp("bert"))
    return write_config(path, tokenizer_class="BertTokenizer", model_max_length=32, my_key={"kept": [1, 2]})


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("value", [None, 42, 3.5, b"bytes", {"a": 1}, object()], ids=lambda v: type(v).__name__)
def test_what_is_no_text_is_named(tokenizer: Tokenizer, value: object) -> None:
    with pytest.raises(InputTypeError, match=type(value).__name__ if value is not None else "None"):
        tokenizer(value)
    with pytest.raises(InputTypeError, match="at index 1"):
        tokenizer(["good", value])


def test_empty_inputs(tokenizer: Tokenizer) -> None:
    assert tokenizer([])["input_ids"] == []
    assert tokenizer("").tokens() == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncation": True, "max_length": 1}, "2 special tokens"),
        ({"truncation": True, "max_length": 8, "stride": 6}, "stride=6"),
        ({"truncation": "only_second", "max_length": 8}, "no second text"),
        ({"truncation": "sideways"}, "sideways"),
        ({"padding": "sideways"}, "sideways"),
        ({"return_tensors": "jax"}, "jax"),
    ],
    ids=str,
)
def test_contradictory_options_are_refused(tokenizer: Tokenizer, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tokenizer("hello world", **options)


def test_ragged_rows_are_no_tensor(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="padding=True"):
        tokenizer(["hello", "hello world tokens"], return_tensors="np")


def test_padding_needs_a_padding_token(tmp_path: Path) -> None:
    write_bpe(tmp_path)
    gpt2 = GPT2Tokenizer(tmp_path / "vocab.json", tmp_path / "merges.txt")
    with pytest.raises(InputError, match="no padding token"):
        gpt2(["a", "b c"], padding=True)
    with pytest.raises(InputError, match="no padding token"):
        gpt2.pad([{"input_ids": [1]}, {"input_ids": [1, 2]}])
    gpt2.pad_token = gpt2.eos_token
    assert gpt2(["a", "b c"], padding=True, return_tensors="np")["input_ids"].shape[0] == 2


def test_a_call_leaves_no_trace_in_the_next(tokenizer: Tokenizer) -> None:
    plain = tokenizer("hello world tokens")["input_ids"]
    assert len(tokenizer("hello world tokens", truncation=True, max_length=3)["input_ids"]) == 3
    assert len(tokenizer("hello", padding="max_length", max_length=20, truncation=True)["input_ids"]) == 20
    assert tokenizer("hello world tokens")["input_ids"] == plain
    assert "max_length" not in tokenizer.to_json() or json.loads(tokenizer.to_json())["truncation"] is None


def test_threads_do_not_disturb_each_other(tokenizer: Tokenizer) -> None:
    options = [
        {},
        {"truncation": True, "max_length": 5},
        {"padding": "max_length", "max_length": 30, "truncation": True},
    ]
    expected = [tokenizer(TEXTS, verbose=False, **o)["input_ids"] for o in options]
    wrong: list[int] = []

    def work(kind: int) -> None:
        for _ in range(30):
            if tokenizer(TEXTS, verbose=False, **options[kind])["input_ids"] != expected[kind]:
                wrong.append(kind)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in (0, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_copies_and_pickles_work(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens(["newword"])
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other("newword hello")["input_ids"] == tokenizer("newword hello")["input_ids"]
        assert other.special_tokens_map == tokenizer.special_tokens_map
    encoded = tokenizer("hello world")
    assert pickle.loads(pickle.dumps(encoded)).word_ids() == encoded.word_ids()


def test_a_long_text_is_warned_of_once(tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tokenizer("hello " * 50)
        tokenizer("hello " * 60)
    assert [record.getMessage() for record in caplog.records] == [
        "A text has 52 tokens, more than the 32 that the model reads; pass truncation=True."
    ]


def test_special_tokens_can_be_set(tokenizer: Tokenizer) -> None:
    assert tokenizer.mask_token_id == tokenizer.convert_tokens_to_ids("[MASK]")
    before = len(tokenizer)
    assert tokenizer.add_special_tokens({"bos_token": "<start>", "additional_special_tokens": ["<a>", "<b>"]}) == 3
    assert len(tokenizer) == before + 3
    assert tokenizer.tokenize("x <a> <start>") == ["x", "<a>", "<start>"]
    assert tokenizer.decode(tokenizer("x <a>")["input_ids"], skip_special_tokens=True) == "x"
    assert tokenizer.bos_token == "<start>"
    tokenizer.bos_token = None
    assert tokenizer.bos_token_id is None


def test_hand_made_ids_get_special_tokens(tokenizer: Tokenizer) -> None:
    one, other = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("hello world", "family"))
    assert tokenizer.build_inputs_with_special_tokens(one) == tokenizer("hello world")["input_ids"]
    assert tokenizer.build_inputs_with_special_tokens(one, other) == tokenizer("hello world", "family")["input_ids"]
    assert tokenizer.get_special_tokens_mask(tokenizer("hello")["input_ids"]) == [1, 0, 1]


def test_unknown_settings_are_kept_and_written_back(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["my_key"] == {"kept": [1, 2]}
    assert AutoTokenizer.from_pretrained(tmp_path).settings["my_key"] == {"kept": [1, 2]}


def test_a_json_files_own_batch_settings_do_not_stay(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    content["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    assert len(AutoTokenizer.from_pretrained(tmp_path)("hello world tokens family")["input_ids"]) == 6


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(CorruptFileError, match="SentencePiece"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{]")
    with pytest.raises(CorruptFileError, match=r"tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("")
    with pytest.raises(TokenizerError, match="holds no token"):
        BertTokenizer(tmp_path / "vocab.txt")
    with pytest.raises(TokenizerError, match=r"vocab\.txt"):
        BertTokenizer()


def test_old_forms_of_settings_load(tmp_path: Path) -> None:
    write_config(
        write_wordpiece(tmp_path),
        tokenizer_class="BertTokenizerFast",
        max_len=48,
        model_max_length=None,
        mask_token={"__type": "AddedToken", "content": "[MASK]", "lstrip": True, "rstrip": False},
        added_tokens_decoder={"1000": {"content": "<extra>", "special": True, "lstrip": False}},
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 48
    assert tokenizer.special["mask_token"].lstrip
    assert tokenizer.tokenize("a <extra> b") == ["a", "<extra>", "b"]


def test_the_models_type_names_the_tokenizer(tmp_path: Path) -> None:
    write_unigram(tmp_path, "albert")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "albert"}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer).__name__ == "AlbertTokenizer"
    assert tokenizer.cls_token == "[CLS]"
    assert tokenizer.pad_token_id == 1


def test_numpy_and_torch_hold_the_same(tokenizer: Tokenizer) -> None:
    arrays = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="np")
    tensors = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt").to("cpu")
    for name, array in arrays.items():
        assert array.dtype == np.int64
        np.testing.assert_array_equal(array, tensors[name].numpy())
    assert arrays.input_ids is arrays["input_ids"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = arrays.nothing


def test_each_family_has_its_name_of_old() -> None:
    import samovar
    from samovar.text.families import TOKENIZERS

    names = [name for name in TOKENIZERS if name not in ("TokenizersBackend", "PreTrainedTokenizer")]
    assert {"T5TokenizerFast", "BertTokenizerFast", "MarianTokenizer", "MBart50TokenizerFast"} <= set(names)
    for name in names:
        assert getattr(samovar, name) is TOKENIZERS[name], name
