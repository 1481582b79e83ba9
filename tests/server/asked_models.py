"""Small models for every task that the library runs, with cards: what the tests of asking models publish."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent.parent / "pipelines"))
import tiny_checkpoints
from tiny_checkpoints import labels, lively, save_byte_pairs, wordpiece_vocabulary

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
HEADS = {
    "text-classification": ("save_bert", "BertForSequenceClassification", labels("bad", "good", "fair")),
    "token-classification": ("save_bert", "BertForTokenClassification", labels(*tiny_checkpoints.TAGS)),
    "question-answering": ("save_bert", "BertForQuestionAnswering", {}),
    "zero-shot-classification": (
        "save_bert", "BertForSequenceClassification", labels("contradiction", "neutral", "entailment"),
    ),
    "fill-mask": ("save_bert", "BertForMaskedLM", {}),
    "feature-extraction": ("save_bert", "BertModel", {}),
    "sentence-similarity": ("save_bert", "BertModel", {}),
    "multiple-choice": ("save_bert", "BertForMultipleChoice", {}),
    "text-generation": ("save_gpt2", "GPT2LMHeadModel", {}),
    "image-classification": ("save_vit", "ViTForImageClassification", labels("cat", "dog")),
    "image-feature-extraction": ("save_vit", "ViTModel", {}),
}  # fmt: skip


def save(task: str, folder: Path) -> Path:
    """A model for a task, with a card that names it; `chat` is a language model with a template of messages."""
    if task in HEADS:
        how, head, settings = HEADS[task]
        getattr(tiny_checkpoints, how)(folder, head, **settings)
    elif task == "table-question-answering":
        save_tapas(folder)
    elif task == "chat":
        save_chat(folder)
    else:
        save_bart(folder)
    (folder / "README.md").write_text(
        f"---\npipeline_tag: {'text-generation' if task == 'chat' else task}\n---\n# Tea\n"
    )
    return folder


def save_bart(folder: Path) -> None:
    """An encoder that reads and a decoder that writes."""
    tokenizer = save_byte_pairs(folder, "roberta")
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=ids["eos_token_id"], forced_eos_token_id=None, d_model=32,
        encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=37,
        decoder_ffn_dim=37, max_position_embeddings=128, **ids,
    )  # fmt: skip
    lively(transformers.BartForConditionalGeneration(config)).save_pretrained(folder)


def save_chat(folder: Path) -> None:
    """A language model with room for a conversation, which never ends by itself."""
    tokenizer = save_byte_pairs(folder, "gpt2")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=2048, eos_token_id=None, bos_token_id=0
    )
    lively(transformers.GPT2LMHeadModel(config)).save_pretrained(folder)


def save_tapas(folder: Path) -> None:
    """A model that answers from tables."""
    words = wordpiece_vocabulary()
    (folder / "vocab.txt").write_text("\n".join([*words, "[EMPTY]"]))
    torch.manual_seed(0)
    config = transformers.TapasConfig(
        vocab_size=len(words) + 1, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        num_aggregation_labels=4, aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
    )  # fmt: skip
    lively(transformers.TapasForQuestionAnswering(config)).save_pretrained(folder)
    transformers.TapasTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
