"""What stands around the encoder of a `SentenceTransformer`: its list of modules, their folders, its settings."""

from __future__ import annotations

import shutil
from pathlib import Path

from samovar.hub.source import Source

# Of a module: how it is made, and its weights where it has some.
OF_A_MODULE = ("config.json", "model.safetensors", "pytorch_model.bin")


class SentenceFiles:
    """The files that make an encoder a model of sentences; they are the same whatever runs the encoder."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths

    @classmethod
    def of(cls, origin: str | Path) -> SentenceFiles | None:
        """Those of a folder or repository whose first module is an encoder at its root; None where there are none."""
        from samovar.sentence.files import LIST, SETTINGS, entries
        from samovar.sentence.transformer import SETTINGS as LIMITS

        source = Source(origin)
        listed = source.file(LIST)
        if listed is None:
            return None
        first, *further = [entry["path"] for entry in entries(listed)]
        if first:
            return None
        names = [LIST, SETTINGS, *LIMITS, *(f"{path}/{name}" for path in further for name in OF_A_MODULE)]
        found = {name: source.file(name) for name in names}
        return cls({name: path for name, path in found.items() if path is not None})

    def save_pretrained(self, folder: Path) -> None:
        """Copy them."""
        for name, path in self.paths.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
