"""Runs the walkthrough's scripts one after another in one process, and writes what each printed or how it failed.

    python walk.py RESULTS.json SCRIPT …

A process of its own, since the field's libraries read the Hub's address when they are imported; one for all, since
importing them takes longer than most scripts.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
import time
import traceback
from pathlib import Path

import torch


def walk(script: Path) -> dict[str, object]:
    """Run a script as `python SCRIPT` does."""
    printed, began, problem = io.StringIO(), time.perf_counter(), ""
    sys.argv = [str(script)]
    torch.manual_seed(0)
    with contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except BaseException:  # Whatever ends a script, the next one is run.
            problem = traceback.format_exc()
    seconds = round(time.perf_counter() - began, 2)
    return {"printed": printed.getvalue().splitlines(), "problem": problem, "seconds": seconds}


if __name__ == "__main__":
    scripts = [Path(one) for one in sys.argv[2:]]
    results = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(scripts[0].parent))
    found = {script.stem: walk(script) for script in scripts}
    results.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")
