"""The demo's last step: a Hub of one's own that holds the encoder, the data and the classifier, and the page to try it.

    python examples/demo_hub.py         serve again what `make demo` has made

The Hub is `samovar hub serve` over `build/hub`; whatever goes there is sent by the stock client, `huggingface_hub`.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from html import unescape
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
# The only Hub that is spoken to is on this machine: neither a proxy nor being offline concerns it.
os.environ["HF_HUB_OFFLINE"] = "0"
os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))

from demo_data import EXAMPLES, KINDS, stage, write_data
from fetch_assets import ENCODER, MANIFEST, AssetError, assets_folder, fetch

from samovar.errors import SamovarError

OWNER = "demo"
ENCODER_ID, DATA_ID, CLASSIFIER_ID = f"{OWNER}/all-MiniLM-L6-v2", f"{OWNER}/rated-snippets", f"{OWNER}/film-sentiment"

CLASSIFIER_CARD = """# Film sentiment

[{encoder}](/{encoder}), all layers fine-tuned with `Trainer` on the film reviews of [{data}](/datasets/{data}) by
`make demo`. It says whether a sentence praises or pans.

| accuracy on | texts | this model | always the more frequent label |
|---|---:|---:|---:|
{rows}

Product reviews and tweets are other kinds of text than it learned from.
"""


def write_card(folder: Path, accuracies: list[tuple[str, int, float, float]]) -> None:
    """Write the classifier's card; a row is kind of text, how many, accuracy, and the more frequent label's share."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    names = {"film reviews (held out)": ("movies", "test")} | {KINDS[one]: (one, "test") for one in KINDS}
    data = ModelCardData(
        license="apache-2.0", language="en", library_name="transformers", pipeline_tag="text-classification",
        base_model=ENCODER_ID, datasets=[DATA_ID], metrics=["accuracy"], model_name="Film sentiment",
        widget=[{"text": text} for text in EXAMPLES],
        eval_results=[
            EvalResult(
                task_type="text-classification", dataset_type=DATA_ID, dataset_name=f"Rated snippets: {kind}",
                dataset_config=names[kind][0], dataset_split=names[kind][1], metric_type="accuracy",
                metric_value=round(accuracy, 4),
            )
            for kind, _, accuracy, _ in accuracies
        ],
    )  # fmt: skip
    rows = "\n".join(
        f"| {kind} | {count:,} | {ours:.1%} | {baseline:.1%} |" for kind, count, ours, baseline in accuracies
    )
    text = CLASSIFIER_CARD.format(encoder=ENCODER_ID, data=DATA_ID, rows=rows)
    ModelCard(f"---\n{data.to_yaml()}\n---\n{text}").save(folder / "README.md")


class DemoHub:
    """A Hub in a process of its own, with a user `demo` who has a token."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log, self.password = (data.with_name(f"{data.name}.{what}") for what in ("log", "password"))

    def command(self, *given: str, **more: object) -> subprocess.CompletedProcess[str]:
        """Run `samovar hub …` on the data folder."""
        command = [sys.executable, "-m", "samovar.cli", "hub", *given, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **more)

    def __enter__(self) -> DemoHub:
        self.data.mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the Hub is ended, too.
        command = [sys.executable, "-m", "samovar.cli", "hub", "serve", "--port", "0", "--data", str(self.data)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            if not line.startswith("Hub ready at "):
                self.process.wait(30)
                said = self.log.read_text().strip().splitlines() or ["it said nothing"]
                raise SamovarError(f"the Hub did not start: {said[-1]}", f"The whole log is in {self.log}.")
            self.url = line.split()[-1]
            self.token = self.log_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def serve(self) -> None:
        """Until Ctrl-C."""
        print("Press Ctrl-C to end.", flush=True)
        with suppress(KeyboardInterrupt):
            self.process.wait()
        print()

    def log_in(self) -> str:
        """A token of the user, who is made first where there is none yet."""
        create = ("token", "create", OWNER, "--role", "write", "--days", "1", "--title", "make demo")
        done = self.command(*create)
        if done.returncode:
            password = secrets.token_urlsafe(9)
            self.password.touch(0o600)
            self.password.write_text(password + "\n")
            self.command("user", "add", OWNER, "--password-stdin", input=password)
            done = self.command(*create)
        if done.returncode:
            raise SamovarError(f"the Hub has no user {OWNER}: {done.stderr.strip()}", f"Remove {self.data}.")
        return done.stdout.strip()

    def publish(self, repository: str, folder: Path, kind: str = "model", ignore: tuple[str, ...] = ()) -> None:
        """Send a folder, as one commit; one that has not changed is none."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.url, token=self.token)
        api.create_repo(repository, repo_type=kind, exist_ok=True)
        api.upload_folder(
            repo_id=repository, repo_type=kind, folder_path=folder, ignore_patterns=list(ignore),
            commit_message="Publish what make demo has made",
        )  # fmt: skip

    def ask(self, repository: str, sentence: str) -> tuple[str, float]:
        """What the form on the model's page answers first: label and score."""
        form = urlencode({"text": sentence}).encode()
        headers = {"Origin": self.url, "X-Part": "answer"}
        opener = build_opener(ProxyHandler({}))
        with opener.open(Request(f"{self.url}/{repository}/try", form, headers), timeout=120) as answer:
            text = answer.read().decode()
        found = re.search(r"<li><span>(.*?)</span>.*?<b>([\d.]+)</b></li>", text)
        if not found:
            raise SamovarError(
                f"the page did not answer: {unescape(re.sub('<[^>]+>', ' ', text)).strip()}", "Try again."
            )
        return unescape(found[1]), float(found[2])


def publish_all(hub: DemoHub, folder: Path, seed: int) -> None:
    """Send everything, ask on the classifier's page, and say its address."""
    from huggingface_hub.utils import disable_progress_bars, logging

    disable_progress_bars()
    logging.set_verbosity_error()  # That nothing has changed since the last run is no warning here.
    with stage("publishing the encoder"):
        hub.publish(ENCODER_ID, fetch(ENCODER, assets_folder())[0], ignore=(MANIFEST,))
    with stage("publishing the snippets"), tempfile.TemporaryDirectory() as made:
        write_data(Path(made), seed)
        hub.publish(DATA_ID, Path(made), "dataset")
    with stage("publishing the classifier"):
        hub.publish(CLASSIFIER_ID, folder, ignore=("report/*", "*.bin", "checkpoint-*"))
    with stage("asking it on its page") as notes:
        label, score = hub.ask(CLASSIFIER_ID, EXAMPLES[0])
        notes.append(f"{label} {score:.1%}")
    print(f"\nType a sentence and see the answer:  {hub.url}/{CLASSIFIER_ID}")
    print(f"  the data: {hub.url}/datasets/{DATA_ID}\n  the encoder: {hub.url}/{ENCODER_ID}")
    if hub.password.exists():
        print(f"  to log in there: user {OWNER}, password {hub.password.read_text().strip()}")


def show(folder: Path, data: Path, seed: int, serve: bool, began: float) -> None:
    """Start the Hub, publish, and serve until Ctrl-C if that is wanted."""
    print("\nA Hub of one's own")
    with ExitStack() as stack:
        with stage("starting it") as notes:
            hub = stack.enter_context(DemoHub(data))
            notes.append(hub.url)
        publish_all(hub, folder, seed)
        print(f"{time.perf_counter() - began:.0f} s in all.")
        if serve:
            hub.serve()


def main() -> int:
    """Serve what an earlier demo has made; 1 when something that it needs is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    try:
        if not (options.folder / "README.md").exists():
            raise SamovarError(f"there is no classifier in {options.folder}.", "`make demo` makes one.")
        show(options.folder, options.hub, options.seed, options.serve and sys.stdin.isatty(), time.perf_counter())
    except (SamovarError, AssetError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the demo and its last step both take."""
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "sentiment", help="where the model is saved")
    parser.add_argument("--hub", type=Path, default=ROOT / "build" / "hub", help="where the Hub keeps its data")
    parser.add_argument(
        "--no-serve", dest="serve", action="store_false",
        help="end when the page has answered; without a terminal this is so anyway",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    sys.exit(main())
