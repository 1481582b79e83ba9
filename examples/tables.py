"""Ask a table: a data frame, a dict of columns or a list of rows, and questions in words.

python examples/tables.py [FOLDER or owner/name of a TAPAS] [TABLE.csv] [QUESTION …]

Without a model, a tiny one is taught the questions to its only table first, which takes some seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from taught import SMALL, teach

from samovar import TapasConfig, TapasForQuestionAnswering, TapasTokenizer, pipeline

TEAS = pd.DataFrame({"tea": ["green", "black", "white"], "price": [12, 7, 25], "town": ["tula", "omsk", "tula"]})
OPERATIONS = {0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}
# Question → the cells (row, column) of its answer, and what is done with them.
LESSONS = {
    "which teas are there ?": ([(0, 0), (1, 0), (2, 0)], 0),
    "what is the price of black tea ?": ([(1, 1)], 0),
    "what do all teas cost ?": ([(0, 1), (1, 1), (2, 1)], 1),
    "how many teas are from tula ?": ([(0, 0), (2, 0)], 3),
}


def taught() -> Any:
    """A pipeline whose model knows one table."""
    torch.manual_seed(0)
    words = dict.fromkeys(" ".join([*LESSONS, *TEAS.columns, *TEAS.astype(str).to_numpy().ravel()]).split())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.txt")
        path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), "utf-8")
        tokenizer = TapasTokenizer(str(path))
    config = TapasConfig(
        vocab_size=len(tokenizer), num_aggregation_labels=4, aggregation_labels=OPERATIONS, initializer_range=0.1,
        no_aggregation_label_index=0, **SMALL,
    )  # fmt: skip
    coordinates, operations = zip(*LESSONS.values(), strict=True)
    batch = tokenizer(
        TEAS, list(LESSONS), answer_coordinates=list(coordinates), answer_text=[[]] * len(LESSONS), padding=True,
        return_tensors="pt",
    )  # fmt: skip
    # Each question by itself: none goes on from the answer before.
    batch["token_type_ids"][..., 3] = 0
    model = TapasForQuestionAnswering(config)
    model = teach(model, **batch, aggregation_labels=torch.tensor(operations))
    return pipeline("table-question-answering", model=model, tokenizer=tokenizer)


def main(ask: Any, table: Any, questions: list[str]) -> None:
    """The answers, with the operation before the cells."""
    for question, answer in zip(questions, ask(table, questions), strict=True):
        print(f"{question}  {answer['answer']}")


if __name__ == "__main__":
    given, *rest = sys.argv[1:] or [""]
    if given:
        main(pipeline("table-question-answering", model=given), pd.read_csv(rest[0], dtype=str), rest[1:])
    else:
        main(taught(), TEAS, list(LESSONS))
