"""image-classification over 32 photographs, ViT-base: both pipelines with their defaults."""

from __future__ import annotations

from measure import Row, at_least, encoder_flops, matmul_rate, seconds
from models import images, vit_base


def run() -> list[Row]:
    """Ours against the reference's default, and against the matrix-multiply rate."""
    import torch
    from transformers import pipeline as reference_pipeline

    from samovar import pipeline

    torch.set_num_threads(2)
    folder, inputs = str(vit_base()), images()
    ours = pipeline("image-classification", model=folder, device="cpu")
    reference = reference_pipeline("image-classification", model=folder, device="cpu")
    ours(inputs[:4])
    reference(inputs[:4])
    our_seconds = peer_seconds = float("inf")
    rate = matmul_rate(768, 3072)
    for _ in range(3):
        our_seconds = min(our_seconds, seconds(lambda: ours(inputs), 1))
        peer_seconds = min(peer_seconds, seconds(lambda: reference(inputs), 1))
    rate = max(rate, matmul_rate(768, 3072))
    reached = encoder_flops([197] * len(inputs), 12, 768, 3072) / our_seconds / 1e9
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
