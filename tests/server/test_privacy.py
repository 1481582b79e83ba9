"""A private repository and one that does not exist are the same to whoever may not see it: in every route, list and
count, to the byte."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from sqlalchemy import event

from samovar.server.errors import RepositoryNotFoundError
from samovar.server.services.access import ANONYMOUS, find
from samovar.server.services.credentials import caller_of_token

# Names of the same length that pages hold nowhere else, as messages may repeat what was asked.
HIDDEN, ABSENT, FORMER, NEVER = "zqhidden", "zqabsent", "zqformer", "zqnevers"
UNIQUE = "quetzalcoatlus"
KINDS = {"model": "", "dataset": "datasets/", "space": "spaces/"}
# What fills a path's parameters, and bodies that are of the right form for some routes.
FILLED = {
    "rev": "main",
    "branch": "main",
    "tag": "v1",
    "path": "config.json",
    "a": "main",
    "b": "main",
    "status": "pending",
}
BODIES = [
    {"json": {}},
    {"json": {"files": [{"path": "a.txt", "sample": "", "size": 1}]}},
    {"json": {"paths": ["config.json"]}},
    {"data": {"paths": "config.json"}},
    {"json": {"title": "t", "description": "d", "pullRequest": True, "comment": "c", "status": "closed"}},
    {"json": {"user": "alice", "status": "accepted"}},
    {"json": {"tag": "v1", "message": "m", "startingPoint": "main"}},
    {"json": {"visibility": "public", "gated": "auto"}},
    {"json": {"repository": "bob/copy"}},
    {"json": {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}},
    {"json": {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}},
    {
        "content": b'{"key":"header","value":{"summary":"s"}}\n'
        b'{"key":"file","value":{"path":"a","content":"eA==","encoding":"base64"}}\n',
        "headers": {"content-type": "application/x-ndjson"},
    },
    {"content": b"0000", "headers": {"content-type": "application/x-git-upload-pack-request"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def secrets(hub, people):
    """Alice's private repositories of each kind, one of them known by another name before; and who asks."""
    alice = people.user("alice")
    client = people.client(alice)
    for kind in KINDS:
        more = {"space_sdk": "static"} if kind == "space" else {}
        client.create_repo(f"{alice}/{FORMER}", repo_type=kind, private=True, **more)
        card = f"---\nlicense: mit\ntags: [{UNIQUE}]\n---\n{UNIQUE} is a {UNIQUE}"
        for name, content in (("README.md", card), ("config.json", '{"architectures": ["X"]}')):
            client.upload_file(
                path_or_fileobj=content.encode(), path_in_repo=name, repo_id=f"{alice}/{FORMER}", repo_type=kind
            )
        client.create_tag(f"{alice}/{FORMER}", tag="v1", repo_type=kind)
        client.move_repo(f"{alice}/{FORMER}", f"{alice}/{HIDDEN}", repo_type=kind)
        httpx.post(f"{hub.url}/api/{kind}s/{alice}/{HIDDEN}/like", headers=people.bearer(alice)).raise_for_status()
    return alice


@pytest.fixture(scope="module")
def askers(people):
    """Headers of those who may not see them: nobody, another user by each kind of token."""
    other = people.user("bob")
    return {
        "nobody": {}, "reader": people.bearer(other, "read"), "writer": people.bearer(other, "write"),
        "admin": people.bearer(other, "admin"),
        "git": {"authorization": "Basic " + base64.b64encode(f"x:{people.token(other)}".encode()).decode()},
    }  # fmt: skip


@pytest.fixture(scope="module")
def web(hub):
    """A connection to the Hub. Uncompressed: pages repeat the name that was asked for, and no two shrink alike."""
    with httpx.Client(base_url=hub.url, timeout=60, headers={"accept-encoding": "identity"}) as client:
        yield client


def told(web, method, path, name, **more):
    """All that an answer tells, but for what differs from one to the next: number, date, and the name itself."""
    answer = web.request(method, path, **more)
    headers = {
        key: value.replace(name, "NAME") for key, value in answer.headers.items() if key not in ("date", "x-request-id")
    }
    body = answer.content.replace(name.encode(), b"NAME")
    return answer.status_code, headers, body.replace(answer.headers["x-request-id"].encode(), b"")


def apart(one, other):
    """Where two answers begin to differ."""
    if one[:2] != other[:2]:
        return str([pair for pair in zip(one[:2], other[:2], strict=True) if pair[0] != pair[1]])[:600]
    place = next((at for at, pair in enumerate(zip(one[2], other[2], strict=False)) if pair[0] != pair[1]), 0)
    return "" if one == other else str((one[2][place - 60 : place + 60], other[2][place - 60 : place + 60]))


def routes(web):
    """Every (method, path) about one repository: those of the schema, and the web's."""
    found = []
    for path, methods in web.get("/api/openapi.json").json()["paths"].items():
        if "{owner}" in path and "{name}" in path:
            found += [
                (method.upper(), path) for method in methods if method in ("get", "head", "post", "put", "delete")
            ]
    for prefix in KINDS.values():
        base = f"/{prefix}{{owner}}/{{name}}"
        found += [("GET", base + rest) for rest in (
            "", "/tree/main", "/blob/main/config.json", "/resolve/main/config.json", "/raw/main/config.json",
            "/commits/main", "/discussions", "/info/refs?service=git-upload-pack", "/edit", "/settings",
            ".git/info/refs?service=git-upload-pack", ".git/info/refs?service=git-receive-pack", ".git/HEAD",
            "/resolve/v1/config.json", "/resolve/main/absent.txt", "/resolve/absent/config.json",
        )]  # fmt: skip
        found += [("HEAD", f"{base}/resolve/main/config.json")]
        found += [("POST", base + rest) for rest in (
            ".git/git-upload-pack", ".git/git-receive-pack", ".git/info/lfs/objects/batch",
            ".git/info/lfs/objects/verify", ".git/info/lfs/locks", "/ask-access",
        )]  # fmt: skip
    for kind in KINDS:
        base = f"/api/{kind}s/{{owner}}/{{name}}"
        found += [("GET", base + rest) for rest in (
            "", "/revision/main", "?expand=downloads", "?blobs=true", "/tree/main?recursive=true", "/refs", "/likers",
            "/commits/main", "/compare/main..v1", "/auth-check", "/auth-check/write", "/xet-write-token/main",
            "/xet-read-token/main", "/discussions", "/discussions/1", "/lfs-files", "/user-access-request/pending",
            "/treesize/main/", "/parquet", "/scan", "/safetensors-metadata/x",
        )]  # fmt: skip
        found += [("POST", f"{base}/like"), ("DELETE", f"{base}/like"), ("DELETE", f"{base}/branch/main")]
    return sorted(set(found))


def filled(path, owner, name):
    """The path of one repository."""
    path = path.replace("{owner}", owner).replace("{name}", name)
    while "{" in path:
        begin, end = path.index("{"), path.index("}")
        key = path[begin + 1 : end]
        path = path[:begin] + FILLED.get(key, "models" if key == "kind" else "1") + path[end + 1 :]
    return path


@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "reader", "writer", "admin", "git"])
def test_every_route_answers_the_same(web, secrets, askers, who):
    different = []
    asked = routes(web)
    assert len(asked) > 100
    for method, path in asked:
        for body in BODIES if method in ("POST", "PUT") and who in ("nobody", "writer") else BODIES[:1]:
            more = {} if method in ("GET", "HEAD", "DELETE") else {k: v for k, v in body.items() if k != "headers"}
            headers = askers[who] | (body.get("headers", {}) if more else {})
            hidden, absent = (
                told(web, method, filled(path, secrets, name), name, headers=headers, **more)
                for name in (HIDDEN, ABSENT)
            )
            former, never = (
                told(web, method, filled(path, secrets, name), name, headers=headers, **more)
                for name in (FORMER, NEVER)
            )
            if hidden != absent or former != never:
                difference = apart(hidden, absent) or apart(former, never)
                different.append(f"{method} {path} {str(body)[:40]}: {difference}")
            if hidden[0] < 400:
                different.append(f"{method} {path}: answered with {hidden[0]}")
    assert different == []


@pytest.mark.parametrize("who", ["nobody", "reader", "writer", "admin"])
def test_routes_that_name_a_repository_in_the_body_answer_the_same(web, secrets, askers, who):
    for kind in KINDS:
        for method, path, body in (
            ("DELETE", "/api/repos/delete", {"name": "{}", "organization": secrets, "type": kind}),
            ("POST", "/api/repos/move", {"fromRepo": secrets + "/{}", "toRepo": "bob/new", "type": kind}),
            ("POST", "/api/repos/create", {"name": "{}", "organization": secrets, "type": kind}),
            ("POST", "/api/settings/tokens", {
                "role": "fineGrained", "scopes": [{"type": kind, "name": secrets + "/{}", "right": "read"}]}),
        ):  # fmt: skip
            answers = [
                told(
                    web, method, path, name, content=json.dumps(body).replace("{}", name),
                    headers={**askers[who], "content-type": "application/json"},
                )
                for name in (HIDDEN, ABSENT, FORMER)
            ]  # fmt: skip
            assert answers[0] == answers[1] == answers[2], (path, kind)
            assert answers[0][0] >= 400


@pytest.mark.parametrize("who", ["nobody", "reader", "admin"])
def test_no_list_search_or_count_shows_it(web, secrets, askers, who):
    headers = askers[who]
    for kind in KINDS:
        for query in (
            f"author={secrets}", f"search={HIDDEN}", f"search={UNIQUE}", f"filter={UNIQUE}",
            f"filter=license:mit&author={secrets}",
            "full=true&limit=1000", f"sort=likes&author={secrets}", f"search={secrets}",
            "sort=trendingScore&limit=1000",
        ):  # fmt: skip
            answer = web.get(f"/api/{kind}s?{query}", headers=headers)
            assert answer.status_code == 200
            assert HIDDEN not in answer.text, (kind, query)
            assert UNIQUE not in answer.text, (kind, query)
    for path in (
        "/api/models-tags-by-type", "/api/datasets-tags-by-type", f"/api/quicksearch?q={UNIQUE}",
        f"/api/quicksearch?q={HIDDEN}",
        "/api/trending", f"/api/users/{secrets}/likes", f"/api/users/{secrets}/overview", f"/{secrets}",
        "/models", "/datasets",
        f"/models?search={UNIQUE}", "/api/openapi.json", "/", f"/search/full-text?q={UNIQUE}",
    ):  # fmt: skip
        text = web.get(path, headers=headers).text
        # A page may repeat what was searched for.
        assert HIDDEN not in text.replace(f"q={HIDDEN}", "").replace(f'"{HIDDEN}"', ""), path
        if UNIQUE not in path:
            assert UNIQUE not in text, path
    overview = web.get(f"/api/users/{secrets}/overview", headers=headers).json()
    assert (overview["numModels"], overview["numDatasets"], overview["numSpaces"], overview["numLikes"]) == (0, 0, 0, 0)
    assert web.get(f"/api/users/{secrets}/likes", headers=headers).json() == []


def test_its_owner_sees_all_of_it(hub, people, secrets):
    """So that the tests above compare something."""
    client = people.client(secrets)
    for kind in KINDS:
        assert client.repo_info(f"{secrets}/{FORMER}", repo_type=kind).id == f"{secrets}/{HIDDEN}"
        assert client.file_exists(f"{secrets}/{HIDDEN}", "config.json", repo_type=kind)
    assert [one.id for one in client.list_models(search=UNIQUE)] in ([], [f"{secrets}/{HIDDEN}"])
    assert [one.id for one in client.list_models(filter=UNIQUE)] == [f"{secrets}/{HIDDEN}"]
    seen = client.get_user_overview(secrets)
    assert (seen.num_models, seen.num_datasets, seen.num_spaces, seen.num_likes) == (1, 1, 1, 3)
    assert client.list_liked_repos(secrets).models == [f"{secrets}/{HIDDEN}"]


def test_a_repository_that_becomes_private_is_gone(hub, people, askers):
    carol = people.user("carol")
    client = people.client(carol)
    client.create_repo(f"{carol}/shown")
    httpx.post(f"{hub.url}/api/models/{carol}/shown/like", headers=askers["writer"]).raise_for_status()
    assert hub.nobody.repo_exists(f"{carol}/shown")
    client.update_repo_settings(f"{carol}/shown", private=True)
    bob = httpx.get(f"{hub.url}/api/whoami-v2", headers=askers["writer"]).json()["name"]
    for headers in askers.values():
        assert (
            httpx.get(f"{hub.url}/api/models/{carol}/shown", headers=headers).headers["x-error-code"] == "RepoNotFound"
        )
        assert httpx.get(f"{hub.url}/api/models?author={carol}", headers=headers).json() == []
        # Also among what they liked themselves.
        assert httpx.get(f"{hub.url}/api/users/{bob}/likes", headers=headers).json() == []
        assert httpx.get(f"{hub.url}/api/users/{bob}/overview", headers=headers).json()["numLikes"] == 0


def test_the_same_questions_are_asked_of_the_database(people, secrets):
    """What a hidden repository costs is what an absent one does: no question more, and none that reads its row."""
    bob = caller_of_token(people.database, people.token(people.user()))

    def questions(name, caller):
        asked = []

        def note(connection, cursor, statement, *more):
            asked.append(statement)

        with people.database.read() as session:
            event.listen(people.database.engine, "before_cursor_execute", note)
            try:
                with pytest.raises(RepositoryNotFoundError):
                    find(session, "model", f"{secrets}/{name}", caller)
            finally:
                event.remove(people.database.engine, "before_cursor_execute", note)
        return asked

    for caller in (ANONYMOUS, bob):
        hidden, absent, former = (questions(name, caller) for name in (HIDDEN, ABSENT, FORMER))
        assert hidden == absent == former
        assert len([one for one in hidden if "SELECT" in one]) == 1
