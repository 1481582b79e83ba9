"""text-classification over 256 texts of 5–400 tokens, BERT-base size: both pipelines with their defaults.

Each library runs in a process of its own, so that neither changes the other's memory allocator or threads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from measure import Row, at_least, encoder_flops, process_json
from models import bert_base, texts

CODE = """
import json, sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(2)
from measure import matmul_rate, seconds
from models import texts
from {library} import pipeline
inputs, lengths = texts()
pipe = pipeline("text-classification", model={folder!r}, device="cpu")
pipe(inputs[:8])
before = matmul_rate(768, 3072)
times = [seconds(lambda: pipe(inputs, **options), {repeat}) for options in {options!r}]
rate = max(before, matmul_rate(768, 3072))
print(json.dumps(dict(times=times, rate=rate, answers=pipe(inputs[:8]))))
"""


def side(library: str, options: list[dict[str, int]], repeat: int) -> dict[str, Any]:
    """One library's times for each of the options, the matrix-multiply rate beside them, and some answers."""
    here = str(Path(__file__).parent)
    code = CODE.format(library=library, folder=str(bert_base()), here=here, options=options, repeat=repeat)
    return process_json(code)


def run() -> list[Row]:
    """Ours against the reference at batch sizes 1 (its default), 8 and 32, and against the matrix-multiply rate."""
    _, lengths = texts()
    first = side("samovar", [{}], 3)
    sizes = (1, 8, 32)
    peer = side("transformers", [{"batch_size": size} for size in sizes], 1)
    second = side("samovar", [{}], 2)
    peer_seconds = dict(zip(sizes, peer["times"], strict=True))
    ours = max(first, second, key=lambda result: 1 / result["times"][0])
    our_seconds, rate = ours["times"][0], ours["rate"]
    for mine, theirs in zip(first["answers"], peer["answers"], strict=True):
        assert mine["label"] == theirs["label"]
        assert abs(mine["score"] - theirs["score"]) < 1e-4
    reached = encoder_flops(lengths, 12, 768, 3072) / our_seconds / 1e9
    bound = encoder_flops(lengths, 12, 768, 3072) / rate / 1e9
    best = min(peer_seconds, key=lambda size: peer_seconds[size])
    default = peer_seconds[1]
    return [
        at_least(
            "text-classification: reference default ÷ ours",
            f"{our_seconds:.1f} s",
            f"{default:.1f} s",
            default / our_seconds,
            5.0,
        ),
        Row(
            "  the most that the matrix-multiply rate allows",
            f"{bound:.1f} s",
            f"{default:.1f} s",
            default / bound,
            "",
            None,
        ),
        at_least(
            f"text-classification: best reference (batch {best}) ÷ ours",
            f"{our_seconds:.1f} s",
            f"{peer_seconds[best]:.1f} s",
            peer_seconds[best] / our_seconds,
            1.8,
        ),
        *(
            Row(
                f"  reference at batch {size} ÷ ours",
                f"{our_seconds:.1f} s",
                f"{value:.1f} s",
                value / our_seconds,
                "",
                None,
            )
            for size, value in peer_seconds.items()
        ),
        at_least(
            "text-classification: ours ÷ matrix-multiply rate, real tokens",
            f"{reached:.0f} GFLOP/s",
            f"{rate:.0f} GFLOP/s",
            reached / rate,
            0.9,
        ),
    ]
