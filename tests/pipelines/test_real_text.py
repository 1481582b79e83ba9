"""The text tasks on real reviews and editorials, a real encoder under random heads, beside the reference library."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import sklearn.datasets
import torch
import transformers
from tiny_checkpoints import TAGS, Build, labels, plain, same

from assets import minilm_folder, snippets
from samovar import pipeline

pytestmark = pytest.mark.slow


@functools.cache
def reviews() -> list[str]:
    return [text for _, text in snippets("movies")[:24]]


@functools.cache
def letters() -> list[str]:
    return [text for _, text in snippets("editorials")[:60]]


def article() -> str:
    return " ".join(letters())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`encoder(head, …)`: a folder with the real encoder and a random head of this class."""
    made: dict[str, str] = {}

    def build(head: str, name: str = "", **settings: Any) -> str:
        key = name or head
        if key not in made:
            folder = tmp_path_factory.mktemp(key)
            torch.manual_seed(0)
            model = getattr(transformers, head).from_pretrained(minilm_folder(), **settings)
            torch.nn.init.normal_(model.get_submodule(head_of(head)).weight, std=0.3)
            model.save_pretrained(folder)
            transformers.AutoTokenizer.from_pretrained(minilm_folder()).save_pretrained(folder)
            made[key] = str(folder)
        return made[key]

    return build


def head_of(name: str) -> str:
    if name.endswith("MaskedLM"):
        return "cls.predictions.transform.dense"
    return "qa_outputs" if name.endswith("QuestionAnswering") else "classifier"


def test_zero_shot_labels_of_reviews(encoder: Any) -> None:
    folder = encoder("BertForSequenceClassification", **labels("contradiction", "neutral", "entailment"))
    ours = pipeline("zero-shot-classification", model=folder, device="cpu")
    theirs = transformers.pipeline("zero-shot-classification", model=folder, device="cpu")
    options: dict[str, Any] = {"candidate_labels": ["praise", "blame", "plot"], "hypothesis_template": "This is {}."}
    assert same(ours(reviews(), **options), plain(theirs(reviews(), **options)))


def test_a_question_to_an_article_of_many_parts(encoder: Any) -> None:
    folder = encoder("BertForQuestionAnswering")
    ours = pipeline("question-answering", model=folder, device="cpu")
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    question = "What does the writer think of the war?"
    contexts = [article(), *letters()[:8], article()[500:4000]]
    for context, found in zip(contexts, ours(question=question, context=contexts), strict=True):
        batch = tokenizer(
            question, context, truncation="only_second", max_length=384, stride=128, padding=True,
            return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        batch.pop("overflow_to_sample_mapping")
        batch.pop("offset_mapping")
        with torch.no_grad():
            out = model(**batch)
        best = (0.0, 0, 0)
        for part in range(len(out.start_logits)):
            inside = torch.tensor([kind == 1 for kind in batch.sequence_ids(part)])
            allowed = inside.clone()
            allowed[0] = True
            start, end = (
                logits[part].masked_fill(~allowed, -1e9).softmax(-1) * inside
                for logits in (out.start_logits, out.end_logits)
            )
            spans = start[:, None] * end
            spans = spans.triu() - spans.triu(15)
            first, last = divmod(int(spans.argmax()), spans.shape[1])
            score = float(spans.max())
            if score > best[0]:
                a = batch.word_to_chars(part, batch.token_to_word(part, first), sequence_index=1)[0]
                b = batch.word_to_chars(part, batch.token_to_word(part, last), sequence_index=1)[1]
                best = (score, a, b)
        assert found["score"] == pytest.approx(best[0], abs=1e-5)
        assert (found["start"], found["end"]) == best[1:]
        assert found["answer"] == context[found["start"] : found["end"]]


@pytest.mark.parametrize("strategy", ["none", "simple", "first"])
def test_labels_over_an_article_of_many_parts(encoder: Any, strategy: str) -> None:
    folder = encoder("BertForTokenClassification", **labels(*TAGS))
    ours = pipeline("token-classification", model=folder, device="cpu", aggregation_strategy=strategy)
    theirs = transformers.pipeline("token-classification", model=folder, device="cpu", aggregation_strategy=strategy)
    assert same(ours(reviews()), [plain(theirs(text)) for text in reviews()])
    found = ours(article(), stride=64, ignore_labels=[])
    tokens = ours.tokenizer(article(), add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    if strategy == "none":
        # Each token once, in order, where the whole text has it.
        assert [(one["start"], one["end"]) for one in found] == [tuple(place) for place in tokens]
        assert [one["index"] for one in found] == list(range(1, len(tokens) + 1))
    assert (found[0]["start"], found[-1]["end"]) == (tokens[0][0], tokens[-1][1])


def test_several_choices_for_reviews(encoder: Any) -> None:
    folder = encoder("BertForMultipleChoice")
    model = transformers.AutoModelForMultipleChoice.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    choices = ["I liked it.", "I did not like it.", "It was about a war."]
    found = pipeline("multiple-choice", model=folder)([{"context": t, "choices": choices} for t in reviews()])
    for text, row in zip(reviews(), found, strict=True):
        batch = tokenizer([text] * 3, choices, padding=True, return_tensors="pt")
        with torch.no_grad():
            scores = model(**{k: v[None] for k, v in batch.items()}).logits[0].softmax(-1).tolist()
        assert {one["index"]: one["score"] for one in row} == pytest.approx(dict(enumerate(scores)), abs=1e-4)


def test_writing_goes_on_from_reviews(build: Build) -> None:
    folder = build("gpt2", "GPT2LMHeadModel", bos_token_id=0, eos_token_id=0)
    ours = pipeline("text-generation", model=folder, do_sample=False, max_new_tokens=8, handle_long_generation="hole")
    theirs = transformers.pipeline("text-generation", model=folder, device="cpu")
    theirs.tokenizer.model_max_length = 64
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8, "handle_long_generation": "hole"}
    assert ours(reviews()) == [theirs(text, **options) for text in reviews()]


def test_one_class_of_each_review(encoder: Any) -> None:
    folder = encoder("BertForSequenceClassification", **labels("contradiction", "neutral", "entailment"))
    ours = pipeline("text-classification", model=folder, device="cpu")
    theirs = transformers.pipeline("text-classification", model=folder, device="cpu")
    assert same(ours(reviews()), plain(theirs(reviews())))
    assert same(list(ours(iter(reviews()), top_k=2)), [plain(theirs(text, top_k=2)) for text in reviews()])


def test_several_classes_of_each_review(encoder: Any) -> None:
    settings = {"problem_type": "multi_label_classification", **labels("praise", "blame", "plot", "war")}
    folder = encoder("BertForSequenceClassification", name="several", **settings)
    ours = pipeline("text-classification", model=folder, device="cpu", top_k=None)
    theirs = transformers.pipeline("text-classification", model=folder, device="cpu", top_k=None)
    found = ours(reviews())
    assert same(found, plain(theirs(reviews())))
    # Each class by itself: their scores have no common sum.
    assert {round(sum(one["score"] for one in row), 2) for row in found} != {1.0}


def test_words_behind_masks_in_reviews(encoder: Any) -> None:
    folder = encoder("BertForMaskedLM")
    ours = pipeline("fill-mask", model=folder, device="cpu")
    theirs = transformers.pipeline("fill-mask", model=folder, device="cpu")
    masked = []
    for text in reviews():
        words = text.split()
        words[len(words) // 2] = "[MASK]"
        masked.append(" ".join(words))
    assert same(ours(masked), [plain(theirs(text)) for text in masked])
    among = {"targets": ["film", "movie", "story"], "top_k": 2}
    assert same(ours(masked, **among), [plain(theirs(text, **among)) for text in masked])


def test_sentences_like_one_of_the_reviews() -> None:
    """The real encoder: cosines beside sentence-transformers, and a paraphrase that is nearer than all others."""
    import sentence_transformers

    alike = pipeline("sentence-similarity", model=str(minilm_folder()))
    theirs = sentence_transformers.SentenceTransformer(str(minilm_folder()), device="cpu")
    source = "I fell asleep, so boring was this film."
    texts = [*reviews(), "This movie put me to sleep."]
    found = alike(source_sentence=source, sentences=texts)
    wanted = theirs.similarity(theirs.encode([source]), theirs.encode(texts))[0]
    torch.testing.assert_close(torch.tensor(found), wanted, atol=1e-5, rtol=0)
    assert max(range(len(texts)), key=found.__getitem__) == len(texts) - 1


def test_questions_on_a_real_table(tmp_path: Path) -> None:
    """Measurements of flowers as a data frame and as a dict; words and their pieces from the encoder's vocabulary."""
    frame = sklearn.datasets.load_iris(as_frame=True).frame.iloc[::15].astype(str).reset_index(drop=True)
    (tmp_path / "vocab.txt").write_bytes((minilm_folder() / "vocab.txt").read_bytes())
    words = len((tmp_path / "vocab.txt").read_text("utf-8").splitlines())
    torch.manual_seed(0)
    config = transformers.TapasConfig(
        vocab_size=words + 1, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        num_aggregation_labels=4, aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
    )  # fmt: skip
    model = transformers.TapasForQuestionAnswering(config)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(tmp_path)
    transformers.TapasTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    theirs = transformers.pipeline(
        "table-question-answering", model=transformers.TapasForQuestionAnswering.from_pretrained(tmp_path),
        tokenizer=transformers.TapasTokenizer.from_pretrained(tmp_path),
    )  # fmt: skip
    ours = pipeline("table-question-answering", model=str(tmp_path), device="cpu")
    questions = ["What is the largest sepal length?", "How many flowers are there?", "Sum of petal width (cm)?"]
    found = ours(frame, questions)
    assert found == theirs(frame, questions)
    assert found == ours(frame.to_dict("list"), questions) == ours(frame.to_dict("records"), questions)
    assert [ours(frame, question) for question in questions] == found
    for answer in found:
        assert answer["cells"] == [str(frame.iat[row, column]) for row, column in answer["coordinates"]]
