"""Small models that a test trains itself, so that there is a right answer."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import samovar


def word_tokenizer(texts: list[str], *further: str, pair: bool = False, **settings: Any) -> Any:
    """A token for each word of these texts, and for what is `further`; BERT's special tokens."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    split = pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)} - set(special))
    vocabulary = {word: index for index, word in enumerate([*special, *further, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = split
    if pair:
        backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        settings.setdefault("model_input_names", ["input_ids", "token_type_ids", "attention_mask"])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return samovar.PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **names, **settings)


def teach(model: Any, batches: list[dict[str, torch.Tensor]], steps: int, rate: float = 3e-3) -> float:
    """Train on these batches, round and round and without dropout; returns the last loss."""
    torch.manual_seed(0)
    model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    loss = torch.zeros(())
    for step in range(steps):
        loss = model(**batches[step % len(batches)]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
