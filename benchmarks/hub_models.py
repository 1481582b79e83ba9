"""A Hub's database with very many made-up models, whose names, tags, sizes and counts are spread as in the field.

A few owners, tags and words are in most models and very many in a handful each (Zipf's law); counts are log-normal.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.db.tables import Account, DownloadDay, Repository, RepositoryContent, SearchTerm, Sequence
from samovar.server.db.tables.base import now
from samovar.server.search.words import count_words

AT_ONCE = 20_000
OWNERS, DATASETS, BASES, OWN_TAGS, WORDS = 60_000, 30_000, 60_000, 50_000, 40_000
FAMILIES = {
    "bert": ("BertForSequenceClassification", 8), "roberta": ("RobertaForSequenceClassification", 5),
    "distilbert": ("DistilBertForSequenceClassification", 6), "llama": ("LlamaForCausalLM", 16),
    "qwen2": ("Qwen2ForCausalLM", 14), "qwen3": ("Qwen3ForCausalLM", 8), "mistral": ("MistralForCausalLM", 7),
    "gemma2": ("Gemma2ForCausalLM", 4), "gpt2": ("GPT2LMHeadModel", 5), "t5": ("T5ForConditionalGeneration", 6),
    "whisper": ("WhisperForConditionalGeneration", 4), "wav2vec2": ("Wav2Vec2ForCTC", 4),
    "vit": ("ViTForImageClassification", 5), "xlm-roberta": ("XLMRobertaForTokenClassification", 4),
    "phi3": ("Phi3ForCausalLM", 2), "bart": ("BartForConditionalGeneration", 2),
}  # fmt: skip
TASKS = {
    "text-generation": 34, "text-classification": 16, "text-to-image": 9, "fill-mask": 4, "token-classification": 5,
    "image-classification": 5, "automatic-speech-recognition": 5, "feature-extraction": 4, "sentence-similarity": 4,
    "reinforcement-learning": 6, "text2text-generation": 5, "question-answering": 3,
}  # fmt: skip
LICENSES = {"apache-2.0": 42, "mit": 16, "openrail": 7, "creativeml-openrail-m": 6, "llama3.1": 5, "cc-by-nc-4.0": 5,
            "cc-by-4.0": 3, "gemma": 3, "other": 13}  # fmt: skip
LANGUAGES = {"en": 62, "zh": 9, "fr": 5, "de": 4, "es": 4, "ko": 4, "ja": 4, "ru": 3, "ar": 2, "multilingual": 3}
SUFFIXES = ("base", "large", "small", "instruct", "chat", "finetuned", "lora", "gguf", "awq", "gptq", "4bit", "8bit",
            "dpo", "sft", "merged", "v1", "v2", "v3", "uncased", "cased", "emotion", "imdb", "ner")  # fmt: skip
SIZES = (("7b", 7e9), ("8b", 8e9), ("1.5b", 1.5e9), ("13b", 13e9), ("70b", 70e9), ("3b", 3e9), ("0.5b", 5e8),
         ("110m", 1.1e8), ("66m", 6.6e7), ("350m", 3.5e8))  # fmt: skip


class Choice:
    """Draws from values by their weights."""

    def __init__(self, weights: dict[str, int]) -> None:
        self.values, self.weights = list(weights), list(accumulate(weights.values()))

    def draw(self, random_: random.Random) -> str:
        """One value."""
        return random_.choices(self.values, cum_weights=self.weights)[0]


def zipf(random_: random.Random, size: int) -> int:
    """A number below `size`, the n-th drawn about as often as 1/n."""
    return min(int(size ** random_.random()) - 1, size - 1)


def models(count: int, seed: int, cards: float) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows and the texts of their cards; a share of `cards` has one."""
    draw = random.Random(seed)
    task, license_, language = Choice(TASKS), Choice(LICENSES), Choice(LANGUAGES)
    family = Choice({name: weight for name, (_, weight) in FAMILIES.items()})
    begin = datetime(2022, 3, 2, tzinfo=UTC)
    for number in range(1, count + 1):
        kind = family.draw(draw)
        size, parameters = draw.choice(SIZES)
        owner = zipf(draw, OWNERS)
        pieces = [kind, size, *draw.sample(SUFFIXES, draw.randint(0, 3)), f"{number * 2654435761 % 2**32:x}"]
        if draw.random() < 0.3:
            pieces.insert(1, f"word{zipf(draw, WORDS)}")
        name = f"owner{owner}/{'-'.join(pieces)}"
        pipeline = task.draw(draw)
        library = draw.choices(("transformers", "diffusers", "peft", "sentence-transformers"), (70, 10, 14, 6))[0]
        tags = [library, "safetensors", "pytorch", kind, pipeline]
        if draw.random() < 0.5:
            tags.append("text-generation-inference")
        if draw.random() < 0.6:
            tags.append("endpoints_compatible")
        tags += [f"tag{zipf(draw, OWN_TAGS)}" for _ in range(draw.randint(0, 4))]
        tags += [language.draw(draw)] if draw.random() < 0.6 else []
        tags += [f"dataset:set{zipf(draw, DATASETS)}" for _ in range(draw.randint(0, 2))]
        if draw.random() < 0.4:
            base = f"owner{zipf(draw, OWNERS)}/base{zipf(draw, BASES)}"
            tags += [f"base_model:{base}", f"base_model:finetune:{base}"]
        tags += [f"license:{license_.draw(draw)}"] if draw.random() < 0.7 else []
        tags += [f"arxiv:{draw.randint(1700, 2699)}.{zipf(draw, 9999):05d}"] if draw.random() < 0.2 else []
        tags.append("region:us")
        created = begin + timedelta(seconds=draw.randrange(140_000_000))
        downloads = int(draw.lognormvariate(2.5, 2.2))
        text = " ".join(f"word{zipf(draw, WORDS)}" for _ in range(40)) if draw.random() < cards else ""
        yield {
            "id": number, "type": "model", "owner_id": owner + 1, "name": name, "name_key": name.lower(),
            "private": draw.random() < 0.02, "gated": "auto" if draw.random() < 0.01 else None, "disabled": False,
            "created_at": created, "last_modified": created + timedelta(seconds=draw.randrange(10_000_000)),
            "changed": number, "likes": max(int(draw.lognormvariate(-1, 1.8)), 0), "downloads": downloads,
            "downloads_all_time": downloads * 7, "trending_score": 0.0,
            "used_storage": int(parameters * 2), "sha": f"{number:040x}", "pipeline_tag": pipeline,
            "library_name": library, "tags": list(dict.fromkeys(tags)),
            "parameters": int(parameters) if draw.random() < 0.7 else None, "architecture": FAMILIES[kind][0],
            "labels": None, "card_words": 0,
        }, text  # fmt: skip


def number_of_today(row: dict[str, Any]) -> int:
    """How often a model was downloaded today: the one in 25 that trends. Its score is what the Hub itself computes."""
    return 1 + row["downloads"] // 30 if row["id"] % 25 == 0 else 0


def make(data: Path, count: int, cards: float = 0.15, seed: int = 0) -> None:
    """Write the database of a data folder: owners, models, contents and the words of cards, in one transaction."""
    data.mkdir(parents=True, exist_ok=True)
    database = Database(f"sqlite:///{data / 'hub.sqlite3'}")
    migrate(database)
    with database.write() as session:
        session.execute(
            insert(Account),
            [{"id": number + 1, "kind": "user", "name": f"owner{number}", "name_key": f"owner{number}"}
             for number in range(OWNERS)],
        )  # fmt: skip
        rows: list[dict[str, Any]] = []
        terms: list[dict[str, int]] = []
        today: list[dict[str, Any]] = []
        for row, text in models(count, seed, cards):
            words = count_words(text)
            row["card_words"] = sum(words.values())
            rows.append(row)
            terms += [{"repository_id": row["id"], "term": term, "count": times} for term, times in words.items()]
            if number_of_today(row):
                today.append({"repository_id": row["id"], "day": now().date(), "count": number_of_today(row)})
                row["trending_score"] = round(math.log1p(number_of_today(row)), 4)
            if len(rows) == AT_ONCE or row["id"] == count:
                session.execute(insert(Repository), rows)
                session.execute(insert(RepositoryContent), [{"repository_id": row["id"]} for row in rows])
                if terms:
                    session.execute(insert(SearchTerm), terms)
                rows, terms = [], []
        session.execute(insert(DownloadDay), today)
        session.merge(Sequence(name="changes", value=count))
        session.execute(update(Sequence).where(Sequence.name == "changes").values(value=count))
    database.close()
