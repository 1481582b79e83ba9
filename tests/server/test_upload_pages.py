"""Upload by browser: a folder in one commit, going on after a broken connection, refusals, plain forms, rights."""

from __future__ import annotations

import hashlib
import os
import time

import httpx
import pytest
from browser import Browser
from playwright.sync_api import expect
from running_hub import RunningHub

from samovar.server.offline import OPERATOR
from samovar.server.services import quota

expect.set_options(timeout=60_000)
PART = 2**20


@pytest.fixture(scope="module")
def hub(client_online, tmp_path_factory):
    """A Hub with small parts, and room for little of somebody called small."""
    running = RunningHub(tmp_path_factory.mktemp("hub"), part=str(PART), large_file="100000", largest_file="20000000")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def folder(tmp_path):
    """A folder as people have them: a card, weights, something below, and git's own files; new in each test."""
    made = tmp_path / "my-model"
    for path, content in {
        "README.md": b"---\nlicense: mit\n---\n# Mine\n", "config.json": b'{"model_type": "bert"}',
        "model.safetensors": os.urandom(int(3.3 * PART)), "onnx/один 1.onnx": os.urandom(150_000),
        ".git/HEAD": b"ref: x",
    }.items():  # fmt: skip
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(content)
    return made


class Visitor:
    """Somebody at a browser who is logged in; counts what the page sends."""

    def __init__(self, browser, hub, name: str, **more) -> None:
        self.hub, self.name = hub, name
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **more)
        self.context.set_default_timeout(30_000)
        self.page, self.sent, self.errors = self.context.new_page(), [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda one: self.sent.append(one.url) if one.method == "PUT" else None)
        self.page.goto(f"{hub.url}/login")
        self.page.locator("input[name=name]").fill(name)
        self.page.locator("input[name=password]").fill(f"password of {name}")
        self.page.locator("main button").first.click()
        self.page.wait_for_url(lambda url: "login" not in url)

    def upload(self, repository: str, chosen, rest: str = "main") -> None:
        """Choose a folder and press the button."""
        self.page.goto(f"{self.hub.url}/{repository}/upload/{rest}")
        self.page.locator("input[name=tree]").set_input_files(chosen)
        self.page.get_by_role("button", name="Upload").click()

    def drop(self, path) -> None:
        """Drag a folder from the file manager onto the page."""
        box = self.page.locator(".drop").bounding_box()
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        mouse = {"x": box["x"] + 50, "y": box["y"] + 20, "data": data}
        tools = self.context.new_cdp_session(self.page)
        for event in ("dragEnter", "dragOver", "drop"):
            tools.send("Input.dispatchDragEvent", {"type": event, **mouse})


@pytest.fixture
def alice(hub, browser, people):
    """A person with a browser and an empty model."""
    visitor = Visitor(browser, hub, people.user())
    visitor.client = people.client(visitor.name)
    visitor.model = f"{visitor.name}/model"
    visitor.client.create_repo(visitor.model)
    yield visitor
    visitor.context.close()
    assert not visitor.errors


def uploaded(folder) -> dict[str, bytes]:
    """What is to be in the repository: path → content."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: content for path, content in files.items() if not path.startswith(".git/")}


def stored(hub, repository: str, paths) -> dict[str, bytes]:
    """The same as anybody fetches it."""
    return {path: httpx.get(f"{hub.url}/{repository}/resolve/main/{path}").content for path in paths}


def test_a_folder_becomes_one_commit_and_the_same_again_none(alice, folder):
    alice.page.goto(f"{alice.hub.url}/{alice.model}")
    expect(alice.page.get_by_text(f"samovar upload {alice.model}")).to_be_visible()
    alice.page.get_by_role("link", name="Upload by browser").click()
    alice.drop(folder)
    expect(alice.page.locator("[data-list] li")).to_have_count(4)
    expect(alice.page.get_by_role("status")).to_contain_text("were left out: 1.")
    alice.page.get_by_label("What was changed").fill("All at once")
    alice.page.get_by_role("button", name="Upload").click()
    alice.page.wait_for_url("**/tree/main")
    wanted = uploaded(folder)
    assert stored(alice.hub, alice.model, wanted) == wanted
    assert [one.title for one in alice.client.list_repo_commits(alice.model)] == ["All at once", "initial commit"]
    assert len(alice.sent) == 5  # Four parts and a whole file.
    alice.upload(alice.model, folder)
    expect(alice.page.get_by_text("All these files are there already.")).to_be_visible()
    assert len(alice.sent) == 5
    assert len(alice.client.list_repo_commits(alice.model)) == 2
    # Into a folder, with the folder's own name, as a pull request: nothing of it is sent a second time.
    alice.page.goto(f"{alice.hub.url}/{alice.model}/upload/main/old")
    alice.page.get_by_label("Keep the name").check()
    alice.page.get_by_label("Open a pull request").check()
    alice.page.locator("input[name=tree]").set_input_files(folder)
    alice.page.get_by_role("button", name="Upload").click()
    alice.page.wait_for_url("**/discussions/1")
    assert len(alice.sent) == 5
    paths = {one.path for one in alice.client.list_repo_tree(alice.model, recursive=True, revision="refs/pr/1")}
    assert {f"old/my-model/{path}" for path in wanted} <= paths
    assert len(alice.client.list_repo_commits(alice.model)) == 2


def test_after_a_broken_connection_and_a_reload_only_the_rest_is_sent(alice, folder):
    passed = []

    def gate(route):
        passed.append(route.request.url)
        if len(passed) > 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    alice.page.route("**/api/lfs/parts/**", gate)
    alice.upload(alice.model, folder)
    expect(alice.page.get_by_text("The connection is broken.")).to_be_visible()
    # The page is loaded again with two of four parts on the Hub, which was restarted meanwhile.
    alice.page.on("dialog", lambda dialog: dialog.accept())
    alice.page.goto(f"{alice.hub.url}/{alice.model}")
    # Only now: the page that is left tries again every second.
    alice.page.unroute("**/api/lfs/parts/**")
    alice.hub.stop()
    alice.hub.start(int(alice.hub.url.rpartition(":")[2].strip("/")))
    alice.sent.clear()
    alice.upload(alice.model, folder)
    alice.page.wait_for_url("**/tree/main")
    assert len([url for url in alice.sent if "/parts/" in url]) == 2
    wanted = uploaded(folder)
    assert stored(alice.hub, alice.model, wanted) == wanted


def test_while_the_page_stays_open_it_goes_on_by_itself(alice, folder):
    port = int(alice.hub.url.rpartition(":")[2].strip("/"))
    alice.page.route("**/api/lfs/parts/**", lambda route: (time.sleep(0.3), route.continue_()))
    alice.upload(alice.model, folder)
    expect(alice.page.locator("[data-state=sending]").first).to_be_visible()
    alice.hub.kill()
    expect(alice.page.get_by_text("The connection is broken.")).to_be_visible()
    alice.hub.start(port)
    alice.page.wait_for_url("**/tree/main")
    wanted = uploaded(folder)
    assert stored(alice.hub, alice.model, wanted) == wanted
    # Whatever was under way when the Hub ended was sent twice, and nothing else.
    assert len([url for url in alice.sent if "/parts/" in url]) <= 5


def test_parts_that_arrived_are_told_to_whoever_sent_them_alone(hub, people):
    first, second = people.user(), people.user()
    lab = people.organisation(first, **{second: "write"})
    people.client(first).create_repo(f"{lab}/shared")
    content = os.urandom(2 * PART + 5)
    wanted = [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}]

    def ask(user: str, **more) -> dict:
        question = {"operation": "upload", "transfers": ["multipart"], "objects": wanted, **more}
        path = f"{hub.url}/{lab}/shared.git/info/lfs/objects/batch"
        return httpx.post(path, json=question, headers=people.bearer(user)).json()["objects"][0]["actions"]["upload"]

    begun = ask(first, resumable=True)
    assert "arrived" not in begun
    httpx.put(begun["header"]["2"], content=content[PART : 2 * PART]).raise_for_status()
    again = ask(first, resumable=True)
    assert again["arrived"] == [2]
    assert "arrived" not in ask(second, resumable=True)
    assert "arrived" not in ask(first)
    for number in (1, 3):
        part = content[(number - 1) * PART : number * PART]
        httpx.put(again["header"][str(number)], content=part).raise_for_status()
    parts = [{"partNumber": number, "etag": ""} for number in (1, 2, 3)]
    httpx.post(again["href"], json={"oid": wanted[0]["oid"], "parts": parts}).raise_for_status()


def test_what_is_refused_is_told_with_the_file_and_nothing_is_lost(alice, tmp_path):
    for name, count in (("good.bin", 200_000), ("huge.bin", 20_000_001), ("git~1", 10)):
        (tmp_path / name).write_bytes(os.urandom(count))
    alice.upload(alice.model, tmp_path)
    rows = alice.page.locator("[data-list] li")
    expect(rows.filter(has_text="huge.bin")).to_contain_text("no file may have so many")
    expect(rows.filter(has_text="git~1")).to_contain_text("cannot be a file's path")
    expect(rows.filter(has_text="good.bin")).to_have_attribute("data-state", "sent")
    assert len(alice.client.list_repo_commits(alice.model)) == 1
    for name in ("huge.bin", "git~1"):
        rows.filter(has_text=name).get_by_role("button").click()
    alice.page.get_by_role("button", name="Upload").click()
    alice.page.wait_for_url("**/tree/main")
    assert len(alice.sent) == 1
    assert alice.client.file_exists(alice.model, "good.bin")


def test_a_full_account_is_told_so(hub, browser, people, tmp_path):
    visitor = Visitor(browser, hub, people.user())
    people.client(visitor.name).create_repo(f"{visitor.name}/full")
    quota.set_limit(people.database, OPERATOR, visitor.name, 300_000)
    (tmp_path / "a.bin").write_bytes(os.urandom(400_000))
    visitor.upload(f"{visitor.name}/full", tmp_path)
    expect(visitor.page.locator("[data-list] li")).to_contain_text("are too many")
    assert not visitor.sent
    visitor.context.close()


def test_a_plain_form_does_it_too(hub, browser, people, folder):
    visitor = Visitor(browser, hub, people.user(), java_script_enabled=False)
    client, model = people.client(visitor.name), f"{visitor.name}/plain"
    client.create_repo(model)
    visitor.page.goto(f"{hub.url}/{model}/upload/main")
    visitor.page.locator("input[name=files]").set_input_files([folder / "config.json", folder / "model.safetensors"])
    visitor.page.get_by_label("Into the folder").fill("weights")
    visitor.page.get_by_role("button", name="Upload").click()
    visitor.page.wait_for_url("**/tree/main")
    wanted = {f"weights/{name}": (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    assert stored(hub, model, wanted) == wanted
    (found,) = client.get_paths_info(model, "weights/model.safetensors")
    assert found.lfs is not None
    assert len(client.list_repo_commits(model)) == 2
    # A folder too: its content goes in, but for what `.gitignore` names.
    (folder / ".gitignore").write_text("*.json\n")
    client.upload_file(path_or_fileobj=folder / ".gitignore", path_in_repo=".gitignore", repo_id=model)
    visitor.page.goto(f"{hub.url}/{model}/upload/main")
    visitor.page.locator("input[name=tree]").set_input_files(folder)
    visitor.page.get_by_role("button", name="Upload").click()
    visitor.page.wait_for_url("**/tree/main")
    names = set(client.list_repo_files(model))
    assert {"README.md", "model.safetensors", "onnx/один 1.onnx"} <= names
    assert "config.json" not in names
    assert not [name for name in names if ".git/" in name]
    (folder / "git~1").write_bytes(b"x")
    visitor.page.goto(f"{hub.url}/{model}/upload/main")
    visitor.page.locator("input[name=files]").set_input_files([folder / "README.md", folder / "git~1"])
    visitor.page.get_by_role("button", name="Upload").click()
    expect(visitor.page.locator("ul.warning")).to_contain_text("cannot be a file's path")
    assert len(client.list_repo_commits(model)) == 4
    visitor.context.close()


def test_only_those_who_may_write_upload(hub, people):
    owner, stranger = people.user(), people.user()
    client = people.client(owner)
    client.create_repo(f"{owner}/open")
    client.create_repo(f"{owner}/closed", private=True)
    with Browser(hub.url) as nobody, Browser(hub.url) as somebody, Browser(hub.url) as mine:
        somebody.log_in(stranger)
        mine.log_in(owner)
        check_rights(hub, client, owner, nobody, somebody, mine)


def check_rights(hub, client, owner, nobody, somebody, mine):
    """A stranger and a visitor send nothing, the owner does."""
    files, headers = {"files": ("a.txt", b"a")}, {"Origin": hub.url}

    def send(who, name, **more):
        csrf = {"csrf": who.csrf} if who.session else {}
        return who.post(f"/{owner}/{name}/upload/main", data=csrf, files=files, headers=headers | more)

    assert somebody.get(f"/{owner}/open/upload/main").status_code == 403
    assert send(somebody, "open").status_code == 403
    for who in (nobody, somebody):
        absent = who.get(f"/{owner}/absent/upload/main")
        assert who.get(f"/{owner}/closed/upload/main").status_code == absent.status_code
        assert send(who, "closed").status_code == send(who, "absent").status_code == 404
        assert "Add files" not in who.get(f"/{owner}/open/tree/main").text
    assert nobody.get(f"/{owner}/open/upload/main").status_code in (303, 401)
    assert send(nobody, "open").status_code == 401
    assert "Add files" in mine.get(f"/{owner}/open/tree/main").text
    # From another site's page, or without the session's token, nothing is taken.
    assert send(mine, "open", Origin="https://evil.example").status_code == 403
    path = f"/{owner}/open/upload/main"
    assert mine.post(path, data={"csrf": "x"}, files=files, headers=headers).status_code == 403
    assert len(client.list_repo_commits(f"{owner}/open")) == 1
    assert send(mine, "open").status_code == 303
    assert len(client.list_repo_commits(f"{owner}/open")) == 2
