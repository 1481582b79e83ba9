"""The documentation as a site: on a real Hub, as static files, in the wheel; whole, without dead links, accessible."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

import samovar
from samovar.server.web.docs import guide
from samovar.server.web.docs.__main__ import main
from samovar.server.web.docs.finding import find
from samovar.server.web.docs.reference import place_of, public
from samovar.server.web.docs.rendering import docstring
from samovar.server.web.docs.sources import read, summary
from samovar.surface import declared_names

ROOT = Path(__file__).parents[2]
# Of a machine that is busy.
SOON = 120
LINK = re.compile(r'\b(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Install Chromium: apt install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static site, made by its command."""
    output = tmp_path_factory.mktemp("site") / "docs"
    assert main(["--output", str(output)]) == 0
    assert (output / "index.html").is_file()
    return output


def links(html: str) -> list[str]:
    """The addresses in a page's tags."""
    return [unescape(link) for tag in re.findall(r"<[a-z][^>]*>", html) for link in LINK.findall(tag)]


def anchors(html: str) -> set[str]:
    return {unescape(one) for one in re.findall(r'\bid="([^"]+)"', html)}


@pytest.mark.slow
def test_every_public_name_has_words_and_a_place_in_the_reference():
    stub = Path(samovar.__file__).with_suffix(".pyi")
    without_words, without_place = [], []
    for name in declared_names(stub):
        place = place_of(name)
        if place is None:
            without_place.append(name)
            continue
        module = read(place.module)
        found = module.find(place.definition)
        if not (found.doc if found is not None else module.doc):
            without_words.append(name)
    assert not without_place
    assert not without_words
    unresolved = [
        name for name, place in public().items() if place.definition and not read(place.module).find(place.definition)
    ]
    assert not unresolved


def test_no_link_of_the_whole_site_is_dead(hub):
    """Every page that can be reached from `/docs`, and every anchor that a link names."""
    pages: dict[str, set[str]] = {}
    named: dict[tuple[str, str], str] = {}
    waiting, untitled = ["/docs"], []
    with httpx.Client(base_url=hub.url, follow_redirects=False, timeout=SOON) as client:
        while waiting:
            path = waiting.pop()
            if path in pages:
                continue
            answer = client.get(path)
            assert answer.status_code == 200, (path, [source for (there, _), source in named.items() if there == path])
            if "text/html" not in answer.headers["content-type"]:
                pages[path] = set()
                continue
            html = answer.text
            pages[path] = anchors(html)
            title = re.search(r"<title>(.+?) · Samovar</title>", html)
            if not title or not re.search(r"<h1\b", html):
                untitled.append(path)
            for link in links(html):
                target, anchor = urldefrag(urljoin(hub.url + path, link))
                if not target.startswith(hub.url):
                    continue
                there = target.removeprefix(hub.url)
                if there.startswith(("/docs", "/static")):
                    named.setdefault((there, unquote(anchor)), path)
                    if there not in pages:
                        waiting.append(there)
    assert not untitled
    assert not [
        (there, anchor, source) for (there, anchor), source in named.items() if anchor and anchor not in pages[there]
    ]
    assert {f"/docs/{name}" if name != "index" else "/docs" for name in guide.files()} <= set(pages)
    assert len([path for path in pages if path.startswith("/docs/api/")]) > 100


@pytest.mark.slow
def test_static_pages_lead_only_to_files_that_are_there(site):
    dead = []
    for path in site.rglob("*.html"):
        for link in links(path.read_text("utf-8")):
            if "://" in link or link.startswith("mailto:"):
                continue
            assert not link.startswith("/"), (path, link)
            target = unquote(urldefrag(link)[0])
            if target and not (path.parent / target).is_file():
                dead.append((str(path.relative_to(site)), link))
    assert not dead


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("ten years")
    assert main(["--output", str(tmp_path)]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_search_finds_names_how_tos_and_russian(hub):
    first = [one.section.heading for one in find("Trainer")][:3]
    assert "Trainer" in first
    assert any(one.section.heading == "EarlyStoppingCallback" for one in find("early stopping"))
    assert find("самовар", "ru")
    assert not find("zzyzx")
    assert not find("  ")
    marked = httpx.get(f"{hub.url}/docs/search", params={"q": "<b>pipeline</b>"}, timeout=SOON).text
    assert "<b>" not in re.sub(r"<b>[^<]*</b>", "", marked) or "<b>pipeline" not in marked
    found = httpx.get(f"{hub.url}/docs/search", params={"q": "pipeline"}, timeout=SOON).text
    assert "<mark>pipeline</mark>" in found
    assert 'href="/docs/api/pipelines.factory#pipeline"' in found


def test_addresses_that_are_nearly_right_lead_to_the_page(hub):
    with httpx.Client(base_url=hub.url, timeout=SOON) as client:
        for near, meant in (("/docs/", "/docs"), ("/docs/tour.md", "/docs/tour"), ("/docs/index", "/docs")):
            answer = client.get(near)
            assert (answer.status_code, answer.headers["location"]) == (301, meant)
        for wrong in (
            "/docs/nothing",
            "/docs/api/server.app",
            "/docs/..%2F..%2Fetc%2Fpasswd",
            "/docs/files/..%2Ftour.md",
        ):
            assert client.get(wrong).status_code == 404


def test_translations_lead_to_one_another(hub):
    english, russian = (httpx.get(f"{hub.url}/docs/{one}", timeout=SOON).text for one in ("tour", "tour.ru"))
    assert 'href="/docs/tour.ru" lang="ru"' in english
    assert 'href="/docs/tour" lang="en"' in russian
    assert 'rel="next"' in english
    assert 'rel="prev"' in httpx.get(f"{hub.url}/docs/how_to/pipelines", timeout=SOON).text


def test_docstrings_become_pages():
    html = docstring('Boils water::\n\n    boil("tea")\n\n>>> boil()\n95\n\nSee `Trainer` and `<b>`.')
    assert 'href="/docs/api/training.trainer#Trainer"' in html
    assert "&lt;b&gt;" in html
    assert html.count("<pre") == 2
    assert "::" not in html
    assert summary("One thing. Another.\n\nMore.") == "One thing."


@pytest.mark.slow
def test_the_wheel_holds_the_documentation(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    code = (
        "from samovar.server.web.docs import guide; from samovar.server.web.docs.views import all_names, view;"
        "assert str(guide.folder()).startswith(__import__('sys').argv[1]), guide.folder();"
        "print(len(all_names()), view('tour')['heading'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, title = done.stdout.strip().split(" ", 1)
    assert int(count) > 150
    assert title == guide.page("tour").title


def test_pages_in_a_real_browser_are_accessible_and_fit(hub, chromium, site):
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
    context.set_default_timeout(SOON * 1000)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    for path in ("/docs", "/docs/tour.ru", "/docs/api/pipelines.factory", "/docs/search?q=trainer"):
        page.goto(hub.url + path)
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(one["id"], one["nodes"][0]["html"]) for one in found])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto(hub.url + "/docs")
    page.get_by_role("searchbox", name="Search the documentation").fill("early stopping")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="EarlyStoppingCallback").first.click()
    assert page.url.endswith("/docs/api/training.callbacks#EarlyStoppingCallback")
    # The same from a disk, where a script does the search.
    page.goto((site / "index.html").as_uri())
    page.locator('input[name="q"]').fill("early stopping")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="EarlyStoppingCallback").first.click()
    assert page.url.endswith("api/training.callbacks.html#EarlyStoppingCallback")
    assert not problems
    context.close()
