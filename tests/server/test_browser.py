"""A person's way through the Hub, in a real browser: find, read, try, sign up, make, write, hide; with and without
scripts; and no violation that axe finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parent.parent / "pipelines"))
import tiny_checkpoints

pytestmark = pytest.mark.slow
expect.set_options(timeout=60_000)
CARD = """---
license: mit
language: en
pipeline_tag: text-classification
widget:
- text: a bad film
  example_title: A bad one
---
# Judge

Says what a *film* is like.

```python
print("tea")
```
"""


@pytest.fixture(scope="module")
def filled(hub, tmp_path_factory):
    """A Hub with a classifier, other models and a data set."""
    folder = tmp_path_factory.mktemp("judge")
    names = tiny_checkpoints.labels("bad", "good")
    tiny_checkpoints.save_bert(folder, "BertForSequenceClassification", **names)
    (folder / "README.md").write_text(CARD)
    hub.alice.create_repo("alice/judge")
    hub.alice.upload_folder(repo_id="alice/judge", folder_path=folder)
    for name, language in (("judge-ru", "ru"), ("painter", "en")):
        task = "image-classification" if name == "painter" else "text-classification"
        hub.alice.create_repo(f"alice/{name}")
        text = f"---\npipeline_tag: {task}\nlanguage: {language}\n---\n# {name}\n"
        hub.alice.upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=f"alice/{name}")
    hub.alice.create_repo("alice/films", repo_type="dataset")
    rows = "text,label\n" + "".join(f"film {number},{'good' if number % 2 else 'bad'}\n" for number in range(120))
    hub.alice.upload_file(
        path_or_fileobj=rows.encode(), path_in_repo="train.csv", repo_id="alice/films", repo_type="dataset"
    )
    return hub


def test_find_read_and_try(filled, page):
    page.goto(filled.url)
    expect(page.get_by_text("3 models · 1 dataset")).to_be_visible()
    page.get_by_role("link", name="All models").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("3 models")
    page.get_by_role("link", name="text-classification").click()
    page.get_by_role("link", name="English 1").click()
    expect(page.locator(".item")).to_have_count(1)
    page.get_by_label("Remove English").click()
    page.get_by_label("Filter by name").fill("judge")
    expect(page.locator(".item")).to_have_count(2)
    page.wait_for_url("**search=judge**")
    page.get_by_role("link", name="alice/judge", exact=True).click()
    expect(page.locator("article.card h1")).to_have_text("Judge")
    page.get_by_role("link", name="A bad one").click()
    expect(page.locator(".scores li")).to_have_count(2)
    page.get_by_label("Text").fill("a good film")
    page.get_by_role("button", name="Compute").click()
    expect(page.locator("[data-answer]:not(.waiting) .scores li")).to_have_count(2)
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name="model.safetensors", exact=True).click()
    expect(page.get_by_text("bert.embeddings.word_embeddings.weight")).to_be_visible()


def test_filters_are_searched_through_and_fold_on_a_phone(filled, page, browser):
    tongues = ["ba", "be", "cs", "cy", "da", "de", "el", "en", "es", "et", "fi", "fr", "hu", "ru", "tt"]
    filled.alice.create_repo("alice/tongues", repo_type="dataset")
    card = f"---\nlanguage: [{', '.join(tongues)}]\n---\n"
    filled.alice.upload_file(
        path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id="alice/tongues", repo_type="dataset"
    )
    page.goto(f"{filled.url}/datasets")
    languages = page.locator("[data-rail=language]")
    expect(languages.locator("li")).to_have_count(12)
    languages.get_by_role("searchbox").fill("tat")
    expect(languages.locator("li:visible")).to_have_text(["Tatar 1"])
    page.get_by_label("Filter by name").fill("tong")
    page.wait_for_url("**search=tong**")
    # The list and all its links follow what was typed.
    page.locator("[data-rail=language]").get_by_role("link", name="Danish 1").click()
    page.wait_for_url("**language%3Ada**search=tong**")
    phone = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800}).new_page()
    phone.goto(f"{filled.url}/models")
    expect(phone.locator(".rail")).to_be_hidden()
    phone.get_by_text("Filters", exact=True).click()
    phone.get_by_role("link", name="Russian 1").click()
    expect(phone.locator(".item")).to_have_count(1)
    expect(phone.locator(".rail")).to_be_hidden()
    phone.get_by_label("Remove Russian").click()
    expect(phone.locator(".item")).to_have_count(3)
    phone.context.close()


def test_sign_up_make_write_hide(filled, page, browser):
    page.goto(f"{filled.url}/signup")
    page.get_by_label("Name").fill("carol")
    page.get_by_label("Password").fill("a long password of carol")
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url(lambda url: "signup" not in url)
    page.goto(f"{filled.url}/new")
    page.get_by_label("Name").fill("poems")
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(f"{filled.url}/carol/poems")
    page.get_by_role("link", name="Write a card").click()
    text = page.locator("textarea[name=text]")
    text.fill("---\nlicense: mit\n---\n# Poems of tea\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    expect(page.locator("[data-pane] td").first).to_have_text("1")
    page.get_by_role("button", name="Commit").click()
    expect(page.locator("article.card h1")).to_have_text("Poems of tea")
    visitor = browser.new_context().new_page()
    assert visitor.goto(f"{filled.url}/carol/poems").status == 200
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Only its owner").check()
    page.get_by_role("button", name="Save").click()
    assert visitor.goto(f"{filled.url}/carol/poems").status == 404
    assert page.goto(f"{filled.url}/carol/poems").status == 200
    page.goto(f"{filled.url}/settings/tokens")
    page.get_by_role("textbox", name="Name").fill("laptop")
    page.get_by_role("button", name="Create").click()
    token = page.get_by_role("status").locator("code").inner_text()
    assert filled.client(token).whoami()["name"] == "carol"
    page.goto(f"{filled.url}/alice/judge")
    page.locator(".like").click()
    expect(page.locator(".like")).to_have_attribute("aria-pressed", "true")
    assert filled.nobody.model_info("alice/judge").likes == 1
    page.goto(f"{filled.url}/carol/poems/settings")
    page.get_by_label("Type its name").fill("carol/poems")
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(f"{filled.url}/carol")
    assert not filled.nobody.repo_exists("carol/poems")


def test_everything_promised_works_without_scripts(filled, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 420, "height": 800})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{filled.url}/models?search=judge")
    page.get_by_role("link", name="alice/judge", exact=True).click()
    page.get_by_role("button", name="Compute").click()
    expect(page.locator(".scores li")).to_have_count(2)
    page.goto(f"{filled.url}/datasets/alice/films/viewer/default/train")
    page.get_by_label("Condition").fill("label = 'good'")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("60 rows")).to_be_visible()
    page.get_by_role("button", name="Русский").click()
    expect(page.get_by_role("link", name="Просмотр")).to_be_visible()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(filled, browser, theme):
    context = browser.new_context(color_scheme=theme, viewport={"width": 1300, "height": 900})
    page = context.new_page()
    for path in (
        "/models", "/models?language=en&search=judge", "/alice/judge", "/alice/judge/tree/main",
        "/alice/judge/blob/main/config.json", "/alice/judge/blob/main/model.safetensors", "/alice/judge/commits/main",
        "/datasets", "/datasets/alice/films", "/datasets/alice/films/viewer/default/train", "/alice", "/no/such",
        "/", "/login", "/signup", "/alice/likes",
    ):  # fmt: skip
        page.goto(filled.url + path)
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found])
    context.close()


def test_axe_finds_no_violation_for_whoever_is_logged_in(filled, browser):
    filled.alice.create_repo("alice/gated")
    filled.alice.update_repo_settings("alice/gated", gated="manual")
    context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(f"{filled.url}/login")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("password of alice")
    page.locator("main").get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{filled.url}/")
    for path in (
        "/", "/alice", "/settings/profile", "/settings/tokens", "/settings/sessions", "/settings/password",
        "/organizations/new", "/organizations/join", "/alice/gated", "/alice/gated/settings/access",
        "/alice/judge/settings", "/new",
    ):  # fmt: skip
        page.goto(filled.url + path)
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found])
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()


@pytest.mark.parametrize("width", [390, 1300])
def test_no_page_is_wider_than_the_screen(filled, browser, width):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for path in (
        "/models",
        "/alice/judge",
        "/alice/judge/tree/main",
        "/datasets/alice/films/viewer/default/train",
        "/alice",
    ):
        page.goto(filled.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
