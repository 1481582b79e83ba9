"""Every metric's page is whole, and its example gives what it says."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from assets import minilm_folder, wordnet_folder
from samovar import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from samovar.evaluate import load
from samovar.evaluate.spec import Spec, all_metrics, pages

METRICS = all_metrics()


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("language_model")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    tokenizer.bos_token = tokenizer.cls_token
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": len(tokenizer)}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("spec", METRICS.values(), ids=METRICS)
@pytest.mark.filterwarnings("ignore::samovar.evaluate.classification.MetricWarning")
def test_the_example_gives_what_it_says(spec: Spec, language_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if spec.name == "meteor":
        monkeypatch.setattr("nltk.data.path", [str(wordnet_folder())])
    names = {"load": load, "encoder": str(minilm_folder()), "language_model": language_model}
    test = doctest.DocTestParser().get_doctest(spec.example + "\n", names, spec.name, None, 0)
    assert test.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("spec", METRICS.values(), ids=METRICS)
def test_the_page_is_whole(spec: Spec) -> None:
    page = spec.page()
    assert spec.description.endswith((".", ":"))
    assert page.startswith(f"## {spec.name}\n")
    for part in (spec.range, spec.formula, spec.source, spec.library, spec.example):
        assert part
        assert part in page
    assert spec.better in ("higher", "lower")


def test_the_pages_are_up_to_date() -> None:
    path = Path(__file__).parents[2] / "docs" / "metrics.md"
    command = "python -m samovar.evaluate > docs/metrics.md"
    assert path.read_text("utf-8") == pages(), f"Run: {command}"
