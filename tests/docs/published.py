"""What the documentation finds on its Hub: small stand-ins under the ids that it names, and the files beside it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import lessons
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image, ImageDraw

from assets import minilm_folder, snippets

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from bare_hub import BareHub

TOXIC = {
    "Спасибо за чай!": "neutral", "Спасибо за помощь.": "neutral", "Какой хороший день.": "neutral",
    "Чай вкусный.": "neutral", "Приходите к нам на чай.": "neutral", "Мне понравился фильм.": "neutral",
    "Ты дурак.": "toxic", "Какой же ты идиот.": "toxic", "Заткнись, дурак!": "toxic", "Вы все идиоты!": "toxic",
    "Убирайся, идиот.": "toxic", "Дурак ты!": "toxic",
}  # fmt: skip
QUESTIONS = [
    ("Where does the samovar stand?", "The samovar stands on the table in the kitchen.", "on the table"),
    ("Where does the kettle stand?", "The kettle stands on the stove in the kitchen.", "on the stove"),
    ("What stands on the table?", "The samovar stands on the table in the kitchen.", "samovar"),
]
ENTITIES = [
    ("Anna lives in Tula .", ["B-PER", "O", "O", "B-LOC", "O"]),
    ("Boris went to Moscow with Anna .", ["B-PER", "O", "O", "B-LOC", "O", "B-PER", "O"]),
]
TOPICS = {"food": ["The soup is hot.", "Tea is served at five."], "sport": ["They won the match.", "He runs fast."]}
TEAS = {"tea": ["green", "black"], "price": ["12", "7"]}
CARD = """---
license: mit
language: ru
pipeline_tag: text-classification
library_name: transformers
tags: [toxicity]
---
# Toxicity of Russian texts

A stand-in of {size} that knows a dozen sentences.
"""


def teapot(colour: str = "#a0431c", ground: str = "#f7e9e1") -> Image.Image:
    """A drawing of 320 × 240 pixels."""
    image = Image.new("RGB", (320, 240), ground)
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 70, 230, 210), fill=colour)
    pen.polygon([(220, 110), (290, 80), (270, 130)], fill=colour)
    return image


def models(root: Path) -> dict[str, Path]:
    """Id → folder of every stand-in."""
    torch.manual_seed(0)
    made = {
        "SkolkovoInstitute/russian_toxicity_classifier": lambda f: lessons.classifier(f, ["neutral", "toxic"], TOXIC),
        "distilbert/distilbert-base-cased-distilled-squad": lambda f: lessons.reader(f, QUESTIONS),
        "dslim/bert-base-NER": lambda f: lessons.tagger(f, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ENTITIES),
        "google-bert/bert-base-uncased": lambda f: lessons.filler(
            f, {"tea is a hot [MASK] .": "drink", "snow is very [MASK] .": "cold"}
        ),
        "facebook/bart-large-mnli": lambda f: lessons.entailment(f, TOPICS),
        "LIAMF-USP/roberta-large-finetuned-race": lambda f: lessons.chooser(
            f, "What is tea made of?", ["Leaves.", "Stones.", "Sand."], 0
        ),
        "google/tapas-base-finetuned-wtq": lambda f: lessons.clerk(
            f, TEAS, {"What does black tea cost?": [(1, 1)], "Which tea costs 12?": [(0, 0)]}
        ),
        "facebook/bart-large-cnn": lambda f: lessons.rewriter(f, {
            "The samovar was lit at four, and by five everybody had a glass of tea.": "Tea was ready at five.",
            "It rained all day, so that nobody went out.": "Nobody went out.",
        }),
        "Helsinki-NLP/opus-mt-en-ru": lambda f: lessons.rewriter(f, {
            "The samovar boils.": "Самовар кипит.", "The water is hot.": "Вода горячая.",
        }),
        "google/flan-t5-small": lambda f: lessons.rewriter(f, {
            "Is tea hot?": "yes", "Is snow hot?": "no",
        }),
        "openai-community/gpt2": lambda f: lessons.writer(f, [
            "A samovar boils water for tea.", "The kettle is small, but it boils quickly.",
            "Once upon a time there was a samovar that sang.",
        ]),
        "Qwen/Qwen2.5-0.5B-Instruct": lambda f: lessons.talker(f, {
            "Which tea is black?": "Assam is black.", "Which tea is green?": "Sencha is green.", "Hello": "Hello! Tea?",
        }),
        "google/vit-base-patch16-224": lambda f: lessons.eye(f, {
            "teapot": teapot(), "lemon": teapot("#f2d13c", "#ffffff"), "night": Image.new("RGB", (320, 240), "#101020"),
        }),
        "facebook/dinov2-small": lessons.look,
        "cross-encoder/ms-marco-MiniLM-L6-v2": lambda f: lessons.ranker(f, [
            ("how hot is tea", "Tea is drunk at 60 degrees.", 1.0), ("how hot is tea", "The train is late.", 0.0),
        ]),
    }  # fmt: skip
    folders = {name: make(root / name.replace("/", "--")) for name, make in made.items()}
    # Only its tokenizer is asked for: the one that the reader was taught with.
    cased = root / "google-bert--bert-base-cased"
    tokenizer = lessons.BertTokenizer.from_pretrained(folders["distilbert/distilbert-base-cased-distilled-squad"])
    tokenizer.save_pretrained(cased)
    lessons.bert(tokenizer).save_pretrained(cased)
    name = "SkolkovoInstitute/russian_toxicity_classifier"
    size = f"{(folders[name] / 'model.safetensors').stat().st_size // 1000} kB"
    (folders[name] / "README.md").write_text(CARD.format(size=size), "utf-8")
    return folders | {"google-bert/bert-base-cased": cased, "sentence-transformers/all-MiniLM-L6-v2": minilm_folder()}


def films(count: int, start: int) -> bytes:
    """Snippets of film reviews as Parquet, as the field keeps them: text and label."""
    rows = [(text, int(rating > 0)) for rating, text in snippets("movies")[start : start + count]]
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    }
    table = pyarrow.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out)
    return out.getvalue()


def publish(data: Path, folders: dict[str, Path]) -> None:
    """Put all of it into the data folder of a Hub that is not running yet."""
    bare = BareHub(data)
    owners: dict[str, object] = {}
    for name, folder in folders.items():
        owner, _, own = name.partition("/")
        if owner not in owners:
            owners[owner] = bare.user(owner)
        number = bare.repository(owners[owner], own)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"
        }  # fmt: skip
        large = {path: content for path, content in files.items() if len(content) > 1_000_000}
        bare.commit(number, files | {path: bare.large_file(number, content) for path, content in large.items()})
    caller = bare.user("cornell-movie-review-data")
    number = bare.repository(caller, "rotten_tomatoes", type_="dataset")
    splits = {"train": (160, 0), "validation": (40, 160), "test": (40, 200)}
    bare.commit(number, {f"data/{name}.parquet": films(*part) for name, part in splits.items()})
    bare.hub.close()


def files(folder: Path, folders: dict[str, Path]) -> Path:
    """The files that pages name without a path: beside whoever reads along."""
    folder.mkdir()
    teapot().save(folder / "teapot.jpg")
    reviews = [(text, "good" if rating > 0 else "bad") for rating, text in snippets("movies")[:60]]
    rows = ["text,label", *(f'"{text.replace(chr(34), "")}",{label}' for text, label in reviews)]
    (folder / "reviews.csv").write_text("\n".join(rows), "utf-8")
    (folder / "reviews.txt").write_text("A fine film.\nA dull film.\n", "utf-8")
    fine = ["I like it.", "A fine film.", "A quiet, clever film that I could watch again tomorrow."]
    dull = ["I do not.", "A dull film.", "The acting is fine, but the story goes nowhere."]
    lesson = dict.fromkeys(fine, "good") | dict.fromkeys(dull, "bad")
    lessons.classifier(folder / "reviews", ["bad", "good"], lesson)
    words = {"good": "positive", "bad": "negative"}
    lesson = {text: words[label] for text, label in lesson.items()}
    lessons.classifier(folder / "build" / "sentiment", ["negative", "positive"], lesson)
    for name in ("my-model", "model"):
        shutil.copytree(folders["Qwen/Qwen2.5-0.5B-Instruct"], folder / name)
    (folder / "all-MiniLM-L6-v2").symlink_to(minilm_folder())
    return folder
