"""Labels that a model was never trained on, for any text: each label is a hypothesis that the text may entail.

python examples/labels.py [FOLDER or owner/name of a model for natural language inference] [TEXT LABEL,LABEL…]

Without a model, a tiny one is taught what follows from what first, which takes a few seconds.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from taught import SMALL, teach, words_of

from samovar import AutoModelForSequenceClassification, BertConfig, pipeline

TOPICS = {"food": ["soup", "bread", "tea"], "animals": ["dogs", "cats", "geese"], "music": ["songs", "drums", "choirs"]}


def taught() -> Any:
    """A pipeline whose model knows to which of three topics nine words belong."""
    torch.manual_seed(0)
    known = {word: topic for topic, members in TOPICS.items() for word in members}
    pairs = [(f"i like {word}", f"This example is {topic}.", topic) for word in known for topic in TOPICS]
    tokenizer = words_of(*(text for first, second, _ in pairs for text in (first, second)), "and", pairs=True)
    names = {0: "contradiction", 1: "entailment"}
    config = BertConfig(
        vocab_size=len(tokenizer), initializer_range=0.1, id2label=names,
        label2id={name: index for index, name in names.items()}, **SMALL,
    )  # fmt: skip
    goal = torch.tensor([int(known[first.split()[-1]] == topic) for first, _, topic in pairs])
    batch = tokenizer([pair[0] for pair in pairs], [pair[1] for pair in pairs], return_tensors="pt")
    model = teach(AutoModelForSequenceClassification.from_config(config), **batch, labels=goal)
    return pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)


def main(classify: Any, texts: list[str], labels: list[str]) -> None:
    """The labels of each text, the best first; all pairs of texts and labels share batches."""
    for answer in classify(texts, labels):
        scores = ", ".join(
            f"{name} {score:.2f}" for name, score in zip(answer["labels"], answer["scores"], strict=True)
        )
        print(f"{answer['sequence']}: {scores}")


if __name__ == "__main__":
    given, *rest = sys.argv[1:] or [""]
    if given:
        main(pipeline("zero-shot-classification", model=given), rest[:1], rest[1].split(","))
    else:
        main(taught(), ["i like geese", "i like drums", "i like bread"], list(TOPICS))
