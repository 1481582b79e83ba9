"""`sentence-similarity`: how alike in meaning one sentence and others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.model import Model
from samovar.pipelines.base import Pipeline
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.text import ACCELERATOR_BUDGET, ACCELERATOR_OVERHEAD, CPU_BUDGET, CPU_OVERHEAD, length_limit
from samovar.sentence.encoding import Request, Steps
from samovar.sentence.model import SentenceTransformer
from samovar.sentence.modules import Pooling, Transformer

KEYS = ("source_sentence", "sentences")


class SentenceEncoder:
    """Loads what turns sentences into vectors, in the way that `pipeline` asks for models."""

    @classmethod
    def from_pretrained(cls, name: str | Path, *, config: Any = None, device: Any = None, **loading: Any) -> Any:
        """A `SentenceTransformer`; of a plain encoder, with the mean of its tokens as the sentence's vector."""
        loading.pop("output_loading_info", None)
        source = ("revision", "token", "cache_dir", "local_files_only")
        given = {key: loading.pop(key) for key in source if key in loading}
        model = SentenceTransformer(str(name), device=device, model_kwargs=loading or None, **given)
        return model, {"missing_keys": [], "mismatched_keys": []}


class GivenTransformer(Transformer):
    """An encoder and a tokenizer that are loaded already, as the first step."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        torch.nn.Module.__init__(self)
        self.auto_model, self.tokenizer = model, tokenizer
        self.do_lower_case = False
        self.max_seq_length = length_limit(model, tokenizer)


class SentenceSimilarityPipeline(Pipeline):
    """`{"source_sentence": …, "sentences": […]}` → a list of cosines from -1 to 1, one per sentence.

    Also called as `alike(source_sentence=…, sentences=[…])`; a list of such dicts gives a list of lists. The folder of
    a `SentenceTransformer` pools as it says; of any other encoder the mean of the tokens' last states is taken.
    Sentences of all inputs go through the batching engine together.
    """

    def __init__(self, model: Any, tokenizer: Any = None, **kwargs: Any) -> None:
        super().__init__(model, tokenizer, **kwargs)
        self.steps = Steps(self.model, list(self.model), Request(normalize_embeddings=True, convert_to_tensor=True))

    @property
    def config(self) -> Any:
        """The encoder's configuration, where there is an encoder."""
        return getattr(getattr(self.model[0], "auto_model", None), "config", None)

    def checked_model(self, model: Any) -> Any:
        """As a `SentenceTransformer`."""
        if isinstance(model, SentenceTransformer):
            if self.tokenizer is not None:
                model.tokenizer = self.tokenizer
            return model
        if self.tokenizer is None:
            raise InputError("An encoder was given without its tokenizer.", "Pass tokenizer= too.")
        encoder = getattr(model, "base_model", model)
        if not isinstance(encoder, Model):
            raise InputTypeError(f"An encoder expected, got {type(model).__name__}.", "Pass a model or its folder.")
        first = GivenTransformer(encoder, self.tokenizer)
        home = next(encoder.parameters()).device
        pooling = Pooling(first.get_word_embedding_dimension(), "mean")
        return SentenceTransformer(modules=[first, pooling], device=str(home))

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        named = {key: kwargs.pop(key) for key in KEYS if key in kwargs}
        return super().__call__(named if inputs is None else inputs, **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self.refuse(kwargs, KEYS)
        return {}, {}, {}

    def limits(self, batch_size: int | None) -> Limits:
        """A budget of padded tokens."""
        if self.device.type == "cpu":
            return Limits(CPU_BUDGET, batch_size, CPU_OVERHEAD, window=512)
        return Limits(ACCELERATOR_BUDGET, batch_size, ACCELERATOR_OVERHEAD, window=4096)

    def prepare_many(self, inputs: list[Any], **parameters: Any) -> list[list[Item]]:
        """The source's row, then one per sentence."""
        groups = [sentences_of(value) for value in inputs]
        items = iter(self.steps.prepare([sentence for group in groups for sentence in group]))
        return [[next(items)[0] for _ in group] for group in groups]

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """As `SentenceTransformer.encode` does."""
        return self.steps.collate(items)

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Any:
        """All modules."""
        return self.model(model_inputs)

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> Tensor:
        """Vectors of length 1, (batch, dim)."""
        return self.steps.finished(outputs["sentence_embedding"].float())

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """A vector per row; raises `NumericError`."""
        return self.steps.rows(reduced)

    def finish(self, items: list[Item], values: list[Any], **after: Any) -> Any:
        """The cosine of each sentence with the source."""
        return (torch.stack(values[1:]) @ values[0]).clamp(-1, 1).tolist()


def sentences_of(value: Any) -> list[str]:
    """The source and the sentences; raises `InputTypeError` or `InputError`."""
    if not isinstance(value, dict) or not all(key in value for key in KEYS):
        if not isinstance(value, dict):
            held, hint = type(value).__name__, ""
        else:
            held = f"a dict with {', '.join(map(repr, value)) or 'no keys'}"
            hint = next(filter(None, (did_you_mean(str(key), KEYS) for key in value if key not in KEYS)), "")
        raise InputTypeError(
            f"A source sentence and sentences expected, got {held}.",
            hint or "Pass {'source_sentence': …, 'sentences': […]}.",
        )
    others = value["sentences"]
    if not isinstance(others, list | tuple):
        raise InputTypeError(f"sentences must be a list, got {type(others).__name__}.", "Pass ['…', '…'].")
    if not others:
        raise InputError("sentences is empty.", "Give at least one.")
    source = check_text(value["source_sentence"], "A source sentence")
    return [source, *(check_text(sentence, "A sentence") for sentence in others)]
