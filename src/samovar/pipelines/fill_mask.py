"""`fill-mask`: the likeliest tokens behind each mask of a text."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError, TaskError
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import checked_top_k, not_finite, scores_of
from samovar.pipelines.text import TextPipeline
from samovar.tasks.outputs import BaseModelOutput

logger = logging.getLogger(__name__)


class FillMaskPipeline(TextPipeline):
    """Text with masks → `[{"score", "token", "token_str", "sequence"}, …]`, or one such list per mask if several.

    `top_k` (5) is the number of tokens for each mask; `targets` (a token or a list) narrows the choice, with scores as
    they are in the whole vocabulary. The options of the tokenizer go into `tokenizer_kwargs`. Only the places of the
    masks go through the projection to the vocabulary, which is much of the work on short texts.
    """

    model_tasks = ("masked-lm",)

    def checked_model(self, model: Any) -> Any:
        """A masked-language model, one of pre-training that has such a head beside another, or a BART."""
        if getattr(model, "task", None) == "pretraining" and hasattr(model.head, "lm"):
            return model
        if getattr(model, "backbone", None) is not None and model.backbone.tasks.get("masked-lm") is type(model):
            return model
        return super().checked_model(model)

    def _sanitize_parameters(
        self, top_k: Any = None, targets: Any = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if getattr(self.tokenizer, "mask_token_id", None) is None:
            raise TaskError("The tokenizer has no mask token.", "Use the tokenizer of a masked-language model.")
        after: dict[str, Any] = {}
        if top_k is not None:
            after["top_k"] = checked_top_k(top_k)
        if targets is not None:
            after["targets"] = self.target_ids(targets)
        return self.tokenizer_options(kwargs, ("top_k", "targets")), {}, after

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class; a list of one text gives that text's result alone, as the field's users know it."""
        result = super().__call__(inputs, **kwargs)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result

    def target_ids(self, targets: str | list[str]) -> tuple[int, ...]:
        """The ids of tokens; for a word that is no token its first one, which is said. Raises `InputError`."""
        words = [targets] if isinstance(targets, str) else list(targets)
        vocabulary = self.tokenizer.get_vocab()
        ids: list[int] = []
        for word in words:
            found = vocabulary.get(check_text(word, "A target"))
            if found is None:
                pieces = self.tokenizer([word], add_special_tokens=False)["input_ids"][0]
                if not pieces:
                    logger.warning("The target %r has no tokens and is left out.", word)
                    continue
                found = pieces[0]
                shown = self.tokenizer.convert_ids_to_tokens([found])[0]
                logger.warning("The target %r is no single token; its first one, %r, stands for it.", word, shown)
            ids.append(found)
        if not ids:
            raise InputError("None of the targets has a token.", "Give words of the tokenizer's vocabulary.")
        return tuple(dict.fromkeys(ids))

    def prepare_many(self, inputs: list[Any], **options: Any) -> list[list[Item]]:
        """Tokenized in one call; `extra` holds the places of the masks."""
        rows = self.encode([check_text(value) for value in inputs], **options)
        items = []
        for row, text in zip(rows, inputs, strict=True):
            item = self.row_item(row)
            item.extra = np.flatnonzero(item.features["input_ids"] == self.tokenizer.mask_token_id)
            if not len(item.extra):
                mask = self.tokenizer.mask_token
                cut = " left after the text was cut to the model's length" if mask in text else ""
                raise InputError(
                    f"There is no mask{cut} in this text ({len(text)} characters).",
                    f"Put {mask} where a word is to be found" + (", nearer to the beginning." if cut else "."),
                )
            items.append([item])
        return items

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """The places of all masks travel with the batch."""
        rows = np.repeat(np.arange(len(items)), [len(item.extra) for item in items])
        places = np.stack([rows, np.concatenate([item.extra for item in items])])
        return {**super().collate(items), "places": torch.from_numpy(places)}

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Tensor:
        """Logits (masks, vocabulary)."""
        rows, columns = model_inputs.pop("places")
        if not hasattr(self.model, "backbone"):  # an exported graph, which has no parts
            out = self.model(**model_inputs)
            return (out.prediction_logits if out.logits is None else out.logits)[rows, columns]
        states = self.model.backbone(**model_inputs, return_dict=True).last_hidden_state
        head = getattr(self.model.head, "lm", self.model.head)
        return head(BaseModelOutput(last_hidden_state=states[rows, columns]))

    def reduce(
        self,
        outputs: Tensor,
        items: list[Item],
        top_k: int | None = 5,
        targets: tuple[int, ...] | None = None,
        **after: Any,
    ) -> tuple[Tensor, Tensor]:
        """The best scores and their tokens, (masks, top_k) each."""
        scores = scores_of(outputs, "softmax")
        if targets is None:
            return tuple(scores.topk(min(top_k or 5, scores.shape[-1])))  # type: ignore[return-value]
        ids = torch.tensor(targets, device=outputs.device)
        values, chosen = scores[:, ids].topk(min(top_k or 5, len(targets)))
        return values, ids[chosen]

    def unpack(self, reduced: tuple[Tensor, Tensor], items: list[Item], **after: Any) -> list[Any]:
        """Each text's masks: (scores, tokens) per mask."""
        scores, tokens = (part.tolist() for part in reduced)
        if not reduced[0].isfinite().all():
            raise not_finite("logits")
        ends = np.cumsum([0] + [len(item.extra) for item in items])
        masks = list(zip(scores, tokens, strict=True))
        return [masks[start:end] for start, end in pairwise(ends)]

    def finish(self, items: list[Item], values: list[Any], **after: Any) -> Any:
        """The text with each candidate in the place of the mask."""
        item, masks = items[0], values[0]
        alone = len(masks) == 1
        results = []
        for place, (scores, tokens) in zip(item.extra, masks, strict=True):
            ids = [int(token) for token in item.features["input_ids"]]
            row = []
            for score, token in zip(scores, tokens, strict=True):
                ids[place] = token
                shown = [i for i in ids if i != self.tokenizer.pad_token_id]
                # Beside other masks special tokens stay, or those masks would vanish.
                sequence = self.tokenizer.decode(shown, skip_special_tokens=alone)
                word = self.tokenizer.decode([token])
                row.append({"score": score, "token": token, "token_str": word, "sequence": sequence})
            results.append(row)
        return results[0] if alone else results
