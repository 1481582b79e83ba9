"""A safetensors file of 2 GB up and down by the stock client, as it comes: `huge.py URL TOKEN FOLDER [BYTES]`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

URL, TOKEN, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
BYTES = int(sys.argv[4]) if len(sys.argv) > 4 else 2 * 10**9
PIECE = 2**24
os.environ.update(HF_ENDPOINT=URL, HF_HOME=str(FOLDER / "home"), HF_HUB_DISABLE_TELEMETRY="1")
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ.pop("HF_HUB_OFFLINE", None)

from huggingface_hub import HfApi  # noqa: E402  (it reads the environment when it is imported)


def write(path: Path) -> str:
    """One tensor of random bytes behind a header; the file's SHA-256."""
    head = json.dumps({"w": {"dtype": "U8", "shape": [BYTES], "data_offsets": [0, BYTES]}}).encode()
    head += b" " * (-len(head) % 8)
    digest, left = hashlib.sha256(), BYTES
    with path.open("wb") as file:
        piece = len(head).to_bytes(8, "little") + head
        while piece:
            digest.update(piece)
            file.write(piece)
            piece = os.urandom(min(PIECE, left))
            left -= len(piece)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Of a file, piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    api = HfApi(endpoint=URL, token=TOKEN)
    repo = f"{api.whoami()['name']}/huge"
    expected = write(FOLDER / "model.safetensors")
    size = (FOLDER / "model.safetensors").stat().st_size
    api.create_repo(repo)
    began = time.monotonic()
    api.upload_file(path_or_fileobj=FOLDER / "model.safetensors", path_in_repo="model.safetensors", repo_id=repo)
    up = time.monotonic() - began
    (FOLDER / "model.safetensors").unlink()
    assert api.model_info(repo, expand=["safetensors"]).safetensors.total == BYTES
    began = time.monotonic()
    path = Path(api.hf_hub_download(repo, "model.safetensors"))
    down = time.monotonic() - began
    assert sha256(path) == expected
    print(f"  {size:,} bytes up in {up:.1f} s ({size / up / 1e6:.0f} MB/s), down in {down:.1f} s", end="")
    print(f" ({size / down / 1e6:.0f} MB/s)")
