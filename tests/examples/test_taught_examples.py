"""The examples that teach a tiny model first print what it was taught, and what follows from that."""

from __future__ import annotations

import re

import pytest
from test_examples import printed

pytestmark = pytest.mark.slow


def test_sentences_are_translated_one_of_them_never_seen() -> None:
    assert printed("examples/translate.py") == [
        "we like jam and soup  →  мы любим варенье и суп",
        "i like bread and tea  →  я люблю хлеб и чай",
        "…мы любим варенье и суп",
    ]


def test_questions_to_a_text_longer_than_the_model_reads() -> None:
    where, how, why = printed("examples/questions.py")
    assert re.match(r"where was she \?  kazan  \(characters \d+–\d+, [01]\.\d\d\)", where)
    assert how.startswith("how was she ?  tired  (characters")
    assert why.startswith("why was she ?  —  (no answer in this text")


def test_questions_to_a_table() -> None:
    assert [line.rpartition("?  ")[2] for line in printed("examples/tables.py")] == [
        "green, black, white",
        "7",
        "SUM > 12, 7, 25",
        "COUNT > green, white",
    ]


def test_labels_that_are_given_with_the_text() -> None:
    lines = printed("examples/labels.py")
    assert [re.match(r"i like \w+: (\w+)", line)[1] for line in lines] == ["animals", "music", "food"]


def test_a_chat_and_many_requests() -> None:
    first, *answers = printed("examples/chat_and_serve.py")
    assert first == "where is the tea ?  →  in the samovar , which stands on the table ."
    # The shortest is ready first.
    assert [line.strip() for line in answers] == [
        "3 tokens  who drank it ?  →  nobody .",
        "4 tokens  где чай ?  →  в самоваре .",
        "11 tokens  where is the tea ?  →  in the samovar , which stands on the table .",
    ]
