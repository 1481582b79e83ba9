"""Embeddings of 2,000 real snippets on the real MiniLM weights, and exact search among a million vectors.

Each library encodes in a process of its own. The limit of the search is one read of all the corpus's bytes, measured
in the same process: the faster of a sum over them and a matrix-vector product.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from measure import Row, at_least, process_json

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

ENCODE = """
import json, random, sys
sys.path[:0] = [{here!r}, {tests!r}]
import torch
torch.set_num_threads(2)
from assets import minilm_folder, snippets
from measure import matmul_rate, seconds
from {library} import SentenceTransformer
texts = [text for kind in ("movies", "products", "tweets", "editorials") for _, text in snippets(kind)]
random.Random(0).shuffle(texts)
texts = texts[:2000]
model = SentenceTransformer(str(minilm_folder()), device="cpu")
model.encode(texts[:64])
taken = seconds(lambda: model.encode(texts), {repeat})
lengths = [len(row) for row in model.tokenizer(texts, truncation=True, max_length=256)["input_ids"]]
print(json.dumps(dict(seconds=taken, rate=matmul_rate(384, 1536), lengths=lengths,
                      sample=model.encode(texts[:5]).tolist())))
"""

SEARCH = """
import json, sys
sys.path[:0] = [{here!r}]
import torch
torch.set_num_threads(2)
from measure import seconds
from samovar.sentence import util as ours
from sentence_transformers import util as theirs
corpus = torch.empty(1_000_000, 384)
for start in range(0, len(corpus), 50_000):
    corpus[start:start + 50_000].normal_()
corpus /= corpus.norm(dim=1, keepdim=True)
query = torch.nn.functional.normalize(torch.randn(1, 384), dim=1)
limit = min(seconds(lambda: corpus.sum(), 7), seconds(lambda: torch.mv(corpus, query[0]), 7))
result = dict(limit=limit, gigabytes=corpus.numel() * 4 / 1e9)
for name in ("dot_score", "cos_sim"):
    mine = lambda: ours.semantic_search(query, corpus, top_k=10, score_function=getattr(ours, name))
    other = lambda: theirs.semantic_search(query, corpus, top_k=10, score_function=getattr(theirs, name))
    assert [hit["corpus_id"] for hit in mine()[0]] == [hit["corpus_id"] for hit in other()[0]]
    result[name] = [seconds(mine, 7), seconds(other, 3)]
result["limit"] = min(limit, seconds(lambda: corpus.sum(), 7), seconds(lambda: torch.mv(corpus, query[0]), 7))
print(json.dumps(result))
"""


def encode(library: str, repeat: int) -> dict[str, Any]:
    """One library's time, the machine's rate, and a sample of the embeddings."""
    here = Path(__file__).resolve().parent
    tests = str(here.parent / "tests")
    return process_json(ENCODE.format(here=str(here), tests=tests, library=library, repeat=repeat))


def run() -> list[Row]:
    """Encoding against the reference's defaults; searching against the memory's bandwidth and the reference."""
    first, peer, second = encode("samovar", 3), encode("sentence_transformers", 3), encode("samovar", 3)
    for mine, theirs in zip(first["sample"], peer["sample"], strict=True):
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) < 1e-5
    ours = min(first["seconds"], second["seconds"])
    linear, layers, hidden = 2 * (4 * 384 * 384 + 2 * 384 * 1536), 6, 384
    flops = sum(layers * (linear * n + 4 * hidden * n * n) for n in first["lengths"])
    rate = max(first["rate"], second["rate"])
    found = process_json(SEARCH.format(here=str(Path(__file__).resolve().parent)))
    bandwidth = found["gigabytes"] / found["limit"]
    dot, cosine = found["dot_score"], found["cos_sim"]
    return [
        at_least(
            "embeddings, 2,000 snippets: reference default ÷ ours",
            f"{2000 / ours:.0f} texts/s", f"{2000 / peer['seconds']:.0f} texts/s", peer["seconds"] / ours, 1.2,
        ),
        Row(
            "  embeddings: ours ÷ matrix-multiply rate, real tokens",
            f"{flops / ours / 1e9:.0f} GFLOP/s", f"{rate:.0f} GFLOP/s", flops / ours / 1e9 / rate, "", None,
        ),
        at_least(
            "search, 1,000,000 × 384, dot product: ours ÷ memory bandwidth",
            f"{found['gigabytes'] / dot[0]:.1f} GB/s", f"{bandwidth:.1f} GB/s", found["limit"] / dot[0], 0.9,
        ),
        Row("  search, dot product: reference ÷ ours", f"{dot[0] * 1e3:.0f} ms", f"{dot[1] * 1e3:.0f} ms",
            dot[1] / dot[0], "", None),
        Row("  search, cosine, rows of any length: ours ÷ bandwidth",
            f"{found['gigabytes'] / cosine[0]:.1f} GB/s", f"{bandwidth:.1f} GB/s", found["limit"] / cosine[0],
            "", None),
        Row("search, cosine: reference ÷ ours", f"{cosine[0] * 1e3:.0f} ms", f"{cosine[1] * 1e3:.0f} ms",
            cosine[1] / cosine[0], "", None),
    ]  # fmt: skip
