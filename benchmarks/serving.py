"""Continuous batching with GPT-2 small: 64 requests of mixed length beside the reference's padded batch.

Lengths of prompts and of answers are drawn between 8 and 256 tokens, each length as likely on a logarithmic scale. A
padded batch reads the longest prompt for all and writes the longest answer for all. Also: what a cache in int8 costs
and saves.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path

from measure import Row, at_least, at_most, process_json, seconds

from generation import gpt2_small

REQUESTS, SHORTEST, LONGEST = 64, 8, 256


def lengths(seed: int) -> list[int]:
    """Lengths between the two, even on a logarithmic scale."""
    draw = random.Random(seed)
    return [round(math.exp(draw.uniform(math.log(SHORTEST), math.log(LONGEST)))) for _ in range(REQUESTS)]


def batches() -> dict[str, float]:
    """Seconds for all requests, by both libraries."""
    import torch
    import transformers

    import samovar

    torch.set_num_threads(2)
    folder, draw = gpt2_small(), random.Random(0)
    ours = samovar.GPT2LMHeadModel.from_pretrained(folder)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    prompts = [[draw.randrange(50_000) for _ in range(length)] for length in lengths(1)]
    answers = lengths(2)
    width = max(map(len, prompts))
    ids, mask = torch.zeros(REQUESTS, width, dtype=torch.long), torch.zeros(REQUESTS, width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    longest = {"max_new_tokens": max(answers), "min_new_tokens": max(answers), "do_sample": False, "pad_token_id": 0}

    def written() -> dict[str, samovar.generation.GenerationOutput]:
        return ours.generate_batch(prompts, max_new_tokens=answers, eos_token_id=-1)

    outputs = list(written().values())
    for prompt, output in list(zip(prompts, outputs, strict=True))[:4]:
        alone = theirs.generate(torch.tensor([prompt]), **longest | {"min_new_tokens": 8, "max_new_tokens": 8})
        assert alone[0, len(prompt) :].tolist() == output.generated_tokens[:8]
    found = {"ours": seconds(written, 1)}
    with torch.inference_mode():
        found["theirs"] = seconds(lambda: theirs.generate(ids, attention_mask=mask, **longest), 1)
    found["ours again"] = seconds(written, 1)
    return found | {"tokens": float(sum(answers))} | whole_cache(ours)


def whole_cache(model: object) -> dict[str, float]:
    """Bytes and seconds per token of a float32 cache and of one in int8, with 1,000 tokens of 8 texts in it."""
    import torch

    import samovar

    found = {}
    with torch.inference_mode():
        ids = torch.randint(0, 50_000, (8, 1000), generator=torch.Generator().manual_seed(0))
        for name, cache in (("float", model.new_cache(1024)), ("int8", samovar.Int8Cache(1024))):  # type: ignore[attr-defined]
            model(ids, past_key_values=cache, logits_to_keep=1)  # type: ignore[operator]

            def step(cache: object = cache) -> None:
                model(ids[:, :1], past_key_values=cache, logits_to_keep=1)  # type: ignore[operator]
                cache.crop(1000)  # type: ignore[attr-defined]

            step()
            found[f"{name} bytes"], found[f"{name} step"] = float(cache.nbytes()), seconds(step, 8)
    return found


def run() -> list[Row]:
    """Both libraries in one process, which is fair as both only call the same kernels."""
    here = str(Path(__file__).parent)
    found = process_json(f"import sys; sys.path.insert(0, {here!r}); import serving; serving.report()")
    ours = (found["ours"] + found["ours again"]) / 2
    return [
        at_least(
            "64 requests of mixed length: continuous batching ÷ the reference's padded batch",
            f"{found['tokens'] / ours:.0f} /s", f"{found['tokens'] / found['theirs']:.0f} /s",
            found["theirs"] / ours, 3,
        ),
        at_most(
            "memory of an int8 cache ÷ float32, 8 × 1,000 tokens", f"{found['int8 bytes'] / 2**20:.0f} MiB",
            f"{found['float bytes'] / 2**20:.0f} MiB", found["int8 bytes"] / found["float bytes"], 0.3,
        ),
        Row(
            "  time of a step with it ÷ float32", f"{1e3 * found['int8 step']:.0f} ms",
            f"{1e3 * found['float step']:.0f} ms", found["int8 step"] / found["float step"], "", None,
        ),
    ]  # fmt: skip


def report() -> None:
    """What `run` asks a fresh process for."""
    json.dump(batches(), sys.stdout)
