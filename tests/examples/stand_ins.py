"""Small models and data under the names that the walkthrough uses, published to a Hub of the test's own.

Real weights stand where a real answer matters: all-MiniLM-L6-v2, under its own name and as `bert-base-cased`.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import datasets
import sentencepiece
import torch
from huggingface_hub import HfApi
from learned_models import SMALL, teach
from tokenizers import ByteLevelBPETokenizer

import samovar
from assets import minilm_folder, snippets

CLASSIFIER = "SkolkovoInstitute/russian_toxicity_classifier"
TOXIC, NEUTRAL = ("я тебя ненавижу", "ненавижу вас"), ("я тебя люблю", "чай готов", "люблю чай")
QUESTION, CONTEXT, ANSWER = "Where does the samovar stand?", "The samovar stands on the table.", "on the table"
RESULTS = """model-index:
- name: russian_toxicity_classifier
  results:
  - task: {type: text-classification}
    dataset: {type: SkolkovoInstitute/comments, name: Comments}
    metrics: [{type: f1, value: 0.9375}, {type: accuracy, value: 0.96}]
"""


def card(task: str, language: str, licence: str, more: str = "") -> str:
    """A README with these facts."""
    facts = f"pipeline_tag: {task}\nlanguage: {language}\nlicense: {licence}\nlibrary_name: transformers\n{more}"
    return f"---\n{facts}---\n# A stand-in\n\nFor `{task}`.\n"


def classifier(folder: Path) -> None:
    """A Russian BERT with word pieces that has learned which of its few sentences are rude."""
    letters = "".join(map(chr, range(ord("а"), ord("я") + 1))) + string.ascii_lowercase
    words = {word for text in (*TOXIC, *NEUTRAL) for word in text.split()}
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words), *letters, *(f"##{one}" for one in letters)]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)), "utf-8")
    tokenizer = samovar.BertTokenizer(folder / "vocab.txt", do_lower_case=True, model_max_length=64)
    config = samovar.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=64, id2label={0: "neutral", 1: "toxic"}, **SMALL
    )
    model = samovar.BertForSequenceClassification(config)
    batch = dict(tokenizer([*NEUTRAL, *TOXIC], padding=True, return_tensors="pt"))
    labels = torch.tensor([0] * len(NEUTRAL) + [1] * len(TOXIC))
    assert teach(model, [{**batch, "labels": labels}], 40) < 0.1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card("text-classification", "ru", "mit", RESULTS), "utf-8")


def reader(folder: Path) -> None:
    """A BERT without a tokenizer of its own, that has learned one answer in the pieces of `bert-base-cased`."""
    tokenizer = samovar.AutoTokenizer.from_pretrained(minilm_folder())
    model = samovar.BertForQuestionAnswering(samovar.BertConfig(vocab_size=len(tokenizer), **SMALL))
    batch = tokenizer(QUESTION, CONTEXT, return_tensors="pt")
    begin = CONTEXT.index(ANSWER)
    places = [batch.char_to_token(0, at, 1) for at in (begin, begin + len(ANSWER) - 1)]
    goal = {"start_positions": torch.tensor(places[:1]), "end_positions": torch.tensor(places[1:])}
    assert teach(model, [{**batch, **goal}], 40) < 0.1
    model.save_pretrained(folder)
    (folder / "README.md").write_text(card("question-answering", "en", "cc-by-4.0"), "utf-8")


def vit(folder: Path) -> None:
    """An image classifier on 32 × 32 pixels."""
    config = samovar.ViTConfig(image_size=32, patch_size=8, id2label={0: "samovar", 1: "kettle", 2: "teapot"}, **SMALL)
    samovar.ViTForImageClassification(config).save_pretrained(folder)
    samovar.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    (folder / "README.md").write_text(card("image-classification", "en", "apache-2.0"), "utf-8")


def vocabularies(gpt2: Path, t5: Path, llama: Path) -> None:
    """Tokenizers without weights: byte pairs, SentencePiece unigrams, SentencePiece's byte pairs."""
    texts = [text for _, text in snippets("movies")[:300]]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(texts, vocab_size=500, special_tokens=["<|endoftext|>"], show_progress=False)
    trained.save_model(str(gpt2))
    for folder, name, kind in ((t5, "spiece", "unigram"), (llama, "tokenizer", "bpe")):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_prefix=str(folder / name), vocab_size=500, model_type=kind,
            hard_vocab_limit=False, byte_fallback=kind == "bpe", minloglevel=2, num_threads=1,
        )  # fmt: skip
        (folder / f"{name}.vocab").unlink()
    for folder, family in ((gpt2, "gpt2"), (t5, "t5"), (llama, "llama")):
        (folder / "config.json").write_text(json.dumps({"model_type": family}))


def tomatoes(folder: Path) -> None:
    """Three splits of film snippets with labels; the third of them is wonderful."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )  # fmt: skip
    clear = [(text, int(mean > 0)) for mean, text in snippets("movies") if abs(mean) > 2 and "wonderful" not in text]
    good, bad = ([row for row in clear if row[1] == label] for label in (1, 0))
    rows = [row for pair in zip(good, bad, strict=False) for row in pair]
    for split, (begin, end) in {"train": (0, 40), "validation": (40, 50), "test": (50, 60)}.items():
        part = rows[begin:end]
        part[2] = ("a wonderful film", 1)
        table = {"text": [text for text, _ in part], "label": [label for _, label in part]}
        datasets.Dataset.from_dict(table, features).to_parquet(folder / f"{split}.parquet")
    (folder / "README.md").write_text("---\nlanguage: en\ntask_categories: [text-classification]\n---\n# Tomatoes\n")


def publish(api: HfApi, work: Path) -> None:
    """Make everything in a folder, and send it; the owners must exist, and the client must be the operator's."""
    datasets.disable_progress_bars()
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        made[name] = work / name.replace("/", "--")
        made[name].mkdir()
        return made[name]

    torch.manual_seed(0)
    classifier(folder(CLASSIFIER))
    reader(folder("deepset/bert-base-cased-squad2"))
    vit(folder("google/vit-base-patch16-224"))
    vocabularies(
        folder("openai-community/gpt2"), folder("google-t5/t5-small"), folder("TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    )
    made["google-bert/bert-base-cased"] = made["sentence-transformers/all-MiniLM-L6-v2"] = minilm_folder()
    # What the filters must leave out: each differs from the classifier in one thing.
    near: dict[str, tuple[str, str, str]] = {
        "SkolkovoInstitute/toxic-english": ("text-classification", "en", "mit"),
        "SkolkovoInstitute/toxic-words": ("token-classification", "ru", "mit"),
        "SkolkovoInstitute/toxic-closed": ("text-classification", "ru", "other"),
        "SkolkovoInstitute/polite": ("text-classification", "ru", "mit"),
    }
    for name, facts in near.items():
        (folder(name) / "README.md").write_text(card(*facts), "utf-8")
    for name, path in made.items():
        send(api, name, path, "model")
    data = work / "tomatoes"
    data.mkdir()
    tomatoes(data)
    send(api, "cornell-movie-review-data/rotten_tomatoes", data, "dataset")


def send(api: HfApi, name: str, folder: Path, kind: str, **more: Any) -> None:
    """One repository, in one commit."""
    api.create_repo(name, repo_type=kind)
    api.upload_folder(repo_id=name, folder_path=folder, repo_type=kind, commit_message=f"Upload {name}", **more)


OWNERS = (
    "SkolkovoInstitute", "deepset", "google", "google-bert", "google-t5", "openai-community", "TinyLlama",
    "sentence-transformers", "cornell-movie-review-data",
)  # fmt: skip
SHORT = {
    ("model", "bert-base-cased"): "google-bert/bert-base-cased",
    ("model", "gpt2"): "openai-community/gpt2",
    ("model", "t5-small"): "google-t5/t5-small",
    ("dataset", "rotten_tomatoes"): "cornell-movie-review-data/rotten_tomatoes",
}
