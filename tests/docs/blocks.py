"""The blocks of code of a Markdown page: what runs them, and what they promise to print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
RUN = ("python", "sh", "console")
NO_RUN = "no-run"


@dataclass(frozen=True)
class Block:
    """A block: where it stands, its language, and what the words behind the language say."""

    page: str
    line: int
    language: str
    marks: str
    code: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether it is run in the order of its page."""
        return self.language in RUN and NO_RUN not in self.marks and not self.code.startswith(">>> ")

    @property
    def promised(self) -> list[str]:
        """The lines behind `# →`; of a console everything that is no command."""
        if self.language == "console":
            lines = self.code.replace("localhost:8080", "127.0.0.1:8080").splitlines()
            return [line for line in lines if not line.startswith("$ ")]
        return re.findall(r"# → ?(.*)", self.code)

    @property
    def script(self) -> str:
        """What is run: of a console the commands."""
        if self.language == "console":
            return "\n".join(line[2:] for line in self.code.splitlines() if line.startswith("$ "))
        return self.code


def pages() -> list[str]:
    """The pages whose blocks are run, relative to the repository."""
    found = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(
            page, text[: found.start()].count("\n") + 1, (found[2].split() or [""])[0],
            found[2].partition(" ")[2].strip(), re.sub(rf"(?m)^{found[1]}", "", found[3]),
        )
        for found in FENCE.finditer(text)
    ]  # fmt: skip


def fits(promised: list[str], printed: list[str]) -> bool:
    """Whether what was printed is what was promised; `…` stands for any part of a line, alone for any lines."""
    pattern = ""
    for line in promised:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(re.escape(part.rstrip()) if number else re.escape(part)
                                   for number, part in enumerate(line.rstrip().split("…"))) + r"\s*\n"  # fmt: skip
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed)) is not None
