"""A visitor tries models, reads of tasks and computes metrics in a real browser; axe finds nothing on those pages."""

from __future__ import annotations

import io

import asked_models
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.slow
expect.set_options(timeout=60_000)
CARDS = {
    "chat": "",
    "text-generation": "widget:\n- text: the cat\n",
    "token-classification": "widget:\n- text: anna likes moscow and paris\n",
    "table-question-answering": (
        "widget:\n- question: how many dogs\n  table:\n    city: [moscow, paris]\n    dogs: [1, 2]\n"
    ),
    "image-classification": "widget:\n- src: cat.png\n  example_title: A cat\n",
}  # fmt: skip


STOP_AT_THE_FIRST_WORD = """() => new MutationObserver((_, watch) => {
  const last = document.querySelectorAll(".chat .assistant p")[1];
  if (last && last.textContent) { watch.disconnect(); document.querySelector("[data-stop]").click(); }
}).observe(document.querySelector(".chat"), { subtree: true, childList: true, characterData: true })"""


def png(colour: str) -> bytes:
    """A picture."""
    out = io.BytesIO()
    Image.new("RGB", (48, 32), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def filled(hub, tmp_path_factory):
    """A Hub with a model for each kind of form that scripts do something for."""
    for task, widget in CARDS.items():
        folder = asked_models.save(task, tmp_path_factory.mktemp(task))
        card = (folder / "README.md").read_text()
        (folder / "README.md").write_text(card.replace("pipeline_tag", f"{widget}pipeline_tag"))
        (folder / "cat.png").write_bytes(png("navy"))
        hub.alice.create_repo(f"alice/{task}")
        hub.alice.upload_folder(repo_id=f"alice/{task}", folder_path=folder)
    return hub


def test_every_kind_of_form(filled, page):
    # A chat: loading is shown, words come one after another, the conversation grows, and an answer can be stopped.
    page.goto(f"{filled.url}/alice/chat")
    message = page.get_by_label("Message")
    message.fill("the cat sat")
    message.press("Enter")
    expect(page.get_by_text("The model is loading")).to_be_visible()
    expect(page.locator(".chat li")).to_have_count(2)
    expect(page.locator("[data-answer]:not(.waiting) small")).to_be_visible()
    expect(page.locator(".chat .assistant p")).not_to_be_empty()
    whole = page.locator(".chat .assistant p").first.inner_text()
    message.fill("and the dog")
    page.evaluate(STOP_AT_THE_FIRST_WORD)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".chat .assistant p").nth(1)).not_to_be_empty()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.locator(".chat li")).to_have_count(4)
    assert len(page.locator(".chat .assistant p").nth(1).inner_text()) < len(whole)

    # A text that is continued.
    page.goto(f"{filled.url}/alice/text-generation")
    page.get_by_role("button", name="Compute").click()
    expect(page.locator(".written .new")).not_to_be_empty()

    # Marked words, with the answer as JSON beside.
    page.goto(f"{filled.url}/alice/token-classification")
    page.get_by_role("link", name="anna likes").click()
    expect(page.locator("[data-answer] mark").first).to_be_visible()
    page.get_by_text("JSON", exact=True).click()
    expect(page.locator("[data-answer] pre")).to_contain_text("entity_group")

    # A table: a row more, and cells as they are copied from a spreadsheet.
    page.goto(f"{filled.url}/alice/table-question-answering")
    page.get_by_role("button", name="+ Row").click()
    cell = page.get_by_label("Row 3, column 1")
    expect(cell).to_be_visible()
    cell.evaluate(
        """cell => { const data = new DataTransfer(); data.setData('text/plain', 'tula\\t7\\nomsk\\t8');
        cell.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })); }"""
    )
    expect(page.get_by_label("Row 4, column 2")).to_have_value("8")
    page.get_by_role("button", name="Compute").click()
    expect(page.locator("[data-answer] td", has_text="omsk")).to_be_visible()

    # A picture: the card's, one that is chosen, one that is pasted.
    page.goto(f"{filled.url}/alice/image-classification")
    page.get_by_role("link", name="A cat").click()
    expect(page.locator(".scores li")).to_have_count(2)
    expect(page.locator(".drop img")).to_have_attribute("alt", "cat.png")
    page.locator("input[type=file]").set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": png("red")})
    expect(page.locator(".drop img")).to_have_attribute("alt", "red.png")
    expect(page.locator("[data-answer]:not(.waiting) .scores li")).to_have_count(2)
    page.evaluate(
        """async bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'tea.png', { type: 'image/png' }));
        document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })); }""",
        list(png("green")),
    )
    expect(page.locator(".drop img")).to_have_attribute("alt", "tea.png")
    expect(page.locator("[data-answer]:not(.waiting) .scores li")).to_have_count(2)
    page.locator("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"none"})
    expect(page.locator("[data-answer] .warning")).to_contain_text("no picture")


def test_tasks_and_metrics(filled, page):
    page.goto(filled.url)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Tasks").click()
    page.get_by_role("link", name="Token classification").click()
    page.get_by_role("button", name="Compute").click()
    expect(page.locator("[data-answer] mark").first).to_be_visible()
    page.get_by_role("link", name="seqeval").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("seqeval")
    page.get_by_label("predictions").fill("B-PER O\nO")
    page.get_by_label("references").fill("B-PER O\nB-LOC")
    page.get_by_role("button", name="Compute").click()
    expect(page.get_by_role("row", name="overall_recall")).to_contain_text("0.5")
    page.get_by_label("references").fill("B-PER O O\nB-LOC")
    page.get_by_role("button", name="Compute").click()
    expect(page.locator("[data-answer] .warning")).to_contain_text("Row 0")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Metrics").click()
    page.get_by_label("Search metrics").fill("harmonic")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="f1", exact=True)).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1300), ("dark", 390)])
def test_axe_finds_no_violation_and_nothing_is_too_wide(filled, browser, theme, width):
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    for path, press in (
        ("/tasks", None), ("/tasks/token-classification", "Compute"), ("/tasks/any-to-any", None), ("/metrics", None),
        ("/metrics/confusion_matrix", "Compute"), ("/metrics/perplexity", None), ("/alice/chat", "Send"),
        ("/alice/table-question-answering", "Compute"), ("/alice/image-classification?example=0", "Compute"),
    ):  # fmt: skip
        page.goto(filled.url + path)
        if press:
            page.get_by_role("button", name=press).click()
            expect(page.locator("[data-answer]:not(.waiting) small").last).to_be_visible()
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
