"""Pages of a repository's files, past and discussions: what they show, what they change, and for whom."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import subprocess
import time

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Browser
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from playwright.sync_api import expect

expect.set_options(timeout=60_000)
LINES = [f"line {number}" for number in range(40)]
TENSORS = [f"layer.{number}.{name}" for number in range(120) for name in ("query", "key")]


class Harmful:
    """A pickle that would run a program."""

    def __reduce__(self):
        return os.system, ("id",)


def weights() -> bytes:
    """A safetensors file with many tensors, of which the last one is the largest."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in TENSORS:
        count = 4 if name != TENSORS[-1] else 12
        header[name] = {"dtype": "F32", "shape": [count // 2, 2], "data_offsets": [at, at + 4 * count]}
        at += 4 * count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


@pytest.fixture(scope="module")
def filled(hub):
    """A model of alice with a past, large files, pickles, many files in a folder, and a pull request of bob."""
    alice, bob, name = hub.alice, hub.bob, "alice/aged"
    alice.create_repo(name)
    add = CommitOperationAdd
    first = "\n".join(LINES) + "\n"
    many = [add(f"many/{number:04}.txt", b"x") for number in range(520)]
    alice.create_commit(
        name, [add("notes.txt", first.encode()), add("old.bin", os.urandom(2_000)), *many], commit_message="First"
    )
    changed = first.replace("line 7\n", "line <b>seven</b>\n")
    alice.create_commit(
        name,
        [
            add("notes.txt", changed.encode()), add("old.bin", os.urandom(3_000)),
            CommitOperationDelete("many/0000.txt"), add("model.safetensors", weights()),
            add("evil.pkl", pickle.dumps(Harmful())), add("long.txt", "\n".join(map(str, range(3000))).encode()),
        ],
        commit_message="Change things", commit_description="Because.",
    )  # fmt: skip
    bob.create_commit(
        name, [add("notes.txt", changed.replace("line 3\n", "line three\n").encode())], create_pr=True,
        commit_message="Say three in words", commit_description="So *much* better. <script>alert(1)</script>",
    )  # fmt: skip
    return name


@pytest.fixture
def owner(hub):
    """Alice's browser."""
    with Browser(hub.url) as browser:
        browser.log_in("alice")
        yield browser


@pytest.fixture
def visitor(hub):
    """Somebody who is not logged in."""
    with Browser(hub.url) as browser:
        yield browser


def plain(html: str) -> str:
    """A page's text."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_commit_shows_lines_and_sizes(hub, filled, visitor):
    (latest, *_) = hub.alice.list_repo_commits(filled)
    page = visitor.get(f"/{filled}/commit/{latest.commit_id}").text
    assert "Because." in page
    assert re.search(r'class="gone"><td>8</td><td></td><td>-</td><td>line 7<', page)
    assert re.search(r'class="new"><td></td><td>8</td><td>\+</td><td>line &lt;b&gt;seven&lt;/b&gt;<', page)
    text = plain(page)
    assert "2 kB → 3 kB" in text
    assert "deleted many/0000.txt" in text
    # Long ones are folded, the first lines of very long ones are there.
    folded = re.findall(r'<details class="difference"( open)?>.*?<code>(.*?)</code>', page, re.DOTALL)
    assert ("", "long.txt") in folded
    assert (" open", "notes.txt") in folded
    assert "The rest is left out" in text


def test_the_past_of_one_file_by_pages(hub, filled, visitor, tmp_path):
    titles = [
        re.sub(r"\s+", " ", one)
        for one in re.findall(
            r'commit/[0-9a-f]{40}">([^<]*)</a>', visitor.get(f"/{filled}/commits/main/notes.txt").text
        )
    ]
    assert titles == ["Change things", "First"]
    assert "Change things" not in plain(visitor.get(f"/{filled}/commits/main/many/0001.txt").text)
    assert "Change things" in plain(visitor.get(f"/{filled}/commits/main/many").text)
    name = "alice/busy"
    hub.alice.create_repo(name)
    stream = "".join(
        f"commit refs/heads/main\ncommitter a <a@b> {1_700_000_000 + number} +0000\ndata <<E\nNumber {number}\nE\n"
        f"M 100644 inline n\ndata <<E\n{number}\nE\n\n"
        for number in range(53)
    )
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet", "--bare"], check=True)
    subprocess.run([*git, "fast-import", "--quiet"], input=stream.encode(), check=True)
    where = hub.url.replace("//", f"//alice:{hub.alice.token}@")
    subprocess.run([*git, "push", "--quiet", "--force", f"{where}/{name}", "main"], check=True)
    first, second = (visitor.get(f"/{name}/commits/main/n?p={p}").text for p in (0, 1))
    assert first.count(">Number ") == 50
    assert re.findall(r">(Number \d+)<", second) == ["Number 2", "Number 1", "Number 0"]
    assert 'href="?p=1"' in first
    assert "Older" not in second


def test_scans_and_large_folders_in_the_tree(filled, visitor):
    deadline = time.monotonic() + 60
    while "pickle: queued" in (page := visitor.get(f"/{filled}/tree/main").text):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "pickle: unsafe" in page
    evil = plain(visitor.get(f"/{filled}/blob/main/evil.pkl").text)
    assert "Pickle scan: unsafe" in evil
    assert "posix.system dangerous" in evil
    first = visitor.get(f"/{filled}/tree/main/many").text
    assert first.count("/blob/main/many/") == 500
    (further,) = re.findall(r'href="(\?after=[^"]+)"', first)
    second = visitor.get(f"/{filled}/tree/main/many{further}").text
    names = re.findall(r"/blob/main/many/(\d+)\.txt", first + second)
    assert names == [f"{number:04}" for number in range(1, 520)]


def test_tensors_are_filtered_sorted_and_paged(filled, visitor):
    def names(query: str) -> list[str]:
        page = visitor.get(f"/{filled}/blob/main/model.safetensors{query}").text
        return re.findall(r"<td><code>([^<]+)</code></td>", page)

    assert names("") == TENSORS[:200]
    assert names("?p=1") == TENSORS[200:]
    assert names("?search=KEY&sort=name")[:3] == ["layer.0.key", "layer.1.key", "layer.2.key"]
    assert len(names("?search=key")) == 120
    assert names("?sort=-values")[0] == TENSORS[-1]
    assert names("?search=%3Cnone%3E&p=99999&sort=nonsense") == []
    assert "F32" in visitor.get(f"/{filled}/blob/main/model.safetensors").text


def test_a_file_is_renamed_and_deleted_on_its_page(hub, owner, visitor):
    name = "alice/renamed"
    hub.alice.create_repo(name)
    content = os.urandom(2_000)
    for path, data in (("a.txt", b"text"), ("w.bin", content)):
        hub.alice.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=name)
    for path, new in (("a.txt", "sub/b c.txt"), ("w.bin", "weights/w.bin")):
        answer = owner.submit(f"/{name}/blob/main/{path}", csrf=owner.csrf, deed="rename", name=new)
        assert answer.status_code == 303
        assert owner.get(answer.headers["location"]).status_code == 200
    assert set(hub.alice.list_repo_files(name)) == {".gitattributes", "sub/b c.txt", "weights/w.bin"}
    assert httpx.get(f"{hub.url}/{name}/resolve/main/weights/w.bin").content == content
    taken = owner.submit(f"/{name}/blob/main/weights/w.bin", csrf=owner.csrf, deed="rename", name="sub/b c.txt")
    assert taken.status_code == 409
    assert owner.submit(f"/{name}/blob/main/weights/w.bin", csrf=owner.csrf, deed="delete").status_code == 303
    assert "weights/w.bin" not in hub.alice.list_repo_files(name)
    assert "Rename or delete" in owner.get(f"/{name}/blob/main/sub/b c.txt").text
    assert "Rename or delete" not in visitor.get(f"/{name}/blob/main/sub/b c.txt").text
    assert visitor.submit(f"/{name}/blob/main/sub/b c.txt", deed="delete").status_code == 401
    assert owner.submit(f"/{name}/blob/main/sub/b c.txt", csrf="x", deed="delete").status_code == 403
    assert len(hub.alice.list_repo_commits(name)) == 6


def test_gated_and_private_repositories_show_no_lines(hub, owner, visitor):
    for name, more in (("alice/gated", {}), ("alice/secret", {"private": True})):
        hub.alice.create_repo(name, **more)
        hub.alice.upload_file(path_or_fileobj=b"the secret", path_in_repo="a.txt", repo_id=name)
        hub.alice.create_commit(
            name, [CommitOperationAdd("a.txt", b"the other secret")], commit_message="Change", create_pr=True
        )
    hub.alice.update_repo_settings("alice/gated", gated="manual")
    for name, statuses in (("alice/gated", {200, 303, 401, 403}), ("alice/secret", {404})):
        commit = hub.alice.list_repo_commits(name)[0].commit_id
        for path in (f"commit/{commit}", "commits/main/a.txt", "blob/main/a.txt", "discussions", "discussions/1"):
            answer = visitor.get(f"/{name}/{path}")
            assert "secret" not in answer.text.replace(name, ""), path
            assert answer.status_code in statuses, path
        assert "the other secret" in owner.get(f"/{name}/discussions/1").text
        assert "the secret" in owner.get(f"/{name}/commit/{commit}").text


def test_discussions_are_begun_answered_and_closed(hub, filled, visitor, owner, people):
    stranger = people.user()
    with Browser(hub.url) as somebody:
        somebody.log_in(stranger)
        began = somebody.submit(
            f"/{filled}/discussions/new",
            csrf=somebody.csrf,
            title="How was it trained?",
            comment="---\nTell <img src=x onerror=alert(1)> the **data**.",
        )
        where = began.headers["location"]
        page = visitor.get(where).text
        assert "<strong>data</strong>" in page
        assert "onerror" not in page
        assert "Log in to take part" in page
        assert visitor.submit(where, comment="x").status_code == 401
        assert "How was it trained?" in visitor.get(f"/{filled}/discussions?type=discussion").text
        # What does not fit is told, and the text stays.
        wrong = somebody.submit(f"/{filled}/discussions/new", csrf=somebody.csrf, title="x", comment="kept text")
        assert wrong.status_code == 400
        assert "kept text" in wrong.text
        assert owner.submit(where, csrf=owner.csrf, deed="comment", comment="With care.").status_code == 303
        assert somebody.submit(where, csrf=somebody.csrf, deed="close", comment="Thanks.").status_code == 303
        assert "Thanks." in visitor.get(where).text
        assert "How was it trained?" not in visitor.get(f"/{filled}/discussions").text
        assert "How was it trained?" in visitor.get(f"/{filled}/discussions?status=closed").text
        assert somebody.submit(where, csrf=somebody.csrf, deed="reopen").status_code == 303
        assert somebody.submit(where, csrf="x", deed="close").status_code == 403
        # Nobody closes, hides or merges what is not theirs.
        other = f"/{filled}/discussions/1"
        for deed in ("close", "merge"):
            assert somebody.submit(other, csrf=somebody.csrf, deed=deed).status_code == 403
        event = re.search(r'name="event" value="(\w+)"', owner.get(where).text)
        assert event is not None
        assert owner.submit(where, csrf=owner.csrf, deed="hide", event=event[1]).status_code == 303
        assert "<strong>data</strong>" not in visitor.get(where).text
    assert visitor.get(f"/{filled}/discussions/999").status_code == 404


def test_a_pull_request_is_read_and_merged_and_axe_finds_nothing(hub, filled, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{hub.url}/login")
    page.locator("input[name=name]").fill("alice")
    page.locator("input[name=password]").fill("password of alice")
    page.locator("main button").first.click()
    page.wait_for_url(lambda url: "login" not in url)
    for path in (
        "tree/main", "blob/main/evil.pkl", "blob/main/model.safetensors?search=layer.1", "commit/refs%2Fpr%2F1",
        "commits/main/notes.txt", "discussions", "discussions/new", "discussions/1", "upload/main",
    ):  # fmt: skip
        page.goto(f"{hub.url}/{filled}/{path}")
        for theme in ("light", "dark") if path == "discussions/1" else ("light",):
            page.emulate_media(color_scheme=theme)
            found = Axe().run(page).response["violations"]
            assert not found, (path, [(one["id"], one["nodes"][0]["html"][:200]) for one in found])
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{hub.url}/{filled}")
    page.get_by_role("link", name="Community").click()
    page.get_by_role("link", name="Say three in words").click()
    expect(page.locator("tr.new")).to_contain_text("line three")
    page.get_by_label("Comment").fill("Fine.")
    page.get_by_role("button", name="Merge").click()
    expect(page.locator(".talk .badge").first).to_have_text("merged")
    expect(page.get_by_role("button", name="Merge")).to_have_count(0)
    page.get_by_role("link", name=re.compile("The commit")).click()
    expect(page.locator("tr.new")).to_contain_text("line three")
    context.close()
    assert b"line three" in httpx.get(f"{hub.url}/{filled}/resolve/main/notes.txt").content
