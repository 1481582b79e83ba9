"""`samovar run TASK --model M [TEXT | --file F | -]`: run a task over inputs; JSON lines out, as they are ready."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from samovar.cli.answers import Answers
from samovar.cli.inputs import Reading, Record, Records, from_arguments, from_file, from_stdin
from samovar.cli.options import device_named, named_values
from samovar.cli.subject import asked, subject
from samovar.cli.tasks import beside, example_lines, takes, task_lines
from samovar.errors import InputError

BAR_AFTER = 2

EPILOG = """\
tasks:
{tasks}

examples:
{examples}
  samovar run table-question-answering -m MODEL --about teas.csv 'Which tea is the cheapest?'
  samovar run text-classification -m MODEL --file reviews.csv --column review --output labels.jsonl
  zcat texts.gz | samovar run text-classification -m MODEL - | jq -c .result

Each input gives {{"line": n, "result": …}}; one that cannot be used gives {{"error": …, "line": n}}, the others go on,
and the exit status is 1. A file has an input a line: plain text, JSON lines (.jsonl: strings, or mappings for tasks
that read several fields), or a table with named columns (.csv, .tsv). Images are named by path or URL; --file may then
be a folder.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Run a task over texts, images or a file of them; JSON lines out."
    # argparse reads "%" as its own in the description only, so the epilog may hold anything.
    parser.epilog = EPILOG.format(tasks=task_lines(), examples=example_lines())
    parser.add_argument("task", help="one of those below")
    parser.add_argument("inputs", nargs="*", metavar="TEXT", help="inputs; '-' (or nothing) reads standard input")
    parser.add_argument("--model", "-m", required=True, help="a folder or the name of a repository")
    parser.add_argument("--file", "-f", help="a file with an input a line")
    parser.add_argument("--format", choices=("text", "jsonl", "csv", "tsv"), help="of the file (else by its ending)")
    parser.add_argument("--column", help="the column, or the key, that is read (else guessed)")
    parser.add_argument(
        "--about", metavar="FILE", help="the text or table (.csv, .tsv) that all inputs, questions, ask"
    )
    parser.add_argument("--output", "-o", help="a file for the results (else standard output)")
    parser.add_argument("--echo", action="store_true", help="put the input beside its result")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="an argument of the call, such as top_k=3; the value is JSON, or else text; may be repeated",
    )  # fmt: skip
    speed = parser.add_argument_group("where and how")
    speed.add_argument("--batch-size", type=int, help="most inputs in a batch (else a budget decides)")
    speed.add_argument("--token-budget", type=int, help="padded tokens (of images: pixels) in a batch")
    speed.add_argument("--device", help="cpu, cuda, cuda:1, mps, or an accelerator's number (else the best)")
    speed.add_argument("--dtype", help="float32, bfloat16, float16 or auto, as stored (auto)")
    speed.add_argument("--revision", help="branch, tag or commit of a repository")
    speed.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Run as said."""
    about = None if options.about is None else subject(options.task, Path(options.about))
    kind = takes(options.task) if about is None else "text"
    reading = Reading(kind, options.column, beside(options.task))
    parameters = named_values(options.option)
    if options.token_budget is not None and options.token_budget < 1:
        raise InputError(f"--token-budget must be at least 1, got {options.token_budget}.", "Leave it out if unsure.")
    records = source(options, reading)
    if about is not None:
        records = asked(records, options.task, about)
    check_output(options)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    pipe = loaded(options)
    # What is wrong with the options is no fault of an input: said at once, and once.
    pipe(iter(()), **parameters)
    with opened(options.output) as out:
        results = Answers(records, partial(streamed, pipe, parameters))
        bad, count = 0, 0
        for record, result in with_bar(results, options):
            count, bad = count + 1, bad + (record.error is not None)
            out.write(line_of(record, result, options.echo) + "\n")
            out.flush()
    if bad:
        print(f'{bad} of {count} inputs could not be used: see the lines with "error".', file=sys.stderr)
    return 1 if bad else 0


def source(options: argparse.Namespace, reading: Reading) -> Records:
    """Where the inputs come from. Raises `InputError` for none, or for two places at once."""
    if options.file is not None and options.inputs not in ([], ["-"]):
        raise InputError("Inputs were given both as arguments and with --file.", "Give one of them.")
    if options.file not in (None, "-"):
        return from_file(Path(options.file), options.format, reading)
    if options.file is None and options.inputs and options.inputs != ["-"]:
        return from_arguments(options.inputs, reading)
    if not options.inputs and options.file is None and sys.stdin.isatty():
        raise InputError("No input was given.", "Give a text, --file F, or '-' to type or pipe inputs.")
    return from_stdin(options.format, reading)


def check_output(options: argparse.Namespace) -> None:
    """Refuse an output that would destroy the input, or cannot be written, before a model is loaded."""
    if options.output is None:
        return
    path = Path(options.output)
    if options.file is not None and path.exists() and Path(options.file).exists() and path.samefile(options.file):
        raise InputError(f"--output {path} is the file that is read.", "Name another.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which does not exist"
        raise InputError(f"--output {path} {what}.", "Name a file in a folder that exists.")


def loaded(options: argparse.Namespace) -> Any:
    """The pipeline."""
    from samovar.pipelines.factory import pipeline

    revision = {} if options.revision is None else {"revision": options.revision}
    pipe: Any = pipeline(
        options.task, model=options.model, device=device_named(options.device), dtype=options.dtype,
        batch_size=options.batch_size, **revision,
    )  # fmt: skip
    if options.token_budget is not None:
        limits = pipe.limits
        budget = options.token_budget
        pipe.limits = lambda rows: replace(limits(rows), budget=budget)
    return pipe


def streamed(pipe: Any, parameters: dict[str, Any], values: Iterator[Any], own: dict[str, Any]) -> Iterator[Any]:
    """Results one by one, with the inputs' `own` arguments; the reading ahead stops when no more are asked for."""
    stream = pipe(values, **(parameters | own))
    try:
        yield from stream
    finally:
        stream.close()


def opened(path: str | None) -> contextlib.AbstractContextManager[TextIO]:
    """The file for the results, or standard output; always UTF-8."""
    if path is not None:
        # Half of a surrogate pair has no UTF-8; this writes it as JSON does.
        return open(path, "w", encoding="utf-8", errors="backslashreplace")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    return contextlib.nullcontext(sys.stdout)


def line_of(record: Record, result: Any, echo: bool) -> str:
    """One line of JSON."""
    values: dict[str, Any] = {"input": record.value} if echo else {}
    if record.error is not None:
        values |= {"error": record.error, "line": record.line}
    else:
        values |= {"line": record.line, "result": result}
    return json.dumps(values, ensure_ascii=False, default=plain)


def plain(value: Any) -> Any:
    """Arrays and tensors as lists; anything else as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def with_bar(results: Iterable[tuple[Record, Any]], options: argparse.Namespace) -> Iterable[tuple[Record, Any]]:
    """The same; with a progress bar when the results go elsewhere than to the terminal, once they take long."""
    if options.quiet or not sys.stderr.isatty() or (options.output is None and sys.stdout.isatty()):
        return results
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(results, total=count_of(options), delay=BAR_AFTER, unit=" inputs", dynamic_ncols=True)


def count_of(options: argparse.Namespace) -> int | None:
    """About how many inputs there are; None: unknown."""
    if options.file in (None, "-"):
        return len(options.inputs) if options.inputs not in ([], ["-"]) else None
    path = Path(options.file)
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
