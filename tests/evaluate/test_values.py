"""Values equal those of the libraries called directly, on random and on real data, to 1e-9."""

from __future__ import annotations

import warnings
from typing import Any

import nltk.translate.gleu_score
import nltk.translate.meteor_score
import numpy as np
import pytest
import sacrebleu.metrics
import scipy.stats
import seqeval.metrics
import sklearn.metrics as sk
from nltk.tokenize import TreebankWordTokenizer
from rouge_score.rouge_scorer import RougeScorer

from assets import snippets, wordnet_folder
from samovar.evaluate import MetricError, load
from samovar.evaluate.classification import MetricWarning

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 300)
GUESSES = np.where(RNG.random(300) < 0.6, CLASSES, RNG.integers(0, 4, 300))
BITS, BIT_GUESSES = CLASSES % 2, GUESSES % 2
SCORES = np.clip(BITS * 0.3 + RNG.random(300) * 0.7, 0, 1)
SHARES = RNG.dirichlet(np.ones(4), 300)
NUMBERS = RNG.normal(size=300) * 3 + 10
NEAR = NUMBERS + RNG.normal(size=300)
NAMES = np.array(["tea", "milk", "sugar", "water"])
TEXTS = [text for _, text in snippets("movies")[:60]]
OTHERS = [" ".join(word for k, word in enumerate(text.split()) if k % 5) for text in TEXTS]
RUSSIAN = ["Чай готов и стоит на столе.", "Самовар кипит."]
CHINESE = ["茶已经准备好了。", "茶炊在沸腾。"]


def equal(name: str, expected: Any, inputs: dict[str, Any], key: str | None = None, **options: Any) -> None:
    found = load(name).compute(**inputs, **options)[key or name]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


# Classification ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_counts_by_class(average: str | None, kind: str) -> None:
    wanted, found = (CLASSES, GUESSES) if kind == "numbers" else (NAMES[CLASSES], NAMES[GUESSES])
    rows = {"predictions": found, "references": wanted}
    for name, function in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)):
        equal(name, function(wanted, found, average=average), rows, average=average)
    equal("accuracy", sk.accuracy_score(wanted, found), rows)
    equal("accuracy", sk.accuracy_score(wanted, found, normalize=False), rows, normalize=False)
    equal("balanced_accuracy", sk.balanced_accuracy_score(wanted, found), rows)
    equal("matthews_correlation", sk.matthews_corrcoef(wanted, found), rows)
    equal("cohen_kappa", sk.cohen_kappa_score(wanted, found), rows)
    equal("confusion_matrix", sk.confusion_matrix(wanted, found), rows)
    equal("confusion_matrix", sk.confusion_matrix(wanted, found, normalize="true"), rows, normalize="true")


def test_two_classes_and_several_labels() -> None:
    rows = {"predictions": BIT_GUESSES, "references": BITS}
    equal("f1", sk.f1_score(BITS, BIT_GUESSES), rows)
    equal("f1", sk.f1_score(BITS, BIT_GUESSES, pos_label=0), rows, pos_label=0)
    weights = RNG.random(300)
    equal("precision", sk.precision_score(BITS, BIT_GUESSES, sample_weight=weights), rows, sample_weight=weights)
    words = {"predictions": NAMES[BIT_GUESSES], "references": NAMES[BITS]}
    equal("recall", sk.recall_score(NAMES[BITS], NAMES[BIT_GUESSES], pos_label="tea"), words, pos_label="tea")
    with pytest.raises(MetricError, match=r"pos_label=1 is none of the classes \['milk', 'tea'\]"):
        load("f1").compute(**words)
    many = {"predictions": RNG.integers(0, 2, (50, 3)), "references": RNG.integers(0, 2, (50, 3))}
    equal("f1", sk.f1_score(many["references"], many["predictions"], average="macro"), many, average="macro")


def test_scores() -> None:
    rows = {"references": BITS, "prediction_scores": SCORES}
    equal("roc_auc", sk.roc_auc_score(BITS, SCORES), rows)
    equal("pr_auc", sk.average_precision_score(BITS, SCORES), rows)
    several = {"references": CLASSES, "prediction_scores": SHARES}
    for way in ("ovr", "ovo"):
        equal("roc_auc", sk.roc_auc_score(CLASSES, SHARES, multi_class=way), several, multi_class=way)
    equal("log_loss", sk.log_loss(BITS, SCORES), {"references": BITS, "predictions": SCORES})
    equal("log_loss", sk.log_loss(CLASSES, SHARES), {"references": CLASSES, "predictions": SHARES})
    equal("brier_score", sk.brier_score_loss(BITS, SCORES), {"references": BITS, "predictions": SCORES})
    with pytest.raises(MetricError, match="all references are of one class"):
        load("roc_auc").compute(references=[1, 1], prediction_scores=[0.5, 0.4])


def test_a_label_never_predicted_is_stated() -> None:
    with pytest.warns(MetricWarning, match=r"never predicted: 2; not in the references: 3\); `zero_division` states"):
        found = load("precision").compute(predictions=[0, 1, 3], references=[0, 1, 2], average=None)
    assert found["precision"].tolist() == [1, 1, 0, 0]
    assert load("f1").compute(predictions=[0, 1, 3], references=[0, 1, 2], average=None)["f1"].tolist() == [1, 1, 0, 0]
    assert load("precision").compute(
        predictions=[0, 0], references=[0, 1], average=None, zero_division=0
    )["precision"].tolist() == [0.5, 0]  # fmt: skip
    assert load("precision").compute(predictions=[0], references=[1], zero_division=1) == {"precision": 1.0}


# Numbers ----------------------------------------------------------------------------------------------------------


def test_regression() -> None:
    rows = {"predictions": NEAR, "references": NUMBERS}
    equal("mse", sk.mean_squared_error(NUMBERS, NEAR), rows)
    equal("mse", sk.root_mean_squared_error(NUMBERS, NEAR), rows, squared=False)
    equal("rmse", sk.root_mean_squared_error(NUMBERS, NEAR), rows)
    equal("mae", sk.mean_absolute_error(NUMBERS, NEAR), rows)
    equal("mape", sk.mean_absolute_percentage_error(NUMBERS, NEAR), rows)
    equal("smape", np.mean(2 * np.abs(NEAR - NUMBERS) / (np.abs(NEAR) + np.abs(NUMBERS))), rows)
    equal("r_squared", sk.r2_score(NUMBERS, NEAR), rows)
    equal("pearsonr", scipy.stats.pearsonr(NEAR, NUMBERS)[0], rows)
    equal("pearsonr", scipy.stats.pearsonr(NEAR, NUMBERS)[1], rows, "p-value", return_pvalue=True)
    equal("spearmanr", scipy.stats.spearmanr(NEAR, NUMBERS)[0], rows)
    equal("spearmanr", scipy.stats.spearmanr(NEAR, NUMBERS)[1], rows, "spearmanr_pvalue", return_pvalue=True)
    series = RNG.normal(size=40)
    naive = np.mean(np.abs(series[7:] - series[:-7]))
    equal("mase", np.mean(np.abs(NEAR - NUMBERS)) / naive, rows, training=series, periodicity=7)
    outputs = {"predictions": NEAR.reshape(100, 3), "references": NUMBERS.reshape(100, 3)}
    raw = sk.mean_absolute_error(outputs["references"], outputs["predictions"], multioutput="raw_values")
    equal("mae", raw, outputs, multioutput="raw_values")
    weights = RNG.random(300)
    equal("mse", sk.mean_squared_error(NUMBERS, NEAR, sample_weight=weights), rows, sample_weight=weights)


@pytest.mark.parametrize(
    ("name", "rows", "options", "words"),
    [
        ("pearsonr", {"predictions": [1, 1], "references": [1, 2]}, {}, "predictions never change"),
        ("spearmanr", {"predictions": [1], "references": [1]}, {}, "never change"),
        ("pearsonr", {"predictions": [[1, 2]], "references": [[1, 2]]}, {}, "takes one a row"),
        ("r_squared", {"predictions": [1], "references": [1]}, {}, "two rows or more"),
        ("mase", {"predictions": [1], "references": [1]}, {}, "no training series"),
        ("mase", {"predictions": [1], "references": [1]}, {"training": [2, 2]}, "never changes"),
        ("mase", {"predictions": [1], "references": [1]}, {"training": [1, 2], "periodicity": 2}, "periodicity=2"),
        (
            "mse",
            {"predictions": [1, 2], "references": [[1, 2], [1, 2]]},
            {},
            r"shape \(\), references of \(2,\)",
        ),
        ("mse", {"predictions": [1], "references": [1]}, {"multioutput": "all"}, "mse: The 'multioutput' parameter"),
    ],
)
def test_regression_that_is_not_defined(name: str, rows: Any, options: Any, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        load(name).compute(**rows, **options)


def test_ranking() -> None:
    relevance, scores = RNG.integers(0, 4, (20, 9)), RNG.random((20, 9))
    rows = {"predictions": scores, "references": relevance}
    equal("ndcg", sk.ndcg_score(relevance, scores), rows)
    equal("ndcg", sk.ndcg_score(relevance, scores, k=3), rows, k=3)
    ranked = [list(map(str, RNG.permutation(30))) for _ in range(40)]
    wanted = [set(map(str, RNG.permutation(30)[: RNG.integers(1, 6)])) for _ in range(40)]
    places = [min(row.index(one) for one in right) for row, right in zip(ranked, wanted, strict=True)]
    rows = {"predictions": ranked, "references": wanted}
    equal("mrr", np.mean([1 / (place + 1) for place in places]), rows)
    equal("mrr", np.mean([1 / (place + 1) if place < 5 else 0 for place in places]), rows, k=5)
    for k in (1, 10):
        hits = [len(right.intersection(row[:k])) / len(right) for row, right in zip(ranked, wanted, strict=True)]
        equal("recall_at_k", np.mean(hits), rows, f"recall_at_{k}", k=[1, 10])
    with pytest.raises(MetricError, match=r"references\[0\] is empty: nothing is relevant"):
        load("mrr").compute(predictions=[["a"]], references=[[]])
    with pytest.raises(MetricError, match="k=0"):
        load("recall_at_k").compute(predictions=[["a"]], references=[["a"]], k=0)


# Text -------------------------------------------------------------------------------------------------------------


def one_each(texts: list[str]) -> list[list[str]]:
    return [[text] for text in texts]


PAIRS = [(OTHERS, TEXTS), (RUSSIAN[::-1], RUSSIAN), (CHINESE, CHINESE[::-1]), (RUSSIAN, CHINESE)]


@pytest.mark.parametrize("pair", PAIRS)
def test_translation(pair: tuple[list[str], list[str]]) -> None:
    found, wanted = pair
    rows = {"predictions": found, "references": wanted}
    plain = sacrebleu.metrics.BLEU(smooth_method="none").corpus_score(found, [wanted])
    equal("bleu", plain.score / 100, rows)
    equal("bleu", np.array(plain.precisions) / 100, rows, "precisions")
    equal("bleu", plain.bp, rows, "brevity_penalty")
    for options in ({}, {"lowercase": True}, {"tokenize": "char"}, {"smooth_method": "floor", "smooth_value": 0.2}):
        expected = sacrebleu.metrics.BLEU(**options).corpus_score(found, [wanted])
        equal("sacrebleu", expected.score, rows, "score", **options)
        equal("sacrebleu", expected.counts, rows, "counts", **options)
    for options in ({}, {"word_order": 2}, {"char_order": 4, "beta": 1}):
        equal("chrf", sacrebleu.metrics.CHRF(**options).corpus_score(found, [wanted]).score, rows, "score", **options)
    edits = sacrebleu.metrics.TER().corpus_score(found, [wanted])
    equal("ter", edits.score, rows, "score")
    equal("ter", edits.num_edits, rows, "num_edits")
    tokens = [[text.split()] for text in wanted]
    expected = nltk.translate.gleu_score.corpus_gleu(tokens, [text.split() for text in found])
    equal("google_bleu", expected, rows, tokenizer=str.split)


def test_several_references_of_unequal_number() -> None:
    references = [
        ["the cat sat on the mat", "a cat sat there"],
        ["it rains"],
        ["tea is hot", "hot tea", "tea burns us"],
    ]
    found = ["a cat sat on a mat", "it is raining", "tea burns"]
    streams = [[row[k] if k < len(row) else None for row in references] for k in range(3)]
    rows = {"predictions": found, "references": references}
    equal("sacrebleu", sacrebleu.metrics.BLEU().corpus_score(found, streams).score, rows, "score")
    equal("chrf", sacrebleu.metrics.CHRF().corpus_score(found, streams).score, rows, "score")
    scorer = RougeScorer(["rouge1"])
    best = [
        max(scorer.score(other, text)["rouge1"].fmeasure for other in row)
        for text, row in zip(found, references, strict=True)
    ]
    equal("rouge", np.mean(best), rows, "rouge1")
    with pytest.raises(MetricError, match="sacrebleu: "):
        load("sacrebleu").compute(**rows, smooth_method="much")


def test_rouge() -> None:
    rows = {"predictions": OTHERS, "references": TEXTS}
    types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    for stem in (False, True):
        scores = [RougeScorer(types, use_stemmer=stem).score(b, a) for a, b in zip(OTHERS, TEXTS, strict=True)]
        for name in types:
            equal("rouge", np.mean([one[name].fmeasure for one in scores]), rows, name, use_stemmer=stem)
        equal("rouge", [s["rouge2"].fmeasure for s in scores], rows, "rouge2", use_aggregator=False, use_stemmer=stem)
    russian = {"predictions": RUSSIAN, "references": RUSSIAN}
    equal("rouge", 0, russian, "rouge1")
    equal("rouge", 1, russian, "rouge1", tokenizer=str.split)
    with pytest.raises(MetricError, match="rouge: Invalid rouge type"):
        load("rouge").compute(**rows, rouge_types=["red"])


def test_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"predictions": OTHERS[:20], "references": TEXTS[:20]}
    if not load_wordnet_yet():
        monkeypatch.setattr("nltk.data.path", ["/nowhere"])
        with pytest.raises(MetricError, match="nltk has no WordNet"):
            load("meteor").compute(predictions=["the physician"], references=["the doctor"])
    monkeypatch.setattr("nltk.data.path", [str(wordnet_folder())])
    words = TreebankWordTokenizer().tokenize
    values = [
        nltk.translate.meteor_score.meteor_score([words(b)], words(a), alpha=0.8)
        for a, b in zip(rows["predictions"], rows["references"], strict=True)
    ]
    equal("meteor", np.mean(values), rows, alpha=0.8)


def load_wordnet_yet() -> bool:
    """Whether another test made nltk read its WordNet before: it is read once in a process."""
    from nltk.corpus import wordnet

    return type(wordnet).__name__ != "LazyCorpusLoader"


def test_exact_match() -> None:
    rows = {"predictions": ["The cat 9!", "dog"], "references": ["the cat", "cat"]}
    equal("exact_match", 0, rows)
    equal("exact_match", 0.5, rows, ignore_case=True, ignore_punctuation=True, ignore_numbers=True,
          regexes_to_ignore=[" $", " (?=9)"])  # fmt: skip
    with pytest.raises(MetricError, match="is no regular expression"):
        load("exact_match").compute(**rows, regexes_to_ignore=["("])
    equal("exact_match", 1, {"predictions": [""], "references": [""]})


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@pytest.mark.parametrize("chunk", [7, 1000])
def test_speech(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samovar.evaluate.speech.CHUNK", chunk)
    wanted, found = [*TEXTS[:25], *RUSSIAN], [*OTHERS[:25], *RUSSIAN[::-1]]
    rows = {"predictions": found, "references": wanted}
    words = sum(distance(a.split(), b.split()) for a, b in zip(found, wanted, strict=True))
    equal("wer", words / sum(len(text.split()) for text in wanted), rows)
    letters = sum(distance(list(a.strip()), list(b.strip())) for a, b in zip(found, wanted, strict=True))
    equal("cer", letters / sum(len(text.strip()) for text in wanted), rows)
    with pytest.raises(MetricError, match=r"references\[1\] is empty"):
        load("wer").compute(predictions=["a", "b"], references=["a", " "])
    assert load("wer").compute(predictions=[""], references=["a b"]) == {"wer": 1.0}


# Benchmarks -------------------------------------------------------------------------------------------------------


def test_seqeval() -> None:
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    wanted = [[tags[k] for k in RNG.integers(0, 5, RNG.integers(1, 9))] for _ in range(60)]
    found = [[tag if RNG.random() < 0.7 else "O" for tag in row] for row in wanted]
    rows = {"predictions": found, "references": wanted}
    for options in ({}, {"mode": "strict", "scheme": "IOB2"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheme = getattr(__import__("seqeval.scheme").scheme, options.get("scheme", ""), None)
            report = seqeval.metrics.classification_report(
                wanted, found, output_dict=True, mode=options.get("mode"), scheme=scheme
            )
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            equal("seqeval", report["micro avg"][theirs], rows, f"overall_{ours}", **options)
        person = load("seqeval").compute(**rows, **options)["PER"]
        assert person["number"] == report["PER"]["support"]
        assert person["f1"] == pytest.approx(report["PER"]["f1-score"], abs=1e-9)
    equal("seqeval", seqeval.metrics.accuracy_score(wanted, found), rows, "overall_accuracy")
    with pytest.raises(MetricError, match="Row 0 has 1 predicted tags and 2 true ones"):
        load("seqeval").compute(predictions=[["O"]], references=[["O", "O"]])
    with pytest.raises(MetricError, match="no scheme 'BIO'"):
        load("seqeval").compute(**rows, scheme="BIO")


def question(key: str, *answers: str) -> dict[str, Any]:
    return {"id": key, "answers": {"text": list(answers), "answer_start": [0] * len(answers)}}


def test_squad() -> None:
    references = [question("a", "the Eiffel Tower", "tower in Paris"), question("b", "1889"), question("c", "Gustave")]
    predictions = [
        {"id": "c", "prediction_text": "engineer Gustave Eiffel"},
        {"id": "a", "prediction_text": "An Eiffel tower!"},
        {"id": "b", "prediction_text": ""},
    ]
    found = load("squad").compute(predictions=predictions, references=references)
    assert found == {"exact_match": pytest.approx(100 / 3), "f1": pytest.approx(100 * (1 + 0 + 0.5) / 3)}
    for bad, words in (
        ({"predictions": predictions[:2] * 2, "references": [*references, question("d", "x")]}, "predicted twice"),
        (
            {"predictions": predictions, "references": [*references[:2], question("d", "x")]},
            "an id without a prediction",
        ),
        ({"predictions": predictions[:1], "references": [question("c")]}, "has no answer"),
    ):
        with pytest.raises(MetricError, match=words):
            load("squad").compute(**bad)


def test_squad_with_questions_that_have_no_answer() -> None:
    references = [question("a", "tea"), question("b"), question("c"), question("d", "milk")]
    predictions = [
        {"id": "a", "prediction_text": "tea", "no_answer_probability": 0.1},
        {"id": "b", "prediction_text": "", "no_answer_probability": 0.9},
        {"id": "c", "prediction_text": "water", "no_answer_probability": 0.7},
        {"id": "d", "prediction_text": "warm milk", "no_answer_probability": 0.3},
    ]
    rows = {"predictions": predictions, "references": references}
    found = load("squad_v2").compute(**rows)
    assert found["exact"] == 50
    assert found["f1"] == pytest.approx(100 * (1 + 1 + 0 + 2 / 3) / 4)
    assert found["HasAns_f1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert (found["NoAns_exact"], found["NoAns_total"], found["total"]) == (50, 2, 4)
    assert found["best_exact"] == 75
    assert found["best_f1"] == pytest.approx(100 * (1 + 1 + 1 + 2 / 3) / 4)
    assert found["best_f1_thresh"] == 0.3
    assert load("squad_v2").compute(**rows, no_answer_threshold=0.5)["exact"] == 75


def test_glue_and_its_kin() -> None:
    rows = {"predictions": BIT_GUESSES, "references": BITS}
    accuracy, score = sk.accuracy_score(BITS, BIT_GUESSES), sk.f1_score(BITS, BIT_GUESSES)
    for name in ("sst2", "mnli_matched", "qnli", "rte", "wnli", "hans"):
        assert load("glue", name).compute(**rows) == {"accuracy": accuracy}
    for name in ("mrpc", "qqp"):
        assert load("glue", name).compute(**rows) == {"accuracy": accuracy, "f1": score}
    correlation = sk.matthews_corrcoef(BITS, BIT_GUESSES)
    assert load("glue", "cola").compute(**rows) == {"matthews_correlation": pytest.approx(correlation, abs=1e-9)}
    found = load("glue", "stsb").compute(predictions=NEAR, references=NUMBERS)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(NEAR, NUMBERS)[0], abs=1e-9)
    assert found["spearmanr"] == pytest.approx(scipy.stats.spearmanr(NEAR, NUMBERS)[0], abs=1e-9)
    assert load("xnli").compute(**rows) == {"accuracy": accuracy}
    for name in ("boolq", "copa", "wic", "wsc", "axg"):
        assert load("super_glue", name).compute(**rows) == {"accuracy": accuracy}
    three = {"predictions": GUESSES, "references": CLASSES}
    assert load("super_glue", "cb").compute(**three)["f1"] == pytest.approx(
        sk.f1_score(CLASSES, GUESSES, average="macro"), abs=1e-9
    )
    record = load("super_glue", "record").compute(
        predictions=[{"idx": {"passage": 0, "query": 0}, "prediction_text": "Riga"}],
        references=[{"idx": {"passage": 0, "query": 0}, "answers": ["the Riga", "Tartu"]}],
    )
    assert record == {"exact_match": 1.0, "f1": 1.0}
    places = [{"paragraph": 0, "question": k // 2, "answer": k % 2} for k in range(6)]
    answers = [1, 0, 1, 1, 0, 0]
    multirc = load("super_glue", "multirc").compute(
        predictions=[{"idx": p, "prediction": a} for p, a in zip(places, answers, strict=True)],
        references=[1, 0, 1, 0, 0, 0],
    )
    assert multirc["exact_match"] == pytest.approx(2 / 3)
    assert multirc["f1_a"] == pytest.approx(sk.f1_score([1, 0, 1, 0, 0, 0], answers))


# Images -----------------------------------------------------------------------------------------------------------


def test_mean_iou() -> None:
    wanted = [RNG.integers(0, 4, (6, 5)), RNG.integers(0, 4, (3, 8))]
    found = [np.where(RNG.random(one.shape) < 0.7, one, 2) for one in wanted]
    wanted[0][0, :3] = 255
    flat = [(np.concatenate([one.ravel() for one in maps])) for maps in (wanted, found)]
    kept = flat[0] != 255
    true, guess = flat[0][kept], flat[1][kept]
    result = load("mean_iou").compute(predictions=found, references=wanted, num_labels=5, ignore_index=255)
    jaccard = sk.jaccard_score(true, guess, average=None, labels=range(4))
    np.testing.assert_allclose(result["per_category_iou"][:4], jaccard, rtol=0, atol=1e-9)
    assert np.isnan(result["per_category_iou"][4])
    assert result["mean_iou"] == pytest.approx(jaccard.mean(), abs=1e-9)
    assert result["overall_accuracy"] == pytest.approx((true == guess).mean(), abs=1e-9)
    assert result["mean_accuracy"] == pytest.approx(sk.recall_score(true, guess, average="macro"), abs=1e-9)
    one = load("mean_iou").compute(predictions=[[[0, 1]]], references=[[[5, 2]]], num_labels=3, label_map={5: 0},
                                   nan_to_num=0)  # fmt: skip
    assert one["per_category_iou"].tolist() == [1, 0, 0]
    reduced = load("mean_iou").compute(predictions=[[[0, 1]]], references=[[[0, 2]]], num_labels=2, reduce_labels=True)
    assert reduced["overall_accuracy"] == 1
    for maps, words in (
        ({"predictions": [[[7]]], "references": [[[0]]]}, r"predictions\[0\] is a class outside 0 … 1: 7"),
        ({"predictions": [[[1]]], "references": [[[1, 0]]]}, "Resize one"),
        ({"predictions": [[[1]]], "references": [[[255]]]}, "Every pixel is ignored"),
    ):
        with pytest.raises(MetricError, match=words):
            load("mean_iou").compute(**maps, num_labels=2)


def test_mean_average_precision() -> None:
    first = {"boxes": [[10, 10, 50, 50], [60, 60, 90, 99]], "labels": [0, 1]}
    wanted = [first, {"boxes": [[5, 5, 45, 45]], "labels": [0]}]
    perfect = [one | {"scores": [0.9] * len(one["labels"])} for one in wanted]
    assert load("mean_average_precision").compute(predictions=perfect, references=wanted)["map"] == pytest.approx(1)
    # One box of class 0 is shifted so that its overlap is 0.6: it counts at 0.5, 0.55 and 0.6 of the ten overlaps.
    shifted = [perfect[0], {"boxes": [[5, 15, 45, 55]], "labels": [0], "scores": [0.8]}]
    found = load("mean_average_precision").compute(predictions=shifted, references=wanted)
    half = 51 / 101  # precision is read at 101 recalls, 51 of which one of two boxes reaches
    assert found["map"] == pytest.approx(((3 * 1 + 7 * half) / 10 + 1) / 2, abs=1e-9)
    assert found["map_50"] == pytest.approx(1)
    assert found["map_75"] == pytest.approx((half + 1) / 2)
    widths = [
        {"boxes": [[x, y, a - x, b - y] for x, y, a, b in one["boxes"]], "labels": one["labels"]} for one in wanted
    ]
    sized = [one | {"scores": [0.9] * len(one["labels"])} for one in widths]
    by_size = load("mean_average_precision").compute(predictions=sized, references=widths, box_format="xywh")
    assert by_size["map"] == pytest.approx(1)
    for rows, words in (
        ({"predictions": perfect, "references": [{"boxes": [], "labels": []}] * 2}, "hold no box"),
        ({"predictions": [{"boxes": [[1, 2, 3, 4]]}], "references": wanted[:1]}, r"predictions\[0\] is no dictionary"),
        ({"predictions": perfect, "references": [{"boxes": [[1, 2]], "labels": [0]}] * 2}, "not four numbers"),
        ({"predictions": perfect, "references": [{"boxes": [[9, 2, 3, 4]], "labels": [0]}] * 2}, "negative size"),
        ({"predictions": perfect, "references": [{"boxes": [[1, 2, 3, 4]], "labels": []}] * 2}, "unequal lengths"),
    ):
        with pytest.raises(MetricError, match=words):
            load("mean_average_precision").compute(**rows)
