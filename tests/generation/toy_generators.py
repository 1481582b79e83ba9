"""Random tiny models of the reference library, and ours that read the files which it writes."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import torch
import transformers
from torch import Tensor

import samovar

PAD, BOS, EOS, VOCABULARY = 3, 1, 2, 61
TOKENS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "vocab_size": VOCABULARY}
# Several end tokens, so that some texts of a batch end early and others do not.
ENDS = [EOS, 7, 9, 20, 31, 44]
CONFIGS: dict[str, Any] = {
    "GPT2LMHeadModel": lambda: transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **TOKENS),
}


@functools.cache
def pair(name: str = "GPT2LMHeadModel") -> tuple[Any, Any]:
    """The reference's model and ours with the same weights, wide enough that answers are not all alike."""
    torch.manual_seed(5)
    reference = getattr(transformers, name)(CONFIGS[name]()).eval()
    for parameter in reference.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    reference.tie_weights()
    reference.set_attn_implementation("eager")  # the other kinds return no attentions
    folder = tempfile.mkdtemp()
    reference.save_pretrained(folder)
    return reference, getattr(samovar, name).from_pretrained(folder).eval()


def prompts(rows: int = 3, length: int = 6, padded: int = 3) -> dict[str, Tensor]:
    """Random ids (rows, length), of which the first row starts with `padded` tokens of padding."""
    ids = torch.randint(4, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(11))
    mask = torch.ones_like(ids)
    ids[0, :padded], mask[0, :padded] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}
