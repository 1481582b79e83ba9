"""What holds for every test: no network beyond this machine, the same seeds, a bounded number of threads."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections import Counter
from typing import Any

# Read once, when the libraries are first imported; programs that a test starts inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import numpy as np
import pytest

import samovar

# Programs that a test starts in another folder find the package that is being tested, installed or not.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(samovar.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

# The stock client remembers, by address, what it has sent to a Hub: Hubs of earlier tests had the same addresses.
SENT = tempfile.TemporaryDirectory(prefix="samovar-tests-xet-")
os.environ["HF_XET_CACHE"] = SENT.name

# Programs that are started in the background of a shell ignore Ctrl-C, and so do those that they start: a test that
# sends it would wait for its program to the end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Assertions inside the parity harness, which other tests use as well, say what differs as those in test files do.
pytest.register_assert_rewrite("harness")

# Files of few tests that take minutes. They begin first, lest a worker be left with one of them when the others end.
LONG = (
    "examples/test_demo.py", "docs/test_blocks.py", "examples/test_walkthrough.py", "examples/test_text_examples.py",
    "examples/test_examples.py", "export/test_onnx.py", "export/test_jax.py",
)  # fmt: skip
LOOPBACK = ("127.", "::1", "localhost")


def forbid_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that refuses name look-ups of and connections to anything but this machine."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # Unix sockets have no host.
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host and not host.startswith(LOOPBACK):
        raise RuntimeError(f"A test tried to reach {host!r}: tests use no network.")


sys.addaudithook(forbid_network)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order in which workers take them: the long ones, then those with most tests."""
    here, sizes = Path(__file__).parent, Counter(item.path for item in items)

    def turn(item: pytest.Item) -> tuple[int, int, str]:
        name = item.path.relative_to(here).as_posix()
        return LONG.index(name) if name in LONG else len(LONG), -sizes[item.path], name

    items.sort(key=turn)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)
