"""A commit's files laid out in a folder, as a pipeline reads them: large ones linked, not copied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from samovar.server.hub import Hub
from samovar.server.objects.pointers import LARGEST, parse
from samovar.server.repos.revisions import resolve
from samovar.server.repos.trees import FOLDER, walk

# What a model is made of; data, pictures of the card and weights of other frameworks stay where they are.
WANTED = (".json", ".txt", ".safetensors", ".model", ".tiktoken", ".jinja", ".bin")
MOST_FILES = 500


def snapshot(hub: Hub, repository_id: int, commit: str) -> Path:
    """The folder of one commit, made if it is not there. The large files share the store's space where they can."""
    root = hub.settings.data / "inference"
    target = root / f"{repository_id}-{commit}"
    if target.is_dir():
        return target
    draft = root / f".{repository_id}-{commit}-{os.urandom(6).hex()}"
    git = hub.folders.open(repository_id)
    found = resolve(git, commit)
    names = [
        path for path, mode, _ in walk(git, found.tree_id.raw, "", True) if mode != FOLDER and path.endswith(WANTED)
    ]
    if any(name.endswith(".safetensors") for name in names):
        names = [name for name in names if not name.endswith(".bin")]
    try:
        for name in names[:MOST_FILES]:
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = git.odb.read(found.tree[name].id)[1]
            pointer = parse(data) if len(data) <= LARGEST else None
            if pointer is None:
                path.write_bytes(data)
                continue
            local = hub.objects.local_path(pointer.sha256)
            if local is not None:
                # A symbolic link: the folder may lie on another disk than the store.
                path.symlink_to(local)
                continue
            with path.open("wb") as file:
                for piece in hub.objects.read(pointer.sha256):
                    file.write(piece)
        draft.mkdir(parents=True, exist_ok=True)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.is_dir():  # Else somebody else made it at the same time.
            raise
    return target


def forget(hub: Hub, keep: set[str]) -> None:
    """Remove the folders of commits that no worker uses."""
    for path in (hub.settings.data / "inference").glob("*"):
        if path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)


def weight(folder: Path) -> int:
    """Bytes of the weights in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".safetensors", ".bin"))
