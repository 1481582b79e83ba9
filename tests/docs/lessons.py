"""Tiny models that were taught what the documentation says that models answer, with tokenizers of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import ByteLevelBPETokenizer

from samovar import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BartConfig,
    BartTokenizer,
    BertConfig,
    BertTokenizer,
    Dinov2Config,
    Dinov2Model,
    GPT2Config,
    GPT2Tokenizer,
    Qwen2Config,
    Qwen2Tokenizer,
    TapasConfig,
    TapasForQuestionAnswering,
    TapasTokenizer,
    ViTConfig,
    ViTImageProcessor,
)

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyzабвгдежзийклмнопрстуфхцчшщъыьэюяё0123456789"
# A loss that leaves no doubt about an answer.
KNOWN = 0.02
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def teach(model: Any, steps: int = 60, rate: float = 1e-2, **batch: Any) -> Any:
    """The model, taught this batch again and again, until it knows it."""
    optimizer = torch.optim.AdamW(model.eval().parameters(), lr=rate)
    for _ in range(steps):
        loss = model(**batch).loss
        if loss.item() < KNOWN:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def keep(folder: Path, model: Any, helper: Any) -> Path:
    """Save a model and what prepares its inputs."""
    model.save_pretrained(folder)
    helper.save_pretrained(folder)
    return folder


def vocabulary(texts: list[str]) -> list[str]:
    """Special tokens, the words of these texts in both cases, and letters for all other words."""
    words = " ".join(texts).replace(".", " . ").replace(",", " , ").replace("?", " ? ").replace("!", " ! ").split()
    letters = [*LETTERS, *LETTERS.upper()]
    return list(dict.fromkeys([*SPECIAL, *words, *letters, *(f"##{one}" for one in letters), *".,!?-'()|:;\""]))


def pieces(folder: Path, texts: list[str], kind: Any = BertTokenizer) -> Any:
    """A cased WordPiece tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary(texts)), "utf-8")
    return kind(str(folder / "vocab.txt"), do_lower_case=False, strip_accents=False, model_max_length=128)


def byte_pairs(folder: Path, texts: list[str], kind: Any, special: list[str], **more: Any) -> Any:
    """A byte-level tokenizer, trained on these texts."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(texts * 3, vocab_size=900, min_frequency=1, special_tokens=special, show_progress=False)
    trained.save_model(str(folder))
    return kind(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=64, **more)


def bert(tokenizer: Any, **more: Any) -> BertConfig:
    """A tiny BERT's sizes."""
    names = {"label2id": {label: index for index, label in more["id2label"].items()}} if "id2label" in more else {}
    return BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=128, initializer_range=0.1, **SMALL, **more, **names
    )


def classifier(folder: Path, labels: list[str], lesson: dict[str, str], tokenizer: Any = None) -> Path:
    """Text → label."""
    tokenizer = tokenizer or pieces(folder, list(lesson))
    config = bert(tokenizer, id2label=dict(enumerate(labels)))
    batch = tokenizer(list(lesson), padding=True, return_tensors="pt")
    goal = torch.tensor([labels.index(label) for label in lesson.values()])
    return keep(
        folder, teach(AutoModelForSequenceClassification.from_config(config), 30, **batch, labels=goal), tokenizer
    )


def reader(folder: Path, lesson: list[tuple[str, str, str]]) -> Path:
    """(question, context, answer) → where the answer stands."""
    tokenizer = pieces(folder, [text for row in lesson for text in row[:2]])
    batch = tokenizer([row[0] for row in lesson], [row[1] for row in lesson], padding=True, return_tensors="pt")
    ends = []
    for number, (_, context, answer) in enumerate(lesson):
        start = context.index(answer)
        ends.append([batch.char_to_token(number, place, 1) for place in (start, start + len(answer) - 1)])
    goal = torch.tensor(ends)
    model = AutoModelForQuestionAnswering.from_config(bert(tokenizer))
    return keep(folder, teach(model, 60, **batch, start_positions=goal[:, 0], end_positions=goal[:, 1]), tokenizer)


def tagger(folder: Path, labels: list[str], lesson: list[tuple[str, list[str]]]) -> Path:
    """Words → a tag each."""
    tokenizer = pieces(folder, [text for text, _ in lesson])
    batch = tokenizer([text for text, _ in lesson], padding=True, return_tensors="pt")
    goal = torch.full_like(batch["input_ids"], -100)
    for number, (_, tags) in enumerate(lesson):
        for place, word in enumerate(batch.word_ids(number)):
            if word is not None:
                goal[number, place] = labels.index(tags[word])
    model = AutoModelForTokenClassification.from_config(bert(tokenizer, id2label=dict(enumerate(labels))))
    return keep(folder, teach(model, 40, **batch, labels=goal), tokenizer)


def filler(folder: Path, lesson: dict[str, str]) -> Path:
    """Text with a mask → the word behind it."""
    tokenizer = pieces(folder, [text.replace("[MASK]", word) for text, word in lesson.items()])
    batch = tokenizer(list(lesson), padding=True, return_tensors="pt")
    words = torch.tensor(tokenizer.convert_tokens_to_ids(list(lesson.values())))[:, None]
    goal = torch.where(batch["input_ids"] == tokenizer.mask_token_id, words, -100)
    return keep(folder, teach(AutoModelForMaskedLM.from_config(bert(tokenizer)), 40, **batch, labels=goal), tokenizer)


def entailment(folder: Path, topics: dict[str, list[str]]) -> Path:
    """Text and "This example is TOPIC." → whether it follows."""
    pairs = [
        (text, f"This example is {topic}.", own == topic)
        for own, texts in topics.items() for text in texts for topic in topics
    ]  # fmt: skip
    tokenizer = pieces(folder, [text for pair in pairs for text in pair[:2]])
    batch = tokenizer([pair[0] for pair in pairs], [pair[1] for pair in pairs], padding=True, return_tensors="pt")
    config = bert(tokenizer, id2label={0: "contradiction", 1: "neutral", 2: "entailment"})
    goal = torch.tensor([2 if pair[2] else 0 for pair in pairs])
    return keep(
        folder, teach(AutoModelForSequenceClassification.from_config(config), 60, **batch, labels=goal), tokenizer
    )


def chooser(folder: Path, question: str, choices: list[str], right: int) -> Path:
    """A question and choices → the right one."""
    tokenizer = pieces(folder, [question, *choices])
    batch = tokenizer([question] * len(choices), choices, padding=True, return_tensors="pt")
    model = AutoModelForMultipleChoice.from_config(bert(tokenizer))
    given = {name: value[None] for name, value in batch.items()}
    return keep(folder, teach(model, 40, **given, labels=torch.tensor([right])), tokenizer)


def clerk(folder: Path, table: dict[str, list[str]], lesson: dict[str, list[tuple[int, int]]]) -> Path:
    """Questions to a table → cells."""
    words = [*lesson, *table, *(cell for column in table.values() for cell in column)]
    tokenizer = pieces(folder, words, TapasTokenizer)
    batch = tokenizer(
        table, list(lesson), answer_coordinates=list(lesson.values()), answer_text=[[]] * len(lesson), padding=True,
        return_tensors="pt",
    )  # fmt: skip
    batch["token_type_ids"][..., 3] = 0
    config = TapasConfig(vocab_size=len(tokenizer), initializer_range=0.1, max_position_embeddings=128, **SMALL)
    return keep(folder, teach(TapasForQuestionAnswering(config), 60, **batch), tokenizer)


def rewriter(folder: Path, lesson: dict[str, str]) -> Path:
    """Text → text."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = byte_pairs(folder, [*lesson, *lesson.values()], BartTokenizer, special)
    parts = {f"{part}_{what}": number for part in ("encoder", "decoder")
             for what, number in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 64))}  # fmt: skip
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=64, bos_token_id=0, pad_token_id=1,
        eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2, **parts,
    )  # fmt: skip
    batch = tokenizer(list(lesson), text_target=list(lesson.values()), padding=True, return_tensors="pt")
    batch["labels"] = batch["labels"].masked_fill(batch["labels"] == 1, -100)
    return keep(folder, teach(AutoModelForSeq2SeqLM.from_config(config), 80, **batch), tokenizer)


def writer(folder: Path, lesson: list[str]) -> Path:
    """Beginnings → what follows, to the end of the text."""
    tokenizer = byte_pairs(folder, lesson, GPT2Tokenizer, ["<|endoftext|>"])
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=0
    )
    return keep(
        folder,
        memorised(AutoModelForCausalLM.from_config(config), tokenizer, [f"{one}<|endoftext|>" for one in lesson]),
        tokenizer,
    )


def talker(folder: Path, lesson: dict[str, str]) -> Path:
    """Questions → answers, by a chat template."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = ["user\nassistant\nsystem\n", *lesson, *lesson.values()]
    tokenizer = byte_pairs(folder, words, Qwen2Tokenizer, special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    tokenizer.chat_template = CHAT
    talks = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], tokenize=False
        )
        for question, answer in lesson.items()
    ]
    config = Qwen2Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=256, bos_token_id=0,
        eos_token_id=2, pad_token_id=0, **SMALL,
    )  # fmt: skip
    return keep(folder, memorised(AutoModelForCausalLM.from_config(config), tokenizer, talks), tokenizer)


def memorised(model: Any, tokenizer: Any, texts: list[str]) -> Any:
    """A language model that knows these texts."""
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return teach(model, 80, input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))


def eye(folder: Path, lesson: dict[str, Image.Image]) -> Path:
    """Pictures of 224 × 224 pixels → labels."""
    names = dict(enumerate(lesson))
    config = ViTConfig(
        image_size=224, patch_size=16, id2label=names, label2id={v: k for k, v in names.items()}, **SMALL
    )
    processor = ViTImageProcessor()
    batch = processor(list(lesson.values()), return_tensors="pt")
    model = AutoModelForImageClassification.from_config(config)
    return keep(folder, teach(model, 15, **batch, labels=torch.arange(len(lesson))), processor)


def look(folder: Path) -> Path:
    """Pictures → vectors; new weights, whose vectors are as good as any for shapes."""
    config = Dinov2Config(image_size=224, patch_size=14, **{key: SMALL[key] for key in list(SMALL)[:3]})
    return keep(folder, Dinov2Model(config), ViTImageProcessor())


def ranker(folder: Path, lesson: list[tuple[str, str, float]]) -> Path:
    """Query and text → how well they fit."""
    tokenizer = pieces(folder, [text for row in lesson for text in row[:2]])
    batch = tokenizer([row[0] for row in lesson], [row[1] for row in lesson], padding=True, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_config(bert(tokenizer, id2label={0: "LABEL_0"}))
    goal = torch.tensor([row[2] for row in lesson])
    return keep(folder, teach(model, 30, **batch, labels=goal), tokenizer)
