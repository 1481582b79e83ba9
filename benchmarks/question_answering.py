"""question-answering over 100 contexts of 30–600 tokens, BERT-base size, beside a loop over the reference's model.

The reference has no pipeline for it any more, so its side is the loop that a careful user writes: parts of at most 384
tokens that overlap by 128, padded per batch, the best span of each part, then the best part. The most that any program
can gain over that loop is its time by that of the same products on real tokens at the machine's matrix-multiply rate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from measure import Row, at_least, encoder_flops, process_json

CODE = """
import json, sys
sys.path.insert(0, {here!r})
import question_answering
print(json.dumps(question_answering.side({library!r}, {sizes!r})))
"""
QUESTION, LENGTH, STRIDE, LONGEST = "baban cabab", 384, 128, 15


def asked() -> list[dict[str, str]]:
    """The questions and the contexts."""
    from models import texts

    return [{"question": QUESTION, "context": text} for text in texts(100, 30, 600)[0]]


def looped(model: Any, tokenizer: Any, size: int) -> list[str]:
    """The reference's answers, in batches of `size` parts."""
    import torch

    pairs = asked()
    whole = tokenizer(
        [one["question"] for one in pairs], [one["context"] for one in pairs], truncation="only_second",
        max_length=LENGTH, stride=STRIDE, return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    names = ("input_ids", "token_type_ids", "attention_mask")
    best: dict[int, tuple[float, str]] = {}
    for first in range(0, len(whole["input_ids"]), size):
        batch = tokenizer.pad({name: whole[name][first : first + size] for name in names}, return_tensors="pt")
        with torch.inference_mode():
            out = model(**batch)
        for row in range(len(batch["input_ids"])):
            part, source = first + row, whole["overflow_to_sample_mapping"][first + row]
            inside = torch.tensor([one == 1 for one in whole.sequence_ids(part)])
            count = len(inside)
            inside[0] = True  # the first token stands for "no answer" and shares the probability
            starts, ends = (
                one[row, :count].masked_fill(~inside, -torch.inf).softmax(-1)
                for one in (out.start_logits, out.end_logits)
            )
            starts[0] = ends[0] = 0
            scores = (starts[:, None] * ends[None]).triu().tril(LONGEST - 1)
            place = int(scores.argmax())
            offsets = whole["offset_mapping"][part]
            answer = pairs[source]["context"][offsets[place // count][0] : offsets[place % count][1]]
            score = float(scores.flatten()[place])
            if source not in best or score > best[source][0]:
                best[source] = (score, answer)
    return [best[source][1] for source in range(len(pairs))]


def side(library: str, sizes: list[int]) -> dict[str, Any]:
    """One library's seconds (for each batch size), the matrix-multiply rate beside them, lengths and answers."""
    import torch
    from measure import matmul_rate, seconds
    from models import bert_base_for_questions

    torch.set_num_threads(2)
    folder, before = bert_base_for_questions(), matmul_rate(768, 3072)
    if library == "samovar":
        import samovar

        answer, pairs = samovar.pipeline("question-answering", model=str(folder), device="cpu"), asked()
        found = [one["answer"] for one in answer(pairs)]
        times = [seconds(lambda: answer(pairs), 2)]
    else:
        import transformers

        model = transformers.BertForQuestionAnswering.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        found = looped(model, tokenizer, sizes[0])
        times = [seconds(lambda size=size: looped(model, tokenizer, size), 1) for size in sizes]
    return {"times": times, "rate": max(before, matmul_rate(768, 3072)), "answers": found}


def lengths() -> list[int]:
    """Real tokens of each part that is read."""
    from models import bert_base_for_questions
    from transformers import AutoTokenizer

    pairs, tokenizer = asked(), AutoTokenizer.from_pretrained(bert_base_for_questions())
    whole = tokenizer(
        [one["question"] for one in pairs], [one["context"] for one in pairs], truncation="only_second",
        max_length=LENGTH, stride=STRIDE, return_overflowing_tokens=True,
    )  # fmt: skip
    return [len(one) for one in whole["input_ids"]]


def run() -> list[Row]:
    """Each library in a process of its own, ours before and after the reference."""
    here = str(Path(__file__).parent)
    sizes = [1, 8, 32]
    run_side = lambda library: process_json(CODE.format(here=here, library=library, sizes=sizes))  # noqa: E731
    first, peer, second = run_side("samovar"), run_side("transformers"), run_side("samovar")
    assert first["answers"] == peer["answers"] == second["answers"]
    ours = min(first["times"] + second["times"])
    best = min(peer["times"])
    rate = max(one["rate"] for one in (first, peer, second))
    bound = encoder_flops(lengths(), 12, 768, 3072) / rate / 1e9
    return [
        at_least(
            f"question-answering: best loop over the reference (batch {sizes[peer['times'].index(best)]}) ÷ ours",
            f"{ours:.1f} s", f"{best:.1f} s", best / ours, 3,
        ),
        Row(
            "  the most that the matrix-multiply rate allows",
            f"{bound:.1f} s", f"{best:.1f} s", best / bound, "", None,
        ),
        *(
            Row(f"  reference at batch {size} ÷ ours", f"{ours:.1f} s", f"{one:.1f} s", one / ours, "", None)
            for size, one in zip(sizes, peer["times"], strict=True)
        ),
    ]  # fmt: skip
