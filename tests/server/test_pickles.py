"""Pickles are looked into without being run: what they import is found however it is written."""

from __future__ import annotations

import collections
import io
import os
import pickle
import pickletools
import random
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from samovar.server.objects import pickles


class Evil:
    """Loading it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def scanned(content: bytes) -> pickles.Scan:
    return pickles.scan(io.BytesIO(content))


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


STATE = collections.OrderedDict(weight=torch.ones(3, 4), bias=torch.zeros(4, dtype=torch.float16))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old"])
def test_a_state_dict_is_safe(options):
    found = scanned(saved(STATE, **options))
    assert found.status == "safe"
    assert "collections OrderedDict" in found.imports
    assert "torch._utils _rebuild_tensor_v2" in found.imports


@pytest.mark.parametrize("protocol", range(6))
def test_a_command_is_found_in_every_protocol(tmp_path, protocol):
    mark = tmp_path / "ran"
    content = pickle.dumps({"weights": [1, 2.5, "x", None], "then": Evil(str(mark))}, protocol)
    for one in (content, pickletools.optimize(content), zipped(**{"a/data.pkl": content}),
                zipped(inner=zipped(**{"data.pkl": content})), pickle.dumps(1, 4) + content):  # fmt: skip
        found = scanned(one)
        assert found.status == "dangerous"
        assert [name for name in found.imports if name.endswith(" system")]
    assert not mark.exists()


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old"])
def test_a_command_in_weights_is_found(tmp_path, options):
    found = scanned(saved({**STATE, "evil": Evil(str(tmp_path / "ran"))}, **options))
    assert found.status == "dangerous"
    assert not (tmp_path / "ran").exists()


def test_names_that_are_hidden():
    """The module's name comes out of the memo, is pushed in an odd way, or is put together while the pickle runs."""
    memo = b"\x80\x04\x8c\x02os\x940\x8c\x01x\x940h\x00\x8c\x06system\x93."
    old = b"\x80\x02U\x02osq\x000cos\nsystem\n."
    computed = b"\x80\x04\x8c\x01xN\x93."
    duplicated = b"\x80\x04\x8c\x02os2\x93."
    for content in (memo, old, computed, duplicated):
        assert scanned(content).status == "dangerous", content
    assert scanned(b"c__builtin__\neval\n(S'1'\ntR.").imports == ["builtins eval"]
    assert scanned(b"\x80\x02\x82\x01.").status == "dangerous"  # By a number that only the loader knows.
    assert scanned(b"(S'ls'\nios\nsystem\n.").status == "dangerous"


def test_what_breaks_off_is_not_safe():
    """A loader runs everything before the break."""
    good = pickle.dumps({"a": 1}, 4)
    assert scanned(good[:-1]).status == "unreadable"
    evil = b"cos\nsystem\n(S'ls'\ntR"
    for tail in (b"", b"\xff\xff\xff", b"0\x99"):
        assert scanned(b"\x80\x02" + evil + tail).status == "dangerous"
    archive = saved(STATE)
    assert scanned(archive[: len(archive) // 2]).status == "safe" or not zipfile.is_zipfile(io.BytesIO(archive[:100]))
    broken = bytearray(zipped(**{"data.pkl": good * 20}))
    broken[45] ^= 0xFF
    assert scanned(bytes(broken)).status == "unreadable"


def test_large_arguments_are_passed_over():
    """An array of many bytes within the pickle does not have to be held in memory, and what follows is still found."""
    content = b"\x80\x04C\x01x\x8e" + (3 * 2**20).to_bytes(8, "little") + bytes(3 * 2**20)
    assert scanned(content + b"0c" + b"os\nsystem\n.").imports == ["os system"]
    assert scanned(content[:-9] + b".").status == "unreadable"


def test_unknown_code_is_suspicious():
    class Own:
        pass

    Own.__qualname__ = "Own"
    globals()["Own"] = Own
    assert scanned(pickle.dumps(Own())).status == "suspicious"


def test_arrays():
    plain, objects = io.BytesIO(), io.BytesIO()
    np.save(plain, np.ones(3))
    np.save(objects, np.array([Evil("/nowhere")], dtype=object), allow_pickle=True)
    assert scanned(plain.getvalue()).status == "safe"
    assert scanned(objects.getvalue()).status == "dangerous"
    many = io.BytesIO()
    np.savez(many, a=np.ones(3), b=np.array([Evil("/nowhere")], dtype=object))
    assert scanned(many.getvalue()).status == "dangerous"


@pytest.mark.slow
def test_bombs_end():
    """An archive that grows without bound, archives in archives, and a pickle without end."""
    start = time.monotonic()
    bomb = zipped(**{f"{at}.pkl": b"\x80\x02" + bytes(50 * 2**20) for at in range(8)})
    assert scanned(bomb).status == "unreadable"
    nested = pickle.dumps(Evil("/nowhere"))
    for _ in range(10):
        nested = zipped(inner=nested)
    assert scanned(nested).status == "unreadable"
    assert scanned(b"\x80\x02" + b"N0" * 2_000_000 + b".").status == "unreadable"
    assert time.monotonic() - start < 120


def test_nothing_that_is_sent_breaks_the_scan():
    numbers = random.Random(0)
    seeds = [
        pickle.dumps(STATE, 4),
        saved(STATE),
        b"cos\nsystem\n(S'ls'\ntR.",
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}",
    ]
    for turn in range(1500):
        content = bytearray(seeds[turn % len(seeds)])
        for _ in range(numbers.randrange(1, 8)):
            content[numbers.randrange(len(content))] = numbers.randrange(256)
        assert scanned(bytes(content)).status in ("safe", "suspicious", "dangerous", "unreadable")
    for size in (0, 1, 7, 8, 100):
        assert scanned(os.urandom(size)).status


@pytest.mark.slow
def test_clients_see_what_was_found(hub, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "evil.bin").write_bytes(saved({"evil": Evil(str(tmp_path / "ran"))}))
    (folder / "good.pt").write_bytes(saved(STATE))
    (folder / "notes.txt").write_text("text")
    hub.alice.create_repo("alice/pickled")
    hub.alice.upload_folder(repo_id="alice/pickled", folder_path=folder)
    for _ in range(300):
        found = {one.path: one for one in hub.alice.list_repo_tree("alice/pickled", expand=True)}
        if all(one.security.status != "queued" for one in found.values()):
            break
        time.sleep(0.2)
    assert {path: one.security.status for path, one in found.items()} == {
        ".gitattributes": "safe", "evil.bin": "unsafe", "good.pt": "safe", "notes.txt": "safe"
    }  # fmt: skip
    imports = found["evil.bin"].security.pickle_import_scan["pickleImports"]
    assert {"name": "system", "safety": "dangerous"}.items() <= next(
        one for one in imports if one["name"] == "system"
    ).items()  # fmt: skip
    (one,) = hub.alice.get_paths_info("alice/pickled", "evil.bin", expand=True)
    assert not one.security.safe
    assert hub.alice.model_info("alice/pickled", securityStatus=True).security_repo_status == {
        "scansDone": True, "filesWithIssues": [{"path": "evil.bin", "level": "unsafe"}]
    }  # fmt: skip
    assert not Path(tmp_path / "ran").exists()
