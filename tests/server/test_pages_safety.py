"""What strangers write can do no harm on the Hub's pages: a corpus of hostile texts in a real browser, without the help
of the content security policy; and files of repositories never act as pages."""

from __future__ import annotations

import html
import json
import re
import time
from importlib import import_module
from urllib.parse import quote

import httpx
import pytest
from browser import Browser
from hostile_pieces import FOLDER, pieces, visitor
from huggingface_hub import CommitOperationAdd

from samovar.server.app import PAGES
from samovar.server.repos.names import unicode_safe

pytestmark = pytest.mark.slow
OWNER, ROOT = "mallory", "/mallory/traps"
EVERYTHING = {family: "\n\n".join(texts) for family, texts in pieces().items()}
NAMES = ['"><img src=x onerror=window.pwned=1>.md', "<script>window.pwned=1<.txt", "'onmouseover='window.pwned=1'.json"]
# Whatever a card may state, and pages show.
RUN = "window.pwned=1"
SCRIPT, PICTURE = f"<script>{RUN}</script>", f"<img src=x onerror={RUN}>"
FACTS = {
    "license": SCRIPT, "base_model": f"javascript:{RUN}//x", "datasets": [f'">{PICTURE}', "../../logout"],
    "language": [f"<b onclick={RUN}>"], "tags": [f'">{SCRIPT}', f"javascript:{RUN}"], "library_name": PICTURE,
    "pipeline_tag": "text-classification", "extra_gated_heading": SCRIPT,
    "widget": [{"text": f"</textarea>{SCRIPT}", "example_title": PICTURE}],
    "model-index": [{"name": "x", "results": [{
        "task": {"type": SCRIPT}, "dataset": {"name": f"</text></svg>{PICTURE}", "type": "x", "split": PICTURE},
        "metrics": [{"type": f'">{SCRIPT}', "value": 0.5}, {"type": "x", "value": f"<svg onload={RUN}>"}],
    }]}],
}  # fmt: skip
CONFIG = {
    "architectures": [f"{PICTURE}ForSequenceClassification"],
    "id2label": {"0": SCRIPT, "1": f'">{PICTURE}'},
}


def added(path: str, text: str | bytes) -> CommitOperationAdd:
    """A file of a commit."""
    return CommitOperationAdd(path, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


@pytest.fixture(scope="module")
def trapped(hub):
    """A Hub on which mallory has set traps in whatever can be written."""
    client = hub.client(hub.add_user(OWNER, "admin"))
    client.create_repo(f"{OWNER}/traps")
    files = [added("README.md", "---\nlicense: mit\n---\n" + "\n\n".join(EVERYTHING.values()))]
    files += [
        added(f"pieces/{family}-{number}.md", text)
        for family, texts in pieces().items() for number, text in enumerate(texts)
    ]  # fmt: skip
    files += [added(f"files/{path.name}", path.read_bytes()) for path in sorted((FOLDER / "files").iterdir())]
    files += [added(f"names/{name}", "# x") for name in NAMES]
    client.create_commit(f"{OWNER}/traps", files, commit_message="Set traps")
    for family, text in EVERYTHING.items():
        # Messages with control characters are refused.
        said = "".join(one if one == "\n" or unicode_safe(one) else " " for one in text)
        client.create_commit(
            f"{OWNER}/traps", [added(f"messages/{family}.txt", text)], commit_message=" ".join(said.split())[:200],
            commit_description=said,
        )  # fmt: skip
    talk = client.create_discussion(f"{OWNER}/traps", title=f"{SCRIPT}{PICTURE}", description=PICTURE).num
    for text in EVERYTHING.values():
        client.comment_discussion(f"{OWNER}/traps", talk, text.replace("\0", " "))
    client.create_repo(f"{OWNER}/facts")
    card = f"---\n{json.dumps(FACTS)}\n---\n# Facts\n"
    client.create_commit(
        f"{OWNER}/facts", [added("README.md", card), added("config.json", json.dumps(CONFIG))], commit_message="Facts"
    )
    client.update_repo_settings(f"{OWNER}/facts", gated="manual")
    client.create_repo(f"{OWNER}/facts", repo_type="dataset")
    client.create_repo(f"{OWNER}/facts", repo_type="space", space_sdk="static")
    client.create_repo(f"{OWNER}/rows", repo_type="dataset")
    rows = [{PICTURE: text, "</td>": [text], SCRIPT: number % 3, "kind": family}
            for family, texts in pieces().items() for number, text in enumerate(texts)]  # fmt: skip
    lines = "\n".join(json.dumps(row | {"kind": f"{PICTURE}{row['kind'][:1]}"}) for row in rows)
    client.create_commit(f"{OWNER}/rows", [added("train.jsonl", lines)], commit_message="Rows", repo_type="dataset")
    with Browser(hub.url) as keeper:
        keeper.log_in(OWNER)
        said = {"full_name": "<img src=x onerror=window.pwned=1>", "bio": EVERYTHING["scripts"][:300]}
        assert keeper.submit("/settings/profile", csrf=keeper.csrf, **said).status_code == 303
    return hub


def wait_for_rows(hub, path: str) -> None:
    """Until a data set has been read, and its page shows rows."""
    deadline = time.monotonic() + 60
    while PICTURE not in html.unescape(httpx.get(hub.url + path).text):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_corpus_is_large():
    assert sum(map(len, pieces().values())) >= 110
    assert all(text.strip() for texts in pieces().values() for text in texts)


def test_every_piece_alone_is_inert_where_a_file_is_shown(trapped, browser):
    with visitor(browser, trapped.url) as somebody:
        for family, texts in pieces().items():
            for number in range(len(texts)):
                path = f"{ROOT}/blob/main/pieces/{family}-{number}.md"
                somebody.open(path)
                # What holds a NUL is no text, and what nothing is left of is shown as it was written.
                place = "article.card, main .empty, main pre code"
                somebody.sees_nothing_happen(path, place, f"{ROOT}/resolve/")


def test_all_together_are_inert_on_the_card_in_its_preview_and_in_discussions(trapped, browser):
    with visitor(browser, trapped.url) as somebody:
        for path, place in ((ROOT, "article.card"), (f"{ROOT}/discussions/1", ".said .card")):
            somebody.open(path)
            somebody.sees_nothing_happen(path, place, f"{ROOT}/resolve/")
        tab = somebody.tab
        tab.goto(f"{trapped.url}/login")
        tab.fill("main [name=name]", OWNER)
        tab.fill("main [name=password]", f"password of {OWNER}")
        tab.click("main button.primary")
        tab.wait_for_url(f"{trapped.url}/")
        editor = f"{ROOT}/edit/main/pieces/scripts-0.md"
        somebody.open(editor)
        for family, text in EVERYTHING.items():
            tab.fill("textarea[name=text]", f"{text}\n\nThe end of {family}.\n\n```\n```\n\nThe end of {family}.")
            with tab.expect_response(lambda answer: answer.request.headers.get("x-part") == "preview"):
                tab.dispatch_event("textarea[name=text]", "input")
            tab.wait_for_timeout(20)
            somebody.sees_nothing_happen(editor, "[data-pane]", f"{ROOT}/resolve/")


def test_messages_names_and_facts_are_inert(trapped, browser):
    commits = trapped.nobody.list_repo_commits(f"{OWNER}/traps")
    paths = [f"{ROOT}/commit/{one.commit_id}" for one in commits]
    paths += [
        f"{ROOT}/commits/main", f"{ROOT}/tree/main", f"{ROOT}/tree/main/names", f"{ROOT}/discussions", f"/{OWNER}",
        f"/{OWNER}/facts", f"/{OWNER}/facts/blob/main/config.json", "/models", "/",
    ]  # fmt: skip
    paths += [f"{ROOT}/blob/main/files/{path.name}" for path in sorted((FOLDER / "files").glob("page.*"))]
    viewer = f"/datasets/{OWNER}/rows/viewer/default/train"
    paths += [viewer, f"{viewer}?search=script", f"{viewer}?where=%22kind%22%20%3D%20%27{quote(PICTURE)}s%27"]
    wait_for_rows(trapped, viewer)
    with visitor(browser, trapped.url) as somebody:
        for path in paths:
            somebody.open(path)
            # These places hold no mark-up of strangers at all: what they wrote is text.
            assert not somebody.tab.evaluate("'pwned' in window"), path
            found = somebody.tab.locator(
                "main :is([onerror], [onload], [onclick], [onmouseover], script, iframe, base)"
            )
            assert found.count() == 0, (path, found.first.evaluate("one => one.outerHTML"))
            assert somebody.tab.locator("main img:not([src^='/'])").count() == 0, path
            links = somebody.tab.evaluate("[...document.links].filter((one) => one.protocol === 'javascript:').length")
            assert links == 0, path
            assert not somebody.noticed, (path, somebody.noticed)
            assert somebody.tab.url == trapped.url + path


@pytest.mark.parametrize("way", ["resolve", "raw"])
def test_files_of_repositories_are_no_pages(trapped, browser, way):
    with visitor(browser, trapped.url, accept_downloads=False) as somebody:
        for path in sorted((FOLDER / "files").iterdir()):
            address = f"{ROOT}/{way}/main/files/{path.name}"
            answer = httpx.get(trapped.url + address)
            type_ = answer.headers["content-type"].partition(";")[0]
            assert not any(part in type_ for part in ("html", "svg", "xml", "script", "css", "multipart", "rfc822"))
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            if path.suffix in (".html", ".htm", ".xhtml", ".svg", ".xml", ".js"):
                assert answer.headers["content-disposition"].startswith("attachment")
            somebody.open(address)
            assert not somebody.tab.evaluate("'pwned' in window"), address
            assert not somebody.noticed, (address, somebody.noticed)
        # Nor do they serve as scripts of a page of the Hub, even if somebody could write one into it.
        somebody.open(ROOT)
        ran = somebody.tab.evaluate(
            """(address) => new Promise((done) => {
                const script = document.createElement("script");
                script.onload = () => done(true);
                script.onerror = () => done(false);
                script.src = address;
                document.head.append(script);
            })""",
            f"{ROOT}/{way}/main/files/script.js",
        )
        assert not ran
        assert not somebody.noticed


def test_the_policy_stops_scripts_that_the_list_would_miss(trapped, browser):
    """All pieces as they are, put into a page of the Hub: the second wall holds alone as well."""
    context = browser.new_context()
    tab, dialogs = context.new_page(), []
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    context.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith(trapped.url) else route.abort()
    )
    tab.goto(trapped.url + ROOT)
    for texts in pieces().values():
        for text in texts:
            if "refresh" not in text:  # No policy keeps a page from leading away.
                tab.evaluate(
                    "(text) => { document.body.appendChild(document.createElement('div')).innerHTML = text; }",
                    text,
                )
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.pwned !== 1")
    assert not dialogs
    context.close()


def filled(path: str) -> str:
    """A route's path with something in each place: mallory's model where a repository is meant."""
    known = {"owner": OWNER, "name": "facts", "revision": "main", "path": "README.md", "number": "1"}
    if path.startswith("/organizations"):
        known["name"] = "traps-lab"
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: known.get(found[1], "x"), path)


def page_routes(method: str) -> list[str]:
    """The paths of all pages that take a method, whichever module they are in, now and later."""
    modules = [import_module(f"samovar.server.web.{name}") for name in PAGES]
    return [route.path for module in modules for route in module.router.routes if method in route.methods]


def test_no_form_is_taken_without_its_session_or_from_elsewhere(trapped, people):
    """Cross-site request forgery: every page that takes a form, with another's token, none, or from another site."""
    paths = [filled(path) for path in page_routes("POST")]
    assert len(paths) > 20
    other = people.user()
    with Browser(trapped.url) as owner, Browser(trapped.url) as stranger:
        owner.log_in(OWNER)
        stranger.log_in(other)
        own, foreign = owner.csrf, stranger.csrf
        here = {"Origin": owner.origin, "Sec-Fetch-Site": "same-origin"}
        elsewhere = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                     {"Sec-Fetch-Site": "same-site", "Origin": owner.origin}]  # fmt: skip
        before = trapped.nobody.model_info(f"{OWNER}/facts").sha
        for path in paths:
            whole = {"name": f"{OWNER}/facts", "deed": "delete", "text": "x", "liked": "yes", "full_name": "Forged"}
            # Some forms bring a file, and are sent in another way.
            ways = [{"data": whole}, {"data": whole, "files": {"picture": ("p.png", b"x", "image/png")}}]
            tries = [(fields, here) for fields in ({}, {"csrf": foreign}, {"csrf": ""}, {"csrf": own[:-1]})]
            tries += [({"csrf": own}, headers) for headers in elsewhere]
            for fields, headers in tries:
                if path in ("/login", "/signup") and headers is here and "csrf" not in fields:
                    continue
                answers = [
                    owner.post(path, headers=headers, **way | {"data": {**whole, **fields}}).status_code for way in ways
                ]
                # A form sent in the way that the page does not read may be called wrong instead.
                assert 403 in answers, (path, fields, headers, answers)
                assert set(answers) <= {400, 403, 404, 413, 422}, (path, fields, headers, answers)
        assert trapped.nobody.model_info(f"{OWNER}/facts").sha == before
        assert "Forged" not in owner.get(f"/{OWNER}").text
        assert owner.get("/api/whoami-v2").json()["name"] == OWNER


def test_no_page_can_be_framed_or_taken_for_something_else(trapped):
    """Clickjacking: whatever is HTML says that nobody may frame it, errors and the way to the login included."""
    with Browser(trapped.url) as owner:
        owner.log_in(OWNER)
        seen = 0
        for path in [*page_routes("GET"), "/no/such/page/at/all", f"/{OWNER}/nothing", "/models?sort=nonsense"]:
            answer = owner.get(filled(path), headers={"Accept": "text/html"})
            assert answer.status_code not in (500, 502), path
            if "html" in answer.headers.get("content-type", ""):
                policy = answer.headers["content-security-policy"]
                assert "frame-ancestors 'none'" in policy, path
                assert "default-src 'none'" in policy, path
                assert "unsafe" not in policy, path
                assert answer.headers["x-frame-options"] == "DENY", path
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
                seen += 1
        assert seen > 20


OUTWARD = [
    "https://evil.example/", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example",
    "\\\\evil.example", "\\/evil.example", "/\t/evil.example", "\t//evil.example", "/\n/evil.example",
    " //evil.example", "https:evil.example", "https:/evil.example", "javascript:alert(1)", "data:text/html,x",
    "evil.example", "@evil.example", ".evil.example", "/%09/evil.example", "/%5cevil.example", "//evil.example%2f..",
    "/x\r\nLocation: https://evil.example", "/x%0d%0aLocation:%20https://evil.example", "/.//evil.example",
    "/..//evil.example", "\u2044\u2044evil.example", "/\u200b/evil.example", "//evil.example:80\\@here",
    "http://127.0.0.1.evil.example/", "/x" * 2000,
]  # fmt: skip


def test_no_form_leads_to_another_site(trapped, browser, people):
    """Open redirects: `next` of every form, where the browser itself says whither the answer leads."""
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(f"{trapped.url}/login")
    name = people.user()
    with Browser(trapped.url) as somebody:
        led = [somebody.submit("/settings/look", theme="dark", next=onward) for onward in OUTWARD]
        somebody.log_in(name)
        # A password takes its time, and all forms ask the same function: a few of each kind.
        led += [somebody.log_in(name, next=onward, csrf=somebody.csrf) for onward in OUTWARD[::4]]
        # Who is logged in already is led on at once.
        led += [answer for onward in OUTWARD if (answer := somebody.get("/login", params={"next": onward})).is_redirect]
        led.append(somebody.get("/signup", params={"invitation": "//evil.example"}))
    for answer in led:
        assert answer.status_code == 303
        assert answer.headers.get_list("location") == [answer.headers["location"]]
        whither = tab.evaluate("(address) => new URL(address, location.href).origin", answer.headers["location"])
        assert whither == trapped.url, answer.headers["location"]
    context.close()


def test_a_session_is_nobody_else_s(trapped, people):
    """Session fixation: a cookie from before the login is worth nothing after it, nor one from before its end."""
    name = people.user()

    def alive(cookie: str) -> bool:
        return httpx.get(f"{trapped.url}/api/whoami-v2", cookies={"samovar_session": cookie}).status_code == 200

    with Browser(trapped.url) as attacker, Browser(trapped.url) as victim:
        attacker.log_in(people.user())
        planted = attacker.session
        victim.cookies.set("samovar_session", planted, domain="127.0.0.1", path="/")
        # The login must say whose page it comes from as well; then the planted session ends with it.
        victim.log_in(name, csrf=victim.csrf)
        first = victim.session
        assert first != planted
        assert alive(first)
        assert not alive(planted)
        victim.submit("/settings/password", csrf=victim.csrf, old=f"password of {name}", new="a new password")
        second = victim.session
        assert second != first
        assert alive(second)
        assert not alive(first)
        victim.submit("/logout", csrf=victim.csrf)
        assert victim.session is None
        assert not alive(second)
