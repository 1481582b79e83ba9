"""A terminal with a program in it: what a user types, and what is shown."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import termios
from time import monotonic
from typing import Any

# The program becomes the one that the terminal's Ctrl-C goes to.
START = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'samovar.cli', *sys.argv[1:]])"
)


class Terminal:
    """`samovar …` in a terminal of its own."""

    def __init__(self, *given: Any) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 200))
        environment = os.environ | {"TERM": "dumb"}
        self.program = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, given)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.shown = ""

    def expect(self, words: str, seconds: float = 60) -> str:
        """Wait for words; what was shown up to their end, which is then forgotten."""
        end = monotonic() + seconds
        while words not in self.shown:
            assert monotonic() < end, f"{words!r} was not shown: {self.shown!r}"
            self.read(0.2)
        place = self.shown.index(words) + len(words)
        found, self.shown = self.shown[:place], self.shown[place:]
        return found

    def read(self, seconds: float) -> bool:
        """Take in what is shown; False when the terminal was closed."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return True
        try:
            block = os.read(self.ours, 65536)
        except OSError:  # The other end is closed.
            return False
        self.shown += self.decoder.decode(block).replace("\r\n", "\n")
        return bool(block)

    def type(self, text: str) -> None:
        """Type."""
        os.write(self.ours, text.encode())

    def interrupt(self, words: str) -> None:
        """Ctrl-C until words are shown: readline handles one between its prompt and its wait with the next key."""
        for _ in range(20):
            self.type("\x03")
            end = monotonic() + 3
            while words not in self.shown and monotonic() < end:
                self.read(0.2)
            if words in self.shown:
                break
        self.expect(words, 1)

    def ended(self) -> int:
        """Wait for the end of the program; its exit status."""
        while self.read(0.2) and self.program.poll() is None:
            pass
        status = self.program.wait(60)
        os.close(self.ours)
        return status

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
            os.close(self.ours)
