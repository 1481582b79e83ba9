"""Ask texts: where an answer stands, in a text longer than the model reads, or that there is none.

python examples/questions.py [FOLDER or owner/name of a model for question answering] [QUESTION FILE]

Without a model, a tiny one is taught to find towns and moods first, which takes some seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from taught import SMALL, teach, words_of

from samovar import AutoModelForQuestionAnswering, BertConfig, pipeline

KINDS = {"where": ["tula", "omsk", "perm", "kazan"], "how": ["glad", "sad", "tired", "calm"], "why": []}
FILL = ["then", "they", "drank", "tea", "and", "said", "little"]


def taught() -> Any:
    """A pipeline whose model finds what belongs to "where" and "how", and nothing for "why"."""
    contexts = [f"she was {mood} in {town} and" for town in KINDS["where"] for mood in KINDS["how"]]
    contexts += [f"in {town} they saw she was {mood}" for town in KINDS["where"] for mood in KINDS["how"]]
    torch.manual_seed(0)
    mixed = [[*context.split(), *FILL] for context in contexts]
    mixed += [[words[i] for i in torch.randperm(len(words))] for words in mixed]
    # Parts of a long text often hold no answer.
    contexts = [" ".join(words) for words in mixed] + [" ".join(FILL * 2)] * 10
    asked = [(f"{word} was she ?", context) for word in KINDS for context in contexts]
    tokenizer = words_of(*(text for pair in asked for text in pair), pairs=True)
    places = [
        next((6 + place for place, word in enumerate(context.split()) if word in KINDS[question.split()[0]]), 0)
        for question, context in asked  # [CLS], four words and [SEP] stand before the context
    ]
    goal = torch.tensor(places)
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.1, max_position_embeddings=64, **SMALL)
    batch = tokenizer([q for q, _ in asked], [c for _, c in asked], padding=True, return_tensors="pt")
    model = AutoModelForQuestionAnswering.from_config(config)
    model = teach(model, **batch, start_positions=goal, end_positions=goal)
    return pipeline("question-answering", model=model, tokenizer=tokenizer, max_seq_len=24, doc_stride=8)


def main(ask: Any, questions: list[str], context: str) -> None:
    """The best answer to each question, with its place in the text."""
    found = ask([{"question": question, "context": context} for question in questions], handle_impossible_answer=True)
    for question, answer in zip(questions, found, strict=True):
        place = f"characters {answer['start']}–{answer['end']}" if answer["answer"] else "no answer in this text"
        print(f"{question}  {answer['answer'] or '—'}  ({place}, {answer['score']:.2f})")


if __name__ == "__main__":
    given, *rest = sys.argv[1:] or [""]
    if given:
        main(pipeline("question-answering", model=given), rest[:1], Path(rest[1]).read_text("utf-8"))
    else:
        story = " ".join([*FILL * 9, "she was tired in kazan and", *FILL * 9])
        main(taught(), ["where was she ?", "how was she ?", "why was she ?"], story)
