"""Pages about people, as a browser without scripts meets them: one's profile, picture, sessions, password,
organisations, likes."""

from __future__ import annotations

import html
import io
import re

import httpx
import pytest
from browser import Browser
from PIL import Image


@pytest.fixture
def browser(hub, people):
    """Somebody's browser, logged in; `name` is theirs."""
    with Browser(hub.url) as browser:
        browser.name = people.user()
        browser.log_in(browser.name)
        yield browser


def send(browser, path, data=None, **fields):
    """Send a form with a file."""
    files = {"picture": ("p.png", data, "image/png")} if data is not None else {"picture": ("", b"")}
    headers = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"}
    return browser.post(path, data={"csrf": browser.csrf, **fields}, files=files, headers=headers)


def drawn(size=(300, 200), format_="PNG", mode="RGB", **more):
    """A red picture; a black one of mode `1`."""
    made = io.BytesIO()
    Image.new(mode, size, "#c02020" if mode == "RGB" else 0).save(made, format_, **more)
    return made.getvalue()


def test_a_person_says_who_they_are(hub, browser):
    saved = browser.submit(
        "/settings/profile", csrf=browser.csrf, full_name="Anna <b>Ivanova", bio="Brews.\r\nReads.", email="a@b.c"
    )
    assert (saved.status_code, saved.headers["location"]) == (303, "/settings/profile")
    shown = httpx.get(f"{hub.url}/{browser.name}").text
    assert "Anna &lt;b&gt;Ivanova" in shown
    assert "Brews.\nReads." in shown
    assert "a@b.c" not in shown
    for wrong in ({"bio": "x" * 501}, {"full_name": "x" * 201}, {"email": "nonsense"}, {"bio": "a\x07"}):
        refused = browser.submit("/settings/profile", csrf=browser.csrf, **wrong)
        assert refused.status_code == 400
        assert 'role="alert"' in refused.text
    assert "Brews." in httpx.get(f"{hub.url}/{browser.name}").text
    assert browser.get("/settings").headers["location"] == "/settings/profile"


def test_a_picture_is_drawn_anew_and_taken_away(hub, browser):
    address = f"{hub.url}/api/avatars/{browser.name}.svg"
    assert httpx.get(address).headers["content-type"] == "image/svg+xml"
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    assert send(browser, "/settings/picture", drawn(format_="JPEG", exif=exif)).status_code == 303
    found = httpx.get(address, follow_redirects=True)
    assert found.headers["content-type"] == "image/webp"
    assert "immutable" in found.headers["cache-control"]
    picture = Image.open(io.BytesIO(found.content))
    assert picture.size == (256, 256)
    red, green, blue = picture.convert("RGB").getpixel((128, 128))
    assert red > 150 > 80 > max(green, blue)
    assert b"taken at home" not in found.content
    for wrong in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", drawn()[:60], b"%PDF-1.4", b"x" * 4_300_000):
        assert send(browser, "/settings/picture", wrong).status_code == 400
    # Small files of more pixels than anybody needs are not decoded.
    for size in ((10_000, 5_000), (20_000, 20_000)):
        assert send(browser, "/settings/picture", drawn(size, mode="1")).status_code == 400
    assert httpx.get(address, follow_redirects=True).content == found.content
    assert send(browser, "/settings/picture", deed="remove").status_code == 303
    assert httpx.get(address).headers["content-type"] == "image/svg+xml"


def test_a_person_ends_a_session_and_changes_the_password(hub, browser):
    with Browser(hub.url, "203.0.113.9", agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") as elsewhere:
        elsewhere.log_in(browser.name)
        text = browser.get("/settings/sessions").text
        assert "Firefox, Linux" in text
        named = re.search(r'name="session" value="([^"]+)"', text)[1]
        assert browser.submit("/settings/sessions", csrf=browser.csrf, session=named).status_code == 303
        assert elsewhere.get("/api/whoami-v2").status_code == 401
    old, new = f"password of {browser.name}", "another password"
    assert browser.submit("/settings/password", csrf=browser.csrf, old="wrong", new=new).status_code == 401
    assert browser.submit("/settings/password", csrf=browser.csrf, old=old, new="short").status_code == 400
    before = browser.session
    assert browser.submit("/settings/password", csrf=browser.csrf, old=old, new=new).status_code == 303
    assert browser.session != before
    assert browser.get("/api/whoami-v2").json()["name"] == browser.name


def test_an_organisation_from_its_beginning_to_its_end(hub, people, browser):
    name, other = people.name("house"), people.user("guest")
    made = browser.submit("/organizations/new", csrf=browser.csrf, name=name, full_name="A House")
    assert (made.status_code, made.headers["location"]) == (303, f"/{name}")
    assert browser.submit("/organizations/new", csrf=browser.csrf, name=name).status_code == 409
    here = f"/organizations/{name}/settings"
    described = {"deed": "describe", "full_name": "The House", "bio": "Of tea."}
    assert browser.submit(here, csrf=browser.csrf, **described).status_code == 303
    assert send(browser, f"/organizations/{name}/picture", drawn()).status_code == 303
    invited = browser.submit(here, csrf=browser.csrf, deed="invite", role="read", user=other)
    code = re.search(r"signup\?invitation=([\w-]+)", html.unescape(invited.text))[1]
    assert code not in browser.get(here).text
    with Browser(hub.url) as guest:
        guest.log_in(other)
        assert guest.get(here).status_code == 403
        onward = guest.get("/signup", params={"invitation": code}).headers["location"]
        assert code in guest.get(onward).text
        joined = guest.submit("/organizations/join", csrf=guest.csrf, code=code)
        assert (joined.status_code, joined.headers["location"]) == (303, f"/{name}")
        assert guest.submit("/organizations/join", csrf=guest.csrf, code=code).status_code == 400
        page = httpx.get(f"{hub.url}/{name}").text
        assert "The House" in page
        assert "2 members" in page
        assert f'href="/{other}"' in page
        assert browser.submit(here, csrf=browser.csrf, deed="role", user=other, role="write").status_code == 303
        assert 'value="write" selected' in browser.get(here).text
        # The last admin stays; the guest leaves.
        alone = browser.submit(here, csrf=browser.csrf, deed="role", user=browser.name, role="read")
        assert alone.status_code == 409
        assert guest.submit(here, csrf=guest.csrf, deed="describe", full_name="Mine").status_code == 403
        left = guest.submit(here, csrf=guest.csrf, deed="remove", user=other)
        assert (left.status_code, left.headers["location"]) == (303, f"/{name}")
    assert "1 member" in httpx.get(f"{hub.url}/{name}").text
    assert browser.submit(here, csrf=browser.csrf, deed="delete", name="something").status_code == 400
    assert browser.submit(here, csrf=browser.csrf, deed="delete", name=name).status_code == 303
    assert httpx.get(f"{hub.url}/{name}").status_code == 404


def test_whoever_must_log_in_first_is_led_back(hub, people):
    name = people.user()
    with Browser(hub.url) as browser:
        sent = browser.get("/settings/tokens")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2Fsettings%2Ftokens")
        assert browser.log_in(name, next="/settings/tokens").headers["location"] == "/settings/tokens"
        missing = browser.get("/no/such/page/at/all", headers={"Accept": "text/html"})
        assert missing.status_code == 404
        assert f'href="/{name}"' in missing.text


def test_the_start_page_shows_what_the_visitor_may_see(hub, people, browser):
    client = people.client(browser.name)
    client.create_repo(f"{browser.name}/open-blend")
    client.create_repo(f"{browser.name}/secret-blend", private=True)
    mine, theirs = browser.get("/").text, httpx.get(f"{hub.url}/").text
    assert f"{browser.name}/</span>secret-blend" in mine
    assert "secret-blend" not in theirs
    assert 'href="/docs/hub/search#trending"' in mine


def test_a_repository_is_liked_from_its_page_and_stands_among_ones_likes(hub, people, browser):
    owner = people.user("owner")
    client = people.client(owner)
    client.create_repo(f"{owner}/tea")
    client.create_repo(f"{owner}/cups", repo_type="dataset")
    root = f"/{owner}/tea"
    assert 'name="liked" value="yes"' in browser.get(root).text
    liked = browser.submit(f"{root}/like", csrf=browser.csrf, liked="yes")
    assert (liked.status_code, liked.headers["location"]) == (303, root)
    assert browser.submit(f"/datasets/{owner}/cups/like", csrf=browser.csrf, liked="yes").status_code == 303
    assert hub.nobody.model_info(f"{owner}/tea").likes == 1
    # Every tab of the repository knows.
    for tab in (root, f"{root}/tree/main", f"{root}/commits/main"):
        assert 'aria-pressed="true">♥' in browser.get(tab).text, tab
    shown = re.findall(r'class="name" href="([^"]+)"', httpx.get(f"{hub.url}/{browser.name}/likes").text)
    assert shown == [f"/datasets/{owner}/cups", root]
    client.update_repo_settings(f"{owner}/tea", private=True)
    assert root not in browser.get(f"/{browser.name}/likes").text
    assert browser.submit(f"{root}/like", csrf=browser.csrf, liked="no").status_code == 404
    client.update_repo_settings(f"{owner}/tea", private=False)
    browser.submit(f"{root}/like", csrf=browser.csrf, liked="no")
    assert hub.nobody.model_info(f"{owner}/tea").likes == 0
    assert f'href="/login?next={root}"' in httpx.get(hub.url + root).text
    # No repository can be called like a tab of its owner.
    assert browser.submit("/new", csrf=browser.csrf, kind="models", name="likes").status_code == 400


GATE = b"""---
extra_gated_prompt: You brew it **yourself**. <script>alert(1)</script>
extra_gated_button_content: Send
extra_gated_fields:
  Company: text
  Use:
    type: select
    options: [Home, {label: At work, value: work}]
  I agree: checkbox
---
# Recipes
"""


def test_somebody_asks_for_access_and_the_owner_answers(hub, people, browser):
    owner = people.user("owner")
    client = people.client(owner)
    client.create_repo(f"{owner}/gated")
    client.upload_file(path_or_fileobj=GATE, path_in_repo="README.md", repo_id=f"{owner}/gated")
    client.update_repo_settings(f"{owner}/gated", gated="manual")
    root = f"/{owner}/gated"
    assert 'name="Company"' not in httpx.get(hub.url + root).text
    form = browser.get(root).text
    for part in (
        "<strong>yourself</strong>",
        'name="Company"',
        '<option value="work">At work',
        'name="I agree"',
        ">Send<",
    ):
        assert part in form, part
    assert "alert" not in form
    answers = {"Company": "ACME", "Use": "work", "I agree": "yes"}
    assert browser.submit(f"{root}/ask-access", csrf=browser.csrf, **answers | {"Company": " "}).status_code == 400
    assert browser.submit(f"{root}/ask-access", csrf=browser.csrf, **answers).status_code == 303
    assert "You have asked for access." in browser.get(root).text
    assert browser.get(f"{root}/settings/access").status_code == 403
    assert browser.get(f"{root}/resolve/main/README.md").status_code == 403
    with Browser(hub.url) as keeper:
        keeper.log_in(owner)
        here = f"{root}/settings/access"
        assert "1 request waits" in keeper.get(root).text
        asked = keeper.get(here).text
        assert browser.name in asked
        assert "ACME" in asked
        refused = {"user": browser.name, "deed": "rejected", "reason": "Not for <b>work</b>."}
        assert keeper.submit(here, csrf=keeper.csrf, **refused).status_code == 303
        assert "Not for &lt;b&gt;work&lt;/b&gt;." in browser.get(root).text
        assert browser.name in keeper.get(f"{here}?status=rejected").text
        let_in = keeper.submit(here, csrf=keeper.csrf, user=browser.name, deed="accepted", status="rejected")
        assert let_in.headers["location"] == f"{here}?status=rejected"
        assert browser.get(f"{root}/resolve/main/README.md").status_code == 200
        friend = people.user()
        assert keeper.submit(here, csrf=keeper.csrf, user=friend, deed="grant", status="accepted").status_code == 303
        assert friend in keeper.get(f"{here}?status=accepted").text
        unknown = keeper.submit(here, csrf=keeper.csrf, user="nobody-at-all", deed="grant")
        assert unknown.status_code == 404
        assert 'role="alert"' in unknown.text
