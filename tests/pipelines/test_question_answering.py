"""Question answering against answers found by trying every span with the reference library's model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from learned_models import SMALL, teach, word_tokenizer
from tiny_checkpoints import Build

import samovar
from samovar import pipeline
from samovar.errors import InputError, InputTypeError

QUESTION = "who likes paris?"
CONTEXT = "anna likes moscow and paris, jean was not playing it"


@pytest.fixture(scope="module")
def folder(build: Build) -> str:
    return build("bert", "BertForQuestionAnswering")


def every_span(folder: str, question: str, context: str, longest: int = 15, words: bool = True) -> list[dict[str, Any]]:
    """All answers in one part, best first; to the ends of their words, each place once, unless `words` is False."""
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
                if words:
                    a = encoding.word_to_chars(encoding.token_to_word(first), sequence_index=1)[0]
                    b = encoding.word_to_chars(encoding.token_to_word(last), sequence_index=1)[1]
                found.append({"score": float(start[first] * end[last]), "start": a, "end": b, "answer": context[a:b]})
    best: dict[Any, dict[str, Any]] = {}
    for one in sorted(found, key=lambda answer: -answer["score"]):
        best.setdefault((one["start"], one["end"]), one)
    return list(best.values())


def close(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return list(ours) == list(theirs) and ours == {**theirs, "score": pytest.approx(theirs["score"], abs=1e-5)}


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("longest", [1, 3, 15])
def test_the_best_spans_are_found(folder: str, longest: int, words: bool) -> None:
    answer = pipeline("question-answering", model=folder, align_to_words=words)
    expected = every_span(folder, QUESTION, CONTEXT, longest, words)
    assert close(answer(question=QUESTION, context=CONTEXT, max_answer_len=longest), expected[0])
    best = answer({"question": QUESTION, "context": CONTEXT}, top_k=9, max_answer_len=longest)
    assert all(map(close, best, expected[:9]))
    assert len(best) == 9
    cut = [row for row in expected if row["answer"] in ("play", "ing", "##ing", "pla")]
    assert bool(cut) is not words
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
    every = answer(question=QUESTION, context=long, top_k=5000, doc_stride=10)
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
    with pytest.raises(InputError, match="The question is empty"):
        answer(question="", context=CONTEXT)


class SquadExample:
    """What the field's readers of that data set make."""

    def __init__(self, question_text: str, context_text: str) -> None:
        self.question_text, self.context_text = question_text, context_text


def test_examples_of_the_data_set(folder: str) -> None:
    answer = pipeline(model=folder)
    expected = answer(question=QUESTION, context=CONTEXT)
    assert answer(SquadExample(QUESTION, CONTEXT)) == expected
    assert answer([SquadExample(QUESTION, CONTEXT)] * 2) == [expected] * 2


def test_each_part_of_a_long_context_is_read_as_by_hand(folder: str) -> None:
    answer = pipeline(model=folder)
    long = "the film was bad and the cat sat. " * 6 + CONTEXT + " and a dog." * 20
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(
        QUESTION, long, truncation="only_second", max_length=48, stride=12, return_overflowing_tokens=True,
        return_offsets_mapping=True, padding=True, return_tensors="pt",
    )  # fmt: skip
    offsets = batch.pop("offset_mapping").tolist()
    batch.pop("overflow_to_sample_mapping")
    with torch.no_grad():
        out = model(**batch)
    best: dict[Any, float] = {}
    nothing = 1.0
    for number, places in enumerate(offsets):
        parts = batch.sequence_ids(number)
        allowed = torch.tensor([part == 1 or index == 0 for index, part in enumerate(parts)])
        start, end = (
            logits[number].masked_fill(~allowed, -1e9).softmax(-1).tolist()
            for logits in (out.start_logits, out.end_logits)
        )
        nothing = min(nothing, start[0] * end[0])
        inside = [index for index, part in enumerate(parts) if part == 1]
        for first in inside:
            for last in inside[inside.index(first) :][:15]:
                place = (places[first][0], places[last][1])
                best[place] = max(best.get(place, 0), start[first] * end[last])
    assert len(offsets) > 3
    found = answer(question=QUESTION, context=long, doc_stride=12, top_k=40, align_to_words=False)
    expected = sorted(best.values(), reverse=True)[:40]
    assert [row["score"] for row in found] == pytest.approx(expected, abs=1e-6)
    assert all(best[row["start"], row["end"]] == pytest.approx(row["score"], abs=1e-6) for row in found)
    every = answer(question=QUESTION, context=long, doc_stride=12, top_k=5000, handle_impossible_answer=True)
    assert [row["score"] for row in every if row["answer"] == ""] == pytest.approx([nothing], abs=1e-6)


NAMES, TOWNS, MOODS = ["anna", "jean"], ["paris", "moscow", "rome", "tokyo"], ["happy", "tired", "ill"]


@pytest.mark.slow
def test_a_trained_model_answers_or_says_that_there_is_no_answer() -> None:
    """It was taught towns for "where", moods for "how", and that these texts have no answer to "why"."""
    contexts = [
        text
        for name in NAMES
        for town in TOWNS
        for mood in MOODS
        for text in (f"{name} is in {town} and {mood}", f"{name} is {mood} and now in {town}")
    ]
    tokenizer = word_tokenizer(["where is she ? how why", *contexts], pair=True)
    asked = [(f"{word} is she ?", context) for word in ("where", "how", "why") for context in contexts]
    kinds = {"where": TOWNS, "how": MOODS, "why": []}
    answers = [next((w for w in c.split() if w in kinds[q.split()[0]]), "") for q, c in asked]
    batch = tokenizer([q for q, _ in asked], [c for _, c in asked], padding=True, return_tensors="pt")
    # Before the context stand [CLS], four words and [SEP].
    places = [6 + c.split().index(word) if word else 0 for (_, c), word in zip(asked, answers, strict=True)]
    goal = torch.tensor(places)
    config = samovar.BertConfig(vocab_size=len(tokenizer), initializer_range=0.1, **SMALL)
    model = samovar.AutoModelForQuestionAnswering.from_config(config)
    assert teach(model, [{**batch, "start_positions": goal, "end_positions": goal}], 100) < 0.1
    answer = pipeline("question-answering", model=model, tokenizer=tokenizer, handle_impossible_answer=True)
    found = answer([{"question": question, "context": context} for question, context in asked])
    assert [row["answer"] for row in found] == answers
    # A context that holds none, where one has to be given: some place in the text.
    forced = answer(question="why is she ?", context=contexts[0], handle_impossible_answer=False)
    assert forced["answer"] == contexts[0][forced["start"] : forced["end"]] != ""
