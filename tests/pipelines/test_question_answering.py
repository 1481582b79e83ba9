"""Question answering against answers found by trying every span with the reference library's model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from tiny_checkpoints import Build

from samovar import pipeline
from samovar.errors import InputError, InputTypeError

QUESTION = "who likes paris?"
CONTEXT = "anna likes moscow and paris, jean was not playing it"


@pytest.fixture(scope="module")
def folder(build: Build) -> str:
    return build("bert", "BertForQuestionAnswering")


def every_span(folder: str, question: str, context: str, longest: int = 15) -> list[dict[str, Any]]:
    """All answers in one part, best first."""
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoding = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoding.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        output = model(**encoding)
    parts = encoding.sequence_ids(0)
    allowed = torch.tensor([part == 1 or index == 0 for index, part in enumerate(parts)])
    start = output.start_logits[0].masked_fill(~allowed, -1e9).softmax(-1)
    end = output.end_logits[0].masked_fill(~allowed, -1e9).softmax(-1)
    found = []
    for first in range(len(parts)):
        for last in range(first, min(first + longest, len(parts))):
            if parts[first] == parts[last] == 1:
                a, b = offsets[first][0], offsets[last][1]
                found.append({"score": float(start[first] * end[last]), "start": a, "end": b, "answer": context[a:b]})
    return sorted(found, key=lambda answer: -answer["score"])


def close(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return list(ours) == list(theirs) and ours == {**theirs, "score": pytest.approx(theirs["score"], abs=1e-5)}


@pytest.mark.parametrize("longest", [1, 3, 15])
def test_the_best_spans_are_found(folder: str, longest: int) -> None:
    answer = pipeline("question-answering", model=folder)
    expected = every_span(folder, QUESTION, CONTEXT, longest)
    assert close(answer(question=QUESTION, context=CONTEXT, max_answer_len=longest), expected[0])
    best = answer({"question": QUESTION, "context": CONTEXT}, top_k=4, max_answer_len=longest)
    assert all(map(close, best, expected[:4]))
    assert len(best) == 4
    assert type(best[0]["score"]) is float


def test_another_tokenizer_by_name(folder: str, build: Build) -> None:
    other = pipeline(task="question-answering", model=folder, tokenizer=build("bert", "BertForMaskedLM"))
    assert close(other(question=QUESTION, context=CONTEXT), every_span(folder, QUESTION, CONTEXT)[0])


def test_lists_and_streams(folder: str) -> None:
    answer = pipeline(model=folder)
    pairs = [(QUESTION, CONTEXT), ("where?", "the cat sat on the mat in moscow"), ("a dog?", CONTEXT)]
    expected = [every_span(folder, *pair)[0] for pair in pairs]
    questions, contexts = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert all(map(close, answer(question=questions, context=contexts), expected))
    rows = [{"question": question, "context": context, "id": 3} for question, context in pairs]
    assert all(map(close, answer(iter(rows)), expected))
    shared = answer(question=[QUESTION, "a dog?"], context=CONTEXT)
    assert all(map(close, shared, [expected[0], expected[2]]))


def test_a_long_context_is_read_in_parts(folder: str) -> None:
    answer = pipeline(model=folder)
    long = "the film was bad and the cat sat. " * 6 + CONTEXT + " and a dog." * 20
    found = answer(question=QUESTION, context=long, top_k=30, doc_stride=10)
    assert [row["answer"] for row in found] == [long[row["start"] : row["end"]] for row in found]
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
    assert len({(row["start"], row["end"]) for row in found}) == 30
    # Spans at both ends of the text were looked at.
    every = answer(question=QUESTION, context=long, top_k=2000, doc_stride=10)
    assert min(row["start"] for row in every) == 0
    assert max(row["end"] for row in every) == len(long)


def test_no_answer_may_win(folder: str) -> None:
    answer = pipeline(model=folder)
    found = answer(question=QUESTION, context=CONTEXT, top_k=2000, handle_impossible_answer=True)
    assert [row for row in found if row["answer"] == ""]
    assert not [row for row in answer(question=QUESTION, context=CONTEXT, top_k=2000) if row["answer"] == ""]


def test_bad_questions(folder: str) -> None:
    answer = pipeline(model=folder)
    with pytest.raises(InputTypeError, match="A question with its context expected, got str"):
        answer("who?")
    with pytest.raises(InputTypeError, match="A question and a context are needed"):
        answer(question=QUESTION)
    with pytest.raises(InputError, match="The context is empty"):
        answer(question=QUESTION, context=" ")
    with pytest.raises(InputTypeError, match=r"^Input 1: A question expected, got NoneType"):
        answer(question=[QUESTION, None], context=CONTEXT)
    with pytest.raises(InputError, match="2 questions and 1 contexts"):
        answer(question=[QUESTION, QUESTION], context=[CONTEXT])
    with pytest.raises(InputError, match="leaves 0 of 48 for the context"):
        answer(question="cat " * 60, context=CONTEXT)
