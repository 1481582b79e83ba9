"""Run the blocks of pages in order, each page in a process and a folder of its own; what they printed as JSON.

Started by the tests in an environment that leads to a Hub: `runner.py PAGE … < settings`. What is slow to import is
imported once; the pages are run by children of this process, two at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from blocks import Block, blocks

from forks import Forks

AT_ONCE = 2
# Where the pages say that a Hub is.
DOCUMENTED = "127.0.0.1:8080"
# Commands are copies of a process that has its imports behind it, except those that are told another way to the Hub:
# that is read at import. A server goes on in the background, as it would in a terminal of its own; the next line waits
# until it answers.
SERVED = """
started() {
  if [ "$HF_HUB_OFFLINE $HF_ENDPOINT" = "$DOCS_IMPORTED" ]; then $DOCS_COMMAND "$@"; else command samovar "$@"; fi
}
samovar() {
  if [ "$1 $2" = "hub serve" ]; then
    started "$@" > serving.txt 2> serving.log &
    echo $! >> "$DOCS_SERVERS"
    for _ in $(seq 300); do
      grep -q "Hub ready" serving.txt && return 0
      kill -0 $! 2> /dev/null || { cat serving.log >&2; return 1; }
      sleep 0.1
    done
    return 1
  fi
  started "$@"
}
"""


class Page:
    """One page being run."""

    def __init__(self, settings: dict[str, str], folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.namespace: dict[str, object] = {"__name__": "__main__"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.hub = settings["hub"]
        self.servers = folder / "servers.txt"
        self.variables = folder / "variables.txt"

    def placed(self, block: Block, serves: bool) -> str:
        """The block's code with this machine's addresses and folders."""
        hub = f"127.0.0.1:{self.port}" if serves else self.hub.removeprefix("http://")
        code = block.script.replace(DOCUMENTED, hub).replace("localhost:8080", hub)
        code = code.replace("--port 8080", f"--port {self.port}")
        for name in ("/srv/hub", "/backup/hub"):
            code = code.replace(name, str(self.folder / name[1:]))
        return code

    def python(self, block: Block, code: str) -> str:
        """Run Python here."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Lines of the page, so that a traceback leads there.
            exec(compile("\n" * block.line + code, block.page, "exec"), self.namespace)
        return printed.getvalue()

    def shell(self, code: str) -> str:
        """Run a script; what it exports holds for the blocks behind it."""
        environment = {**os.environ, "DOCS_SERVERS": str(self.servers), "SAMOVAR_HUB_PORT": str(self.port)}
        kept = f". {self.variables}\n" if self.variables.exists() else ""
        script = f"set -e\n{kept}{SERVED}\n{code}\nexport -p > {self.variables}\n"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script], env=environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=900,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def stop(self) -> None:
        """End the servers that the page has started."""
        if self.servers.exists():
            for number in self.servers.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGTERM)


def run(name: str, settings: dict[str, str], folder: Path) -> list[dict[str, object]]:
    """The results of a page's blocks, up to the first that fails."""
    page = Page(settings, folder)
    os.environ["HOME"] = str(page.home)
    work = folder / "work"
    shutil.copytree(settings["files"], work, symlinks=True)
    (page.home / ".cache" / "samovar").mkdir(parents=True)
    (page.home / ".cache" / "samovar" / "assets").symlink_to(settings["assets"])
    for absolute in ("srv", "backup"):
        (folder / absolute).mkdir()
    os.chdir(work)
    sys.path.insert(0, str(work))
    done = []
    every = [block for block in blocks(name) if block.runs]
    serves = any("hub serve" in block.code for block in every if block.language != "python")
    try:
        for block in every:
            code, printed, error = page.placed(block, serves), "", ""
            try:
                printed = page.python(block, code) if block.language == "python" else page.shell(code)
            except BaseException:
                error = traceback.format_exc()
            for address in (page.hub.removeprefix("http://"), f"127.0.0.1:{page.port}"):
                printed = printed.replace(address, DOCUMENTED)
            done.append({"line": block.line, "printed": printed.splitlines(), "error": error})
            if error:
                break
    finally:
        page.stop()
    return done


def child(name: str, settings: dict[str, str], folder: Path) -> None:
    """Run a page and end, whatever happens: what the parent does is not for a child."""
    status = 1
    try:
        result = run(name, settings, folder)
        (folder / "result.json").write_text(json.dumps(result), "utf-8")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Run the pages that the arguments name."""
    settings = json.load(sys.stdin)
    import torch

    # Read by the libraries themselves when something is first trained or exported, in each process again.
    for name in settings["slow"]:
        importlib.import_module(name)

    import samovar
    from samovar import AutoModel, SentenceTransformer, Trainer, evaluate, pipeline  # noqa: F401

    assert samovar.__version__
    torch.set_num_threads(1)
    commands = Forks(*settings["imports"])
    os.environ["DOCS_FORKS"] = commands.path
    os.environ["DOCS_COMMAND"] = f"{sys.executable} -IS {Path(__file__).with_name('forked.py')}"
    os.environ["DOCS_IMPORTED"] = f"{os.environ['HF_HUB_OFFLINE']} {os.environ['HF_ENDPOINT']}"
    root, running, waiting = Path(settings["folder"]), {}, list(sys.argv[1:])
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name = waiting.pop(0)
            folder = root / name.replace("/", "--")
            folder.mkdir()
            number = os.fork()
            if not number:
                child(name, settings, folder)
            running[number] = name
        number, _ = os.wait()
        running.pop(number, None)


if __name__ == "__main__":
    main()
