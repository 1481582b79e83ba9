"""`samovar export M --format F`: a model in another runtime's form, compared with the model before it is in place."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

from samovar.cli.options import named_values
from samovar.export.formats import FORMATS, NEEDS

# Seconds after which it is said what is being done, and how often the seconds are counted on.
SHOWN_AFTER, TICK = 2.0, 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Write a model in another runtime's form, run it beside the model, and print the differences."
    width = max(map(len, FORMATS))
    listed = "\n".join(f"  {name.ljust(width)}  {NEEDS[name]}" for name in FORMATS)
    parser.epilog = f"""\
formats:
{listed}

examples:
  samovar export ./bert --format onnx
  samovar export ./bert --format onnx --option quantization=int8 --output ./bert-int8
  samovar export owner/name --format torch-export --task text-classification
  samovar export ./gpt2 --format openvino --no-past          reads whole texts, without keys and values

Batch size and lengths stay free. The folder appears when every size agrees to the tolerance, or not at all.
"""
    parser.add_argument("model", help="a folder or the name of a repository")
    parser.add_argument("--format", "-f", required=True, metavar="F", help=f"{', '.join(FORMATS)}")
    parser.add_argument("--output", "-o", metavar="DIR", help="folder to write (the model's name and the format)")
    parser.add_argument("--task", help="the head to export, such as text-classification (else the saved one)")
    parser.add_argument("--no-mask", action="store_true", help="leave the attention mask out: all tokens are real")
    parser.add_argument("--no-past", action="store_true", help="of a decoder: no past keys and values")
    parser.add_argument("--tolerance", type=float, help="largest difference that is accepted (1e-4)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="an option of the format, such as quantization=int8; may be repeated",
    )  # fmt: skip
    parser.add_argument("--quiet", "-q", action="store_true", help="print the folder alone")


def run(options: argparse.Namespace) -> int:
    """Export as said."""
    from samovar.extras import require

    require("torch", feature="samovar export")
    from samovar.export.run import export_model

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    format = options.format
    output = options.output or f"{Path(options.model).expanduser().resolve().name}-{format}"
    status = Status(not options.quiet and sys.stderr is not None and sys.stderr.isatty())
    with status:
        made = export_model(
            options.model, format, output, task=options.task, mask=not options.no_mask,
            with_past=False if options.no_past else None, tolerance=options.tolerance, overwrite=options.overwrite,
            report=None if options.quiet else status.line, progress=status.doing, **named_values(options.option),
        )  # fmt: skip
    print(made.folder if options.quiet else summary(made))
    return 0


def summary(made: Any) -> str:
    """The largest difference and where, what lies in the folder, and how it is used."""
    from samovar.export.usage import usage

    files = sorted(path for path in made.folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files) / 1e6
    names = [path.name + "/" * path.is_dir() for path in sorted(made.folder.iterdir())]
    lines = [f"largest: {made.worst}", f"{made.folder}: {', '.join(names)} ({size:,.1f} MB)", "Use it:"]
    lines += [f"  {line}" for line in usage(made.format, made.folder, made.parts[0])]
    others = [part.name for part in made.parts[1:]]
    if others:
        lines.append(f"  # in the same way: {', '.join(others)}; export.json says what each reads and gives")
    return "\n".join(lines)


class Status:
    """A line on the terminal that says what is being done and for how long, once it takes above two seconds."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.what, self.since = shown, "", time.monotonic()
        self.visible = False
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.tick, daemon=True)
        self.stream = sys.stderr

    def __enter__(self) -> Status:
        if self.shown:
            self.thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.ended.set()
        if self.shown:
            self.thread.join()
        self.clear()

    def doing(self, what: str) -> None:
        """The next step has begun."""
        with self.lock:
            self.what, self.since = what, time.monotonic()

    def line(self, text: str) -> None:
        """Print a line of the result above."""
        with self.lock:
            self.clear()
            print(text, flush=True)

    def tick(self) -> None:
        """Count the seconds."""
        while not self.ended.wait(TICK):
            with self.lock:
                seconds = time.monotonic() - self.since
                if seconds > SHOWN_AFTER:
                    self.stream.write(f"\r\x1b[K{self.what} … {seconds:.0f} s")
                    self.stream.flush()
                    self.visible = True

    def clear(self) -> None:
        """Take the line away."""
        if self.visible:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self.visible = False
