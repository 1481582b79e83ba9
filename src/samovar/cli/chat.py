"""`samovar chat M`: talk with a language model; answers appear as they are written."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.cli.conversation import Conversation, Message
from samovar.cli.options import device_named, named_values
from samovar.errors import InputError, SamovarError, did_you_mean

if TYPE_CHECKING:
    from samovar.cli.partner import Partner

HELP = """\
/help            this
/system [TEXT]   show the system message, or set it ('-': none)
/retry           write the last answer anew
/undo            take back the last message and its answer
/clear           begin anew, with the same system message
/save FILE       write the conversation as JSON
/load FILE       go on with one that was saved
/exit            end; so does Ctrl-D
A trailing \\ goes on in the next line. Ctrl-C stops the answer. A message that begins with '/' is written '//…'."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Talk with a language model; answers appear as they are written."
    parser.epilog = f"""\
commands:
  {HELP.replace(chr(10), chr(10) + "  ")}

examples:
  samovar chat ./qwen --system 'You are brief.' --temperature 0.7
  echo 'Which tea is black?' | samovar chat ./qwen --quiet
"""
    parser.add_argument("model", help="a folder or the name of a repository")
    parser.add_argument("--system", help="the system message")
    parser.add_argument("--load", metavar="FILE", help="go on with a conversation that was saved")
    parser.add_argument("--quiet", "-q", action="store_true", help="no greeting")
    decoding = parser.add_argument_group("decoding (else as the checkpoint says)")
    decoding.add_argument("--max-new-tokens", type=int, default=512, help="most tokens of an answer (512)")
    decoding.add_argument("--temperature", type=float, help="of drawn tokens; 0: always the likeliest token")
    decoding.add_argument("--top-p", type=float, help="draw from the likeliest tokens of this probability together")
    decoding.add_argument("--top-k", type=int, help="draw from this many of the likeliest tokens")
    decoding.add_argument("--seed", type=int, help="makes drawn answers repeatable")
    decoding.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="another option of generate, such as repetition_penalty=1.1; may be repeated",
    )  # fmt: skip
    where = parser.add_argument_group("where")
    where.add_argument("--device", help="cpu, cuda, cuda:1, mps, or an accelerator's number (else the best)")
    where.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto, as stored (auto)")
    where.add_argument("--revision", help="branch, tag or commit of a repository")


def run(options: argparse.Namespace) -> int:
    """Talk until the end of the input."""
    if options.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens must be at least 1, got {options.max_new_tokens}.", "Such as 512.")
    conversation = Conversation()
    if options.load is not None:
        conversation.load(Path(options.load))
    if options.system is not None:
        conversation.system = options.system
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    chat = Chat(loaded(options), conversation, options)
    if not options.quiet:
        chat.greet()
    return chat.loop()


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """What `generate` is told."""
    given = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k")}
    values = {name: value for name, value in given.items() if value is not None}
    if values:
        values["do_sample"] = True
    if values.get("temperature") == 0:
        values = {"do_sample": False}
    if options.seed is not None:
        values["seed"] = options.seed
    return values | named_values(options.option)


def loaded(options: argparse.Namespace) -> Partner:
    """The model and its tokenizer."""
    from samovar.extras import require

    torch = require("torch", feature="samovar chat")
    from samovar.cli.partner import Partner
    from samovar.pipelines.base import chosen_device

    device = chosen_device(device_named(options.device), torch.device("cpu"))
    revision = {} if options.revision is None else {"revision": options.revision}
    return Partner(
        options.model, decoding_options(options), options.max_new_tokens, device=device, dtype=options.dtype, **revision
    )


class Chat:
    """Reads messages and commands, shows answers. Answers go to standard output, all else to standard error."""

    def __init__(self, partner: Partner, conversation: Conversation, options: argparse.Namespace) -> None:
        self.partner = partner
        self.conversation = conversation
        self.model = options.model
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.failed = False
        self.over = False
        self.commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self.tell(HELP),
            "system": self.set_system,
            "retry": self.retry,
            "undo": self.undo,
            "clear": self.clear,
            "save": self.save,
            "load": self.load,
            "exit": self.end,
        }
        if self.interactive:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  (lines can then be edited and brought back)

    def tell(self, text: str) -> None:
        """Say something that is no answer."""
        print(text, file=sys.stderr, flush=True)

    def greet(self) -> None:
        """Who answers, and how to get help."""
        name, limit = type(self.partner.model).__name__, self.partner.limit
        self.tell(f"{name}{'' if limit is None else f', {limit} tokens'}. /help shows the commands, Ctrl-D ends.")
        if not self.partner.has_template:
            self.tell("This checkpoint has no chat template: the model goes on with your text rather than answer it.")

    def loop(self) -> int:
        """Message by message until the end; 1 when a piped message could not be answered."""
        while not self.over:
            try:
                text = self.read()
            except EOFError:
                if self.interactive:
                    self.tell("")
                break
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                self.tell("\nCtrl-D or /exit ends.")
                continue
            if not text.strip():
                continue
            try:
                self.take(text)
            except SamovarError as error:
                self.failed = True
                self.tell(f"error: {error}")
        return 1 if self.failed and not self.interactive else 0

    def read(self) -> str:
        """One message, of several lines where they end with a backslash. Raises `EOFError` at the end."""
        lines: list[str] = []
        while True:
            try:
                line = self.read_line("… " if lines else "> ")
            except EOFError:
                if not lines:
                    raise
                return "\n".join(lines)
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])

    def read_line(self, prompt: str) -> str:
        """One line."""
        if self.interactive:
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    def take(self, text: str) -> None:
        """Do what a message says: a command, or something to answer."""
        if not text.startswith("/") or text.startswith("//"):
            before = list(self.conversation.turns)
            self.conversation.add("user", text.removeprefix("/") if text.startswith("//") else text)
            self.respond(before)
            return
        name, _, rest = text[1:].partition(" ")
        if name not in self.commands:
            hint = did_you_mean(name, self.commands)
            raise InputError(f"There is no command /{name}.", f"{hint} /help shows all.".strip())
        self.commands[name](rest.strip())

    def respond(self, before: list[Message]) -> None:
        """Show an answer as it is written, and keep it; a stopped one as far as it came. An error restores `before`."""
        pieces: list[str] = []
        try:
            with self.partner.answer(self.conversation, self.tell) as stream:
                for piece in stream:
                    pieces.append(piece)
                    sys.stdout.write(piece)
                    sys.stdout.flush()
        except KeyboardInterrupt:
            self.conversation.add("assistant", "".join(pieces))
            print(flush=True)
            self.tell("Stopped.")
            if not self.interactive:
                raise
            return
        except BaseException:
            # A message without an answer would stand between two others.
            self.conversation.turns = before
            if pieces:
                print(flush=True)
            raise
        print(flush=True)
        self.conversation.add("assistant", "".join(pieces))

    # Commands -----------------------------------------------------------------------------------------------------

    def set_system(self, text: str) -> None:
        """Show or set the system message."""
        if text:
            self.conversation.system = None if text == "-" else text
        self.tell(f"System message: {self.conversation.system or 'none'}")

    def retry(self, _: str) -> None:
        """The last answer anew."""
        before = list(self.conversation.turns)
        if not self.conversation.unanswered():
            raise InputError("There is no answer to write anew.", "Say something first.")
        self.respond(before)

    def undo(self, _: str) -> None:
        """Take back the last exchange."""
        if not self.conversation.undo():
            raise InputError("There is nothing to take back.", "Say something first.")
        self.tell(f"Taken back; {self.conversation.exchanges()} message(s) before it.")

    def clear(self, _: str) -> None:
        """Begin anew."""
        self.conversation.clear()
        self.tell("A new conversation.")

    def save(self, name: str) -> None:
        """Write the conversation."""
        path = named_file(name, "/save")
        self.conversation.save(path, self.model)
        self.tell(f"Saved: {path}")

    def load(self, name: str) -> None:
        """Go on with another."""
        path = named_file(name, "/load")
        self.conversation.load(path)
        self.tell(f"{path}: {self.conversation.exchanges()} message(s) and their answers.")

    def end(self, _: str) -> None:
        """End."""
        self.over = True


def named_file(name: str, command: str) -> Path:
    """The path that stands behind a command. Raises `InputError` when there is none."""
    if not name:
        raise InputError(f"{command} needs the name of a file.", f"Such as {command} talk.json")
    return Path(name).expanduser()
