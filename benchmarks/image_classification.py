"""image-classification over 32 photographs, ViT-base: both pipelines with their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from measure import Row, at_least, encoder_flops, process_json
from models import vit_base

CODE = """
import json, sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(2)
from measure import matmul_rate, seconds
from models import images
from {library} import pipeline
inputs = images()
pipe = pipeline("image-classification", model={folder!r}, device="cpu")
pipe(inputs[:4])
before = matmul_rate(768, 3072)
best = seconds(lambda: pipe(inputs), 3)
print(json.dumps(dict(seconds=best, rate=max(before, matmul_rate(768, 3072)), answer=pipe(inputs[0])[0])))
"""


def side(library: str) -> dict[str, Any]:
    """One library's best time in a process of its own, the matrix-multiply rate beside it, and an answer."""
    here = str(Path(__file__).parent)
    return process_json(CODE.format(library=library, folder=str(vit_base()), here=here))


def run() -> list[Row]:
    """Ours against the reference's default, and against the matrix-multiply rate."""
    first, peer, second = side("samovar"), side("transformers"), side("samovar")
    ours = min(first, second, key=lambda result: result["seconds"])
    our_seconds, peer_seconds, rate = ours["seconds"], peer["seconds"], ours["rate"]
    assert first["answer"]["label"] == peer["answer"]["label"]
    count = 32
    reached = encoder_flops([197] * count, 12, 768, 3072) / our_seconds / 1e9
    return [
        at_least(
            "image-classification: reference default ÷ ours",
            f"{our_seconds:.2f} s",
            f"{peer_seconds:.2f} s",
            peer_seconds / our_seconds,
            1.2,
        ),
        Row(
            "image-classification: ours ÷ matrix-multiply rate",
            f"{reached:.0f} GFLOP/s",
            f"{rate:.0f} GFLOP/s",
            reached / rate,
            "",
            None,
        ),
    ]
