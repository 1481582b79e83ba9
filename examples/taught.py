"""Tiny models that examples teach on the spot, so that they need no download: a vocabulary of words, and a loop."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from samovar import PreTrainedTokenizerFast

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def words_of(*texts: str, pairs: bool = False) -> PreTrainedTokenizerFast:
    """A token for each word of these texts; with `pairs` two texts come as BERT reads them."""
    cut = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    found = dict.fromkeys([*special, *(word for text in texts for word, _ in cut.pre_tokenize_str(text))])
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(found)}, unk_token="[UNK]"))
    backend.pre_tokenizer = cut
    names: dict[str, Any] = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if pairs:
        backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **names)


def teach(model: Any, steps: int = 1000, rate: float = 3e-3, enough: float = 0.01, **batch: Any) -> Any:
    """The model, taught this batch again and again, until its loss is small: when that is depends on the machine."""
    model.eval()  # dropout would only make so small a lesson longer
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        loss = model(**batch).loss
        if loss.item() < enough:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model
