"""Writing with a model that reads in any order and remembers states in place of keys (Yang et al. 2019, XLNet)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import ConfigError, InputError
from samovar.generation.config import GenerationConfig
from samovar.generation.prompt import Prompt
from samovar.generation.steps import Steps, along

REREAD = 2  # Of the remembered tokens, the last two are read again beside each new one.


class MemorySteps(Steps):
    """Steps that ask for the word at a place behind the text, which no token reads."""

    def __init__(self, model: Any, prompt: Prompt, config: GenerationConfig, copies: int = 1) -> None:
        super().__init__(model, prompt, config, copies)
        # What is remembered takes the cache's place: `cached` would read it from `past_key_values`.
        self.mems: tuple[Tensor, ...] | None = None
        given = prompt.further.get("use_mems")
        self.remembers = bool(config.use_cache) and (model.config.use_mems_eval if given is None else bool(given))
        taken = {"mems", "perm_mask", "target_mapping", "input_mask"} & set(prompt.further)
        if taken:
            raise InputError(
                f"{', '.join(sorted(taken))}: generate makes its own, one for each word that it writes.",
                "Pass input_ids and attention_mask alone.",
            )

    def call(self, ids: Tensor, keep: int) -> Any:
        """One call of the model, whose logits are (rows, 1, vocabulary)."""
        if keep > 1:
            raise ConfigError(
                f"{type(self.model).__name__} gives the scores of one place a call, so drafts cannot be checked.",
                "Generate without assistant_model and prompt_lookup_num_tokens.",
            )
        new = ids if self.mems is None else ids[:, -REREAD:]
        given = F.pad(new, (0, 1))
        rows, length = given.shape
        perm_mask = torch.zeros(rows, length, length, device=ids.device)
        perm_mask[:, :, -1] = 1
        target_mapping = torch.zeros(rows, 1, length, device=ids.device)
        target_mapping[:, 0, -1] = 1
        mask = self.prompt.mask
        if mask is not None:
            mask = F.pad(mask, (0, ids.shape[1] + 1 - mask.shape[1]), value=1)
        whole, first = ids.shape[1] + 1, ids.shape[1] - new.shape[1]
        further = {
            name: along(one, self.prompt.length, whole, first)
            for name, one in self.prompt.further.items()
            if name != "use_mems"
        }
        mems = None if self.mems is None else tuple(one[:-REREAD] for one in self.mems)
        if mask is not None and mems is not None:
            # What is forgotten is not masked either.
            mask = mask[:, -(mems[0].shape[0] + length) :]
        output = self.model(
            given, attention_mask=mask, mems=mems, perm_mask=perm_mask, target_mapping=target_mapping,
            use_mems=self.remembers, **further, **self.outputs, return_dict=True,
        )  # fmt: skip
        self.mems = output.mems
        return output

    def reorder(self, rows: Tensor, same_source: bool = False) -> None:
        """Let row i go on from what row `rows[i]` has read."""
        if self.mems is not None:
            self.mems = tuple(one.index_select(1, rows) for one in self.mems)
