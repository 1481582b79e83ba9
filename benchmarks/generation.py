"""Writing text with GPT-2 small (random weights): one stream, batches, prompts, and the cost per token as texts grow.

The floor of one stream is the time of one matrix–vector product with every weight, measured between the runs.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from measure import CACHE, Row, at_least, at_most, process_json, seconds

TOKENS = 64
PROMPT = 8
REPEAT = 5


def gpt2_small() -> Path:
    """GPT-2 small: 124 million parameters."""
    folder = CACHE / "gpt2-small"
    if not (folder / "model.safetensors").exists():
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    return folder


def streams() -> dict[str, float]:
    """Seconds per token of both libraries and of the floor, taken in turns in this process."""
    import torch
    import transformers

    import samovar

    torch.set_num_threads(2)
    folder = gpt2_small()
    models = {
        "theirs": transformers.GPT2LMHeadModel.from_pretrained(folder).eval(),
        "ours": samovar.GPT2LMHeadModel.from_pretrained(folder),
    }
    matrices = [one for name, one in models["ours"].named_parameters() if one.ndim == 2 and "position" not in name]
    vectors = {size: torch.randn(size) for size in (768, 3072)}
    options = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False, "pad_token_id": 0}
    numbers = torch.Generator().manual_seed(0)
    times: dict[str, list[float]] = {}

    def floor() -> None:
        with torch.inference_mode():
            for matrix in matrices:
                torch.mv(matrix, vectors[matrix.shape[1]])

    for rows in (1, 8):
        ids = torch.randint(0, 50_000, (rows, PROMPT), generator=numbers)
        written = {name: model.generate(ids, **options) for name, model in models.items()}
        assert torch.equal(written["ours"][0, : PROMPT + 8], written["theirs"][0, : PROMPT + 8])
        for _ in range(REPEAT):
            for name, model in models.items():
                work = lambda model=model, ids=ids: model.generate(ids, **options)  # noqa: E731
                times.setdefault(f"{name} {rows}", []).append(seconds(work, 1) / TOKENS)
            times.setdefault("floor", []).append(seconds(floor, 3))
    whole = samovar.GPT2LMHeadModel.from_pretrained(folder, quantization="int8")
    ids = torch.randint(0, 50_000, (1, PROMPT), generator=numbers)
    whole.generate(ids, **options)
    for _ in range(REPEAT):
        for name, model in (("float32", models["ours"]), ("int8", whole)):
            times.setdefault(name, []).append(seconds(lambda model=model: model.generate(ids, **options), 1) / TOKENS)
    result = {name: statistics.median(values) for name, values in times.items()}
    result |= prefill(models["ours"])
    return result


def prefill(model: object) -> dict[str, float]:
    """GFLOP/s of reading prompts of 1 × 512 and 4 × 512 tokens, and of bare matrix products."""
    import torch
    from measure import encoder_flops, matmul_rate

    found, rates = {}, [matmul_rate(768, 3072)]
    for rows in (1, 4):
        ids = torch.randint(0, 50_000, (rows, 512))
        with torch.inference_mode():
            spent = seconds(lambda ids=ids: model(ids, logits_to_keep=1), 6)  # type: ignore[operator]
        found[f"prefill {rows}"] = encoder_flops([512] * rows, 12, 768, 3072) / spent / 1e9
        rates.append(matmul_rate(768, 3072))
    return found | {"rate": max(rates)}


def growth() -> list[tuple[int, float, float, float]]:
    """(length, milliseconds per token, those without a cache, one read of the cache) of a small model's growing text.

    The text grows from 100 to 4,000 tokens. Each further token reads all keys and values, so that no step takes less.
    """
    import torch

    import samovar

    torch.set_num_threads(2)
    torch.manual_seed(0)
    config = samovar.LlamaConfig(
        vocab_size=1000, hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=2, max_position_embeddings=8192,
    )  # fmt: skip
    found: dict[Any, list[float]] = {}
    model = samovar.LlamaForCausalLM(config).eval()
    lengths, ids = (100, 250, 500, 1000, 2000, 3000, 4000), torch.randint(0, 1000, (1, 4200))
    with torch.inference_mode():
        cache, caches, others = model.new_cache(), {}, {}
        for length in lengths:
            model(ids[:, cache.get_seq_length() : length], past_key_values=cache, logits_to_keep=1)
            caches[length], others[length] = cache.copy(), cache.copy()

        def step(length: int) -> None:
            model(ids[:, length : length + 1], past_key_values=caches[length], logits_to_keep=1)
            caches[length].crop(length)

        def read(length: int) -> None:
            # Of another cache than the step's, which finds its own no nearer to the core than this one.
            for layer in others[length].layers:
                layer.keys[:, :, :length].sum(), layer.values[:, :, :length].sum()

        def again(length: int) -> None:
            model(ids[:, : length + 1], use_cache=False, logits_to_keep=1)

        # In turns, so that what disturbs the machine for a while does not make one length look slow.
        for works, times in (((step, read), 60), ((again,), 1)):
            for _ in range(times):
                for length in lengths:
                    for work in works:
                        took = 1e3 * seconds(lambda length=length, work=work: work(length), 1)
                        found.setdefault((work, length), []).append(took)
    medians = {key: statistics.median(values) for key, values in found.items()}
    return [(length, medians[step, length], medians[again, length], medians[read, length]) for length in lengths]


def plot(points: list[tuple[int, float, float, float]], path: Path) -> None:
    """Milliseconds per token over the length of the text."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lengths = [point[0] for point in points]
    figure, axes = plt.subplots(figsize=(6, 3.5))
    axes.plot(lengths, [point[1] for point in points], marker="o", color="#b5532a", label="with a cache")
    first = points[0][1] - points[0][3]
    axes.plot(lengths, [first + point[3] for point in points], "--", color="#444", label="the first, and one read")
    axes.plot(lengths, [point[2] for point in points], marker="o", color="#888", label="reading the text again")
    axes.set_yscale("log")
    axes.set_xlabel("tokens before the next one")
    axes.set_ylabel("milliseconds per token")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def run() -> list[Row]:
    """Both libraries in one process in turns, which is fair as both only call the same kernels."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import generation; generation.report()"
    found = process_json(code)
    points = found.pop("points")
    plot(points, Path(__file__).parent.parent / "docs" / "bench" / "cost_per_token.png")
    ours, theirs, floor = found["ours 1"], found["theirs 1"], found["floor"]
    batch = found["theirs 8"] / found["ours 8"]
    reached = found["prefill 4"] / found["rate"]
    first, last, read = points[0][1], points[-1][1], points[-1][3]
    return [
        at_most(
            "writing, GPT-2 small, one stream: time per token ÷ one product with every weight",
            f"{1e3 * ours:.1f} ms", f"{1e3 * floor:.1f} ms", ours / floor, 1.15,
        ),
        Row("  the reference's", f"{1e3 * theirs:.1f} ms", f"{1e3 * floor:.1f} ms", theirs / floor, "", None),
        at_least(
            "writing, GPT-2 small, batch 8: tokens/s, ours ÷ reference",
            f"{8 / found['ours 8']:.0f} /s", f"{8 / found['theirs 8']:.0f} /s", batch, 2,
        ),
        at_least(
            "writing, GPT-2 small, one stream: int8 ÷ our float32",
            f"{1e3 * found['int8']:.1f} ms", f"{1e3 * found['float32']:.1f} ms", found["float32"] / found["int8"], 2,
        ),
        at_least(
            "reading prompts of 4 × 512: ours ÷ matrix-multiply rate",
            f"{found['prefill 4']:.0f} GFLOP/s", f"{found['rate']:.0f} GFLOP/s", reached, 0.85,
        ),
        Row(
            "  of 1 × 512", f"{found['prefill 1']:.0f} GFLOP/s", f"{found['rate']:.0f} GFLOP/s",
            found["prefill 1"] / found["rate"], "", None,
        ),
        Row(
            "cost per token after 4,000 tokens ÷ after 100 (small Llama)", f"{last:.2f} ms", f"{first:.2f} ms",
            last / first, "", None,
        ),
        Row(
            "  what that adds ÷ one read of the cache", f"{last - first:.2f} ms", f"{read:.2f} ms",
            (last - first) / read, "", None,
        ),
    ]  # fmt: skip


def report() -> None:
    """What `run` asks a fresh process for."""
    json.dump(streams() | {"points": growth()}, sys.stdout)
