"""`token-classification`: a label for each token or word of a text, or entities out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.pipelines.entities import STRATEGIES, Piece, entities, stitched
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import not_finite, scores_of
from samovar.pipelines.text import TextPipeline


class TokenClassificationPipeline(TextPipeline):
    """Text → `[{"entity", "score", "index", "word", "start", "end"}, …]`, tokens whose label is not ignored.

    With an `aggregation_strategy` other than `"none"` → `[{"entity_group", "score", "word", "start", "end"}, …]`; see
    `entities`. `start` and `end` count characters of the text. `ignore_labels` is `["O"]` by default. `stride` reads
    a long text whole, in parts that overlap by that many tokens, and cuts no entity where two parts meet; without it
    the text is truncated.
    `is_split_into_words=True` takes a text as a list of words, which count as joined by `delimiter`.
    """

    model_tasks = ("token-classification",)

    def _sanitize_parameters(
        self,
        aggregation_strategy: Any = None,
        ignore_labels: list[str] | None = None,
        stride: int | None = None,
        is_split_into_words: bool | None = None,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = ("aggregation_strategy", "ignore_labels", "stride", "is_split_into_words", "delimiter")
        before: dict[str, Any] = self.tokenizer_options(kwargs, known)
        after: dict[str, Any] = {}
        if aggregation_strategy is not None:
            after["strategy"] = checked_strategy(aggregation_strategy)
        if ignore_labels is not None:
            after["ignored"] = tuple(ignore_labels)
        if stride is not None:
            before["stride"] = stride
        if is_split_into_words is not None:
            before["split"] = is_split_into_words
        if delimiter is not None:
            before["delimiter"] = delimiter
        return before, {}, after

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        split = kwargs.get("is_split_into_words", self.parameters[0].get("split", False))
        if split and isinstance(inputs, list) and inputs and all(isinstance(word, str) for word in inputs):
            # As the field's users know it: one text as a list of words gives a list with one result.
            inputs = [inputs]
        return super().__call__(inputs, **kwargs)

    def prepare_many(
        self,
        inputs: list[Any],
        stride: int | None = None,
        split: bool = False,
        delimiter: str = " ",
        **options: Any,
    ) -> list[list[Item]]:
        """Tokenized in one call; with `stride`, several rows for a text that is longer than the model."""
        texts: list[Any] = [checked_words(value) if split else check_text(value) for value in inputs]
        if stride is not None:
            limit = self.limit or 0
            special = self.tokenizer.num_special_tokens_to_add()
            if limit and not 0 <= stride < limit - special:
                raise InputError(
                    f"stride={stride} leaves no room: this model reads {limit} tokens, {special} of them special.",
                    f"Choose a stride between 0 and {limit - special - 1}.",
                )
        # Words have to be asked for one text at a time, as only the whole encoding knows them.
        if split or stride is not None:
            return [self.parts(text, stride, split, delimiter, options) for text in texts]
        rows = self.encode(texts, return_offsets_mapping=True, return_special_tokens_mask=True, **options)
        return [[self.part(row, text)] for row, text in zip(rows, texts, strict=True)]

    def parts(self, text: Any, stride: int | None, split: bool, delimiter: str, options: dict[str, Any]) -> list[Item]:
        """One text's rows."""
        asked: dict[str, Any] = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        if stride is not None and self.limit is not None:
            asked |= {"truncation": True, "max_length": self.limit, "stride": stride, "return_overflowing_tokens": True}
        else:
            # Measured first, so that a text that is cut is told of.
            length = len(self.encode([text], is_split_into_words=split, **options)[0]["input_ids"])
            asked |= {"truncation": True, "max_length": length}
        encoding = self.tokenizer([text], is_split_into_words=split, **asked)
        items = []
        for number in range(len(encoding["input_ids"])):
            row = {name: encoding[name][number] for name in encoding.keys()}  # noqa: SIM118
            sentence: str = delimiter.join(text) if split else text
            if split:
                starts = np.cumsum([0] + [len(word) + len(delimiter) for word in text])
                row["offset_mapping"] = [
                    offset if word is None else (offset[0] + int(starts[word]), offset[1] + int(starts[word]))
                    for offset, word in zip(row["offset_mapping"], encoding.word_ids(number), strict=True)
                ]
            items.append(self.part(row, sentence, stride or 0))
        return items

    def part(self, row: dict[str, Any], sentence: str, overlap: int = 0) -> Item:
        """One row, with what is needed to find its tokens in the text again."""
        real = [i for i, special in enumerate(row["special_tokens_mask"]) if not special]
        return self.row_item(row, extra=(sentence, real, row["offset_mapping"], overlap))

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> Tensor:
        """Scores of all labels: the strategies need them."""
        return scores_of(outputs.logits, "softmax")

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """Each row's scores (tokens, labels), without padding."""
        rows = [row[: item.size] for row, item in zip(reduced.numpy(), items, strict=True)]
        if not all(np.isfinite(row).all() for row in rows):
            raise not_finite("logits")
        return rows

    def finish(
        self,
        items: list[Item],
        values: list[Any],
        strategy: str = "none",
        ignored: tuple[str, ...] = ("O",),
        **after: Any,
    ) -> Any:
        """Entities of one text."""
        parts = [self.pieces(item, scores) for item, scores in zip(items, values, strict=True)]
        overlap = items[0].extra[3]
        names = self.config.id2label
        whole = parts[0] if len(parts) == 1 else stitched(parts, overlap, names)
        return entities(whole, strategy, names, ignored, self.tokenizer.convert_tokens_to_string)

    def pieces(self, item: Item, scores: np.ndarray) -> list[Piece]:
        """The tokens that stand for text."""
        sentence, real, offsets, _ = item.extra
        ids = item.features["input_ids"]
        tokens = self.tokenizer.convert_ids_to_tokens([int(ids[i]) for i in real])
        model = getattr(getattr(self.tokenizer, "backend_tokenizer", None), "model", None)
        prefix = getattr(model, "continuing_subword_prefix", None)
        unknown = self.tokenizer.unk_token_id
        found = []
        for i, token in zip(real, tokens, strict=True):
            start, end = (int(place) for place in offsets[i])
            if prefix:
                continues = token.startswith(prefix)
            else:
                # Without a mark on the token itself, a word ends where a space stands.
                continues = start > 0 and " " not in sentence[start - 1 : start + 1]
            if unknown is not None and ids[i] == unknown:
                token, continues = sentence[start:end], False
            found.append(Piece(token, scores[i], start, end, i, continues))
        return found


def checked_strategy(strategy: Any) -> str:
    """The name in lower case, if there is such a strategy; raises `InputError`."""
    name = str(getattr(strategy, "value", strategy)).lower()
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES) or f"Known: {', '.join(STRATEGIES)}."
        raise InputError(f"Unknown aggregation_strategy {strategy!r}.", hint)
    return name


def checked_words(value: Any) -> list[str]:
    """A list of words; raises `InputTypeError`."""
    if not isinstance(value, list | tuple):
        raise InputTypeError(
            f"A list of words expected, got {type(value).__name__}.", "Leave is_split_into_words out for whole texts."
        )
    return [check_text(word, "A word") for word in value]
