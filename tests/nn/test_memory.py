"""The CPU's memory is kept between batches: no page faults once the largest batch has run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, resource, torch
from samovar.nn.memory import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12 * 2**20).mul(2)  # 48 MiB each: above the 32 MiB that glibc's own threshold can reach
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps([kept, min(faults() for _ in range(20))]))
"""


def run(**environment: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    kept, faults = json.loads(done.stdout)
    return kept, faults


@pytest.mark.slow
def test_memory_is_kept_unless_told_otherwise() -> None:
    kept, few = run()
    left, many = run(SAMOVAR_KEEP_MEMORY="0")
    assert not left
    if kept:  # glibc is there; elsewhere the function says so and changes nothing
        assert few < many / 10  # the least of twenty: small objects that land in the hole cost a few calls at first
