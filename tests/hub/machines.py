"""A person's machine: a process with a cache, a login and an endpoint of its own, in which functions are called.

`huggingface_hub` reads its environment when it is imported, so another endpoint or another cache is another process.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self

# Processes are copies of one that has imported what takes long, and nothing that reads the environment.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["torch._dynamo", "torch.distributed.fsdp", "tokenizers", "PIL.Image", "pandas"])


def enter(environment: dict[str, str]) -> None:
    """Before anything else in the process."""
    os.environ.update(environment)


class Machine:
    """Calls functions of importable modules in one process that keeps running."""

    def __init__(self, home: Path, endpoint: str, token: str | None = None, **environment: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", **({} if token is None else {"HF_TOKEN": token}), **environment,
        }  # fmt: skip
        self.pool = ProcessPoolExecutor(1, PROCESSES, initializer=enter, initargs=(self.environment,))

    def __call__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What the function gives or raises there."""
        return self.pool.submit(function, *arguments, **options).result(300)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.pool.shutdown()
