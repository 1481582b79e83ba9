"""Pages of the Hub without a browser: what they show, to whom, in which language, and that cards can do no harm."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from samovar.server.db.engine import Database
from samovar.server.db.tables import DownloadDay, Repository
from samovar.server.db.tables.base import now
from samovar.server.settings import read_settings
from samovar.server.web.languages import choose, languages
from samovar.server.web.markup import card_html, coloured
from samovar.server.web.numbers import short, size

CARD = """---
license: mit
language: ru
pipeline_tag: text-classification
datasets: [anna/reviews]
base_model: anna/encoder
model-index:
- name: toxic
  results:
  - task: {type: text-classification, name: Toxicity}
    dataset: {type: anna/reviews, name: Reviews, split: test}
    metrics: [{type: f1, value: 0.8125}]
---
# Toxic

| label | meaning |
|---|---|
| toxic | rude |
"""


@pytest.fixture(scope="module")
def filled(hub):
    """A Hub with a few models of alice."""
    import json

    config = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "neutral", "1": "toxic"},
    }
    for name, text in (("toxic-ru", CARD), ("toxic-en", CARD.replace("language: ru", "language: en"))):
        hub.alice.create_repo(f"alice/{name}")
        hub.alice.upload_file(
            path_or_fileobj=text.encode(),
            path_in_repo="README.md",
            repo_id=f"alice/{name}",
            commit_message="Write the card",
        )
        hub.alice.upload_file(
            path_or_fileobj=json.dumps(config).encode(), path_in_repo="config.json", repo_id=f"alice/{name}"
        )
    hub.alice.create_repo("alice/hidden-gem", private=True)
    return hub


def get(hub, path: str, **headers: str) -> httpx.Response:
    """A page, as a browser without scripts asks for it."""
    return httpx.get(hub.url + path, headers=headers, follow_redirects=False)


def test_list_narrows_by_filters_and_every_state_is_a_link(filled):
    whole = get(filled, "/models").text
    assert "alice/</span>toxic-ru" in whole
    assert "alice/</span>toxic-en" in whole
    narrowed = get(filled, "/models?language=ru&search=toxic&pipeline_tag=text-classification").text
    assert "toxic-ru" in narrowed
    assert "toxic-en" not in narrowed
    # A chosen value links to the list without it.
    back = re.search(r'href="([^"]*)" aria-current="true"[^>]*>Russian ', narrowed)
    assert back is not None
    assert "toxic-en" in get(filled, back[1].replace("&amp;", "&")).text
    assert "Nothing fits" in get(filled, "/models?search=nosuchname").text


def test_model_page_shows_card_facts_and_results(filled):
    text = get(filled, "/alice/toxic-ru").text
    for part in (
        "<h1",
        "<td>toxic</td>",
        "BertForSequenceClassification",
        "neutral, toxic",
        "0.8125",
        "from_pretrained",
        "anna/encoder",
    ):
        assert part in text, part
    assert get(filled, "/ALICE/toxic-RU").headers["location"] == "/alice/toxic-ru"


def test_model_page_tells_whose_child_it_is_and_draws_its_results(filled):
    filled.alice.create_repo("alice/child")
    card = (
        "---\nbase_model: alice/toxic-ru\nmodel-index:\n- name: child\n  results:\n"
        "  - task: {type: text-classification}\n    dataset: {type: x, name: Reviews, split: test}\n"
        "    metrics: [{type: f1, value: 81.25}, {type: loss, value: 640}, {type: wer, value: .nan}]\n---\n"
    )
    filled.alice.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id="alice/child")
    parent, child = get(filled, "/alice/toxic-ru").text, get(filled, "/alice/child").text
    children = re.search(r'<a href="([^"]+)">1 model</a>', parent)
    assert children is not None
    assert "alice/</span>child" in get(filled, html.unescape(children[1])).text
    assert 'href="/alice/toxic-ru"' in child
    # Percentages stand against 100, other numbers against the largest; what is no number is in the table alone.
    charts = re.findall(r'class="chart bars".*?</svg>', child, re.DOTALL)
    widths = [[float(one) for one in re.findall(r'<rect x="0" [^>]*width="([\d.]+)"', chart)] for chart in charts]
    whole = [float(one) for one in re.findall(r'class="track"[^>]*width="([\d.]+)"', "".join(charts))]
    assert widths == [[round(whole[0] * 0.8125, 1)], [whole[1]]]
    assert "Reviews · test" in charts[0]


def test_downloads_are_drawn_by_day(filled):
    filled.alice.create_repo("alice/fetched")
    assert 'class="chart days"' not in get(filled, "/alice/fetched").text
    today = now().date()
    database = Database(read_settings(data=filled.data).database_url)
    with database.write() as session:
        number = session.scalars(select(Repository.id).where(Repository.name == "alice/fetched")).one()
        for back, count in ((0, 3), (2, 12), (29, 6), (30, 500)):
            session.add(DownloadDay(repository_id=number, day=today - timedelta(days=back), count=count))
    database.close()
    (chart,) = re.findall(r'<svg class="chart days".*?</svg>', get(filled, "/alice/fetched").text, re.DOTALL)
    bars = re.findall(r'height="([\d.]+)"><title>([\d-]+): (\d+)</title>', chart)
    # The last thirty days, the oldest first, a line where there was nothing; the highest fills the drawing.
    assert [day for _, day, _ in bars] == [(today - timedelta(days=back)).isoformat() for back in range(29, -1, -1)]
    assert {at: (high, count) for at, (high, _, count) in enumerate(bars) if count != "0"} == {
        0: ("24.0", "6"), 27: ("48.0", "12"), 29: ("12.0", "3"),
    }  # fmt: skip
    assert {high for high, _, count in bars if count == "0"} == {"1.0"}
    assert 'aria-label="21 / 30"' in chart


def test_files_history_and_one_commit(filled):
    assert "config.json" in get(filled, "/alice/toxic-ru/tree/main").text
    assert "BertForSequenceClassification" in get(filled, "/alice/toxic-ru/blob/main/config.json").text
    history = get(filled, "/alice/toxic-ru/commits/main").text
    commit = re.search(r'href="(/alice/toxic-ru/commit/[0-9a-f]{40})">Write the card', history)
    assert commit is not None
    assert "pipeline_tag" in get(filled, commit[1]).text
    assert get(filled, "/alice/toxic-ru/blob/main/none.json").status_code == 404
    assert get(filled, "/alice/toxic-ru/tree/nobranch").status_code == 404


def test_private_repository_looks_absent(filled):
    hidden, absent = get(filled, "/alice/hidden-gem"), get(filled, "/alice/nosuch-gem")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("hidden-gem", "nosuch-gem") == absent.text
    assert "hidden-gem" not in get(filled, "/models").text + get(filled, "/alice").text


def test_pages_speak_the_visitors_language(filled):
    russian = get(filled, "/models", **{"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"})
    assert 'lang="ru"' in russian.text
    assert "Модели" in russian.text
    answer = httpx.post(
        filled.url + "/settings/look", data={"language": "ru", "next": "/models"}, headers={"Origin": filled.url}
    )
    assert answer.headers["location"] == "/models"
    assert "samovar_language=ru" in answer.headers["set-cookie"]


def test_policy_forbids_everything_from_outside(filled):
    answer = get(filled, "/alice/toxic-ru")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text.replace(filled.url, ""))
    assert " style=" not in answer.text
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
        static = get(filled, path)
        assert static.status_code == 200
        assert "immutable" in static.headers["cache-control"]


def test_every_text_of_the_templates_is_translated():
    from pathlib import Path

    import samovar.server.web

    folder = Path(samovar.server.web.__file__).parent / "templates"
    used = {
        text.replace("\\'", "'")
        for path in folder.glob("*.html")
        for text in re.findall(r"""_\(["']([^"'{}]+)["']\)""", path.read_text("utf-8"))
    }
    assert used
    for language in languages().values():
        if language.code != "en":
            assert not {text for text in used if text not in language.texts}


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "[a](javascript:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "![a](javascript:alert(1))",
    "<a href='  javascript:alert(1)'>x</a>",
    "<iframe src=//evil.example></iframe>",
    "<form action=//evil><button>x</button></form>",
    "<style>*{display:none}</style>",
    "<div style='position:fixed'>x</div>",
    "<base href=//evil.example>",
    "<math><mi xlink:href='javascript:x'>",
    '<a href="//evil.example" target=_blank onclick=x>y</a>',
    "<object data=x></object>",
    "<embed src=x>",
    "<link rel=stylesheet href=//evil>",
    "<meta http-equiv=refresh content='0;url=//evil'>",
    "```html\n<script>alert(1)</script>\n```",
    "<p id=main class=site>x</p>",
    "<img src='//evil.example/a.png'>",
    "<img src='http://evil.example/a.png'>",
    "<img src='../../../api/settings'>",
    "<a href='\\\\evil.example'>x</a>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
    "<details ontoggle=alert(1) open>x</details>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_cards_are_inert(text):
    html = card_html(text, "/a/b/resolve/main/", "/a/b/blob/main/")
    tags = [tag.lower() for tag in re.findall(r"<[a-zA-Z][^>]*>", html)]
    for tag in tags:
        assert not re.match(
            r"<(script|style|iframe|form|button|input|svg|math|object|embed|link|meta|base|noscript)\b", tag
        )
        assert not re.search(r"\son\w+\s*=|\sstyle\s*=|\starget\s*=", tag)
        for address in re.findall(r'(?:href|src)="([^"]*)"', tag):
            assert not re.match(r"\s*(javascript|data|vbscript):", address)
        for source in re.findall(r'<img[^>]*\ssrc="([^"]*)"', tag):
            assert source.startswith("/a/b/resolve/main/")
            assert ".." not in source
    assert 'class="site"' not in html
    assert 'id="main"' not in html


def test_code_is_escaped_where_its_language_is_not_known():
    assert coloured("<b>", "x.nosuchkind") == "&lt;b&gt;"
    assert "<b>" not in coloured("<b>", "x.html")


def test_numbers_at_a_glance():
    assert [short(n) for n in (0, 999, 1000, 22_713_216, 7_000_000_000)] == ["0", "999", "1k", "22.7M", "7B"]
    assert [size(n) for n in (0, 1500, 91_600_000, 5_000_000_000)] == ["0 B", "1.5 kB", "91.6 MB", "5 GB"]


def test_languages_choose_and_count():
    russian = languages()["ru"]
    assert [russian.count("{n} model", "{n} models", n) for n in (1, 3, 11, 25)] == [
        "1 модель",
        "3 модели",
        "11 моделей",
        "25 моделей",
    ]
    assert choose(None, "de;q=1, ru;q=0.8, en;q=0.2").code == "ru"
    assert choose("en", "ru").code == "en"
    assert choose("xx", "").code == "en"


def test_no_account_can_be_called_like_an_address_of_the_hub(filled):
    from samovar.server.repos.names import RESERVED

    paths = httpx.get(f"{filled.url}/api/openapi.json").json()["paths"]
    first = {path.split("/")[1] for path in paths if not path.startswith("/{")} - {""}
    assert "models" in first
    assert first <= RESERVED
