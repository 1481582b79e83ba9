"""The command `samovar`: each subcommand is a module that adds its options and runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from samovar.errors import SamovarError

# What a shell reports of a program that a closed pipe ended.
PIPE_CLOSED = 141
# Name → the module in this folder; read only when it is asked for, so that `--help` is quick.
COMMANDS = {
    "inspect": "show what a checkpoint is made of, without loading it",
    "chat": "talk with a language model",
    "run": "run a task over texts, images or a file of them",
    "export": "write a model for another runtime: ONNX, torch.export, JAX, TensorFlow and more",
    "train": "fine-tune a model on a file of examples",
    "search": "find models and data sets on a Hub",
    "download": "fetch a repository, or files of it",
    "upload": "put a file or a folder into a repository",
    "login": "keep a Hub's access token on this machine",
    "logout": "forget it",
    "whoami": "say as whom this machine is logged in",
    "hub": "serve a Hub of models and data sets, and look after it",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status. Errors are two lines: the cause, then the next step."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return run_command(given[0], given[1:])
    parser = argparse.ArgumentParser(prog="samovar", description="Pretrained models on your own machines.")
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    options = parser.parse_args(given)
    if options.version:
        import samovar

        print(samovar.__version__)
        return 0
    parser.print_help()
    return 0


def run_command(name: str, given: Sequence[str]) -> int:
    """Run one command; the exit status."""
    module = importlib.import_module(f"samovar.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"samovar {name}")
    module.add_options(parser)
    # Intermixed: inputs may stand behind options, as in `samovar run TASK --model M TEXT`. Subcommands forbid it.
    subcommands = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    options = parser.parse_args(given) if subcommands else parser.parse_intermixed_args(given)
    try:
        return int(module.run(options))
    except SamovarError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"\n{error}" if str(error) else "\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has what it wanted. Without this, Python would complain once more as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
