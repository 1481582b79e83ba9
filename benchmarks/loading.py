"""Loading 125 million parameters: time and peak memory, each in a fresh process, pages touched so that they count."""

from __future__ import annotations

import statistics

from measure import Row, at_most, process_json
from models import roberta_base

CODE = """
import json, resource, time
import torch
from {library} import RobertaModel
torch.set_num_threads(2)
def memory():
    return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]) * 1024
import {library}.{warm}
before = memory()
start = time.perf_counter()
model = RobertaModel.from_pretrained({folder!r})
loaded = time.perf_counter() - start
total = sum(float(p.sum()) for p in model.parameters())  # every page of every weight is read
touched = time.perf_counter() - start
size = sum(p.numel() * p.element_size() for p in model.parameters())
print(json.dumps(dict(load=loaded, touched=touched, peak=memory() - before, size=size, total=total)))
"""


def run(repeat: int = 5) -> list[Row]:
    """Medians over processes taken in turns."""
    folder = str(roberta_base())
    runs: dict[str, list[dict[str, float]]] = {"samovar": [], "transformers": []}
    warm = {"samovar": "weights.load", "transformers": "modeling_utils"}
    for _ in range(repeat):
        for library, results in runs.items():
            results.append(process_json(CODE.format(library=library, folder=folder, warm=warm[library])))

    def median(library: str, key: str) -> float:
        return statistics.median(result[key] for result in runs[library])

    size = median("samovar", "size")
    ours, peer = median("samovar", "load"), median("transformers", "load")
    touched, peer_touched = median("samovar", "touched"), median("transformers", "touched")
    return [
        at_most("load 125 M parameters: time ÷ reference", f"{ours:.3f} s", f"{peer:.3f} s", ours / peer, 1 / 3),
        at_most(
            "load 125 M parameters: peak memory ÷ weights",
            f"{median('samovar', 'peak') / 2**20:.0f} MiB",
            f"{median('transformers', 'peak') / 2**20:.0f} MiB",
            median("samovar", "peak") / size,
            1.1,
        ),
        Row(
            "load and read every weight once: time ÷ reference",
            f"{touched:.3f} s",
            f"{peer_touched:.3f} s",
            touched / peer_touched,
            "",
            None,
        ),
    ]
