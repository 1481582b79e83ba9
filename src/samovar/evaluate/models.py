"""Metrics that a model computes: perplexity by a language model, BERTScore by an encoder, both of this library."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from samovar.evaluate.columns import TEXT_LISTS, TEXTS, MetricError, whole_number
from samovar.evaluate.spec import metric
from samovar.extras import require

# Padded tokens that one batch may hold.
BUDGET = 4096


def batches(lengths: list[int], rows: int) -> Iterator[list[int]]:
    """Indices in batches of at most `rows` rows, longest first, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        count = max(min(rows, BUDGET // max(lengths[order[start]], 1)), 1)
        yield order[start : start + count]
        start += count


def chosen_device(torch: Any, device: str | None) -> Any:
    """The device that was named, or an accelerator if there is one. Raises `MetricError` for a name that is none."""
    if device is not None:
        try:
            return torch.device("cuda" if device == "gpu" else device)
        except (RuntimeError, TypeError) as error:
            raise MetricError(f"There is no device {device!r}.", "Give cpu, cuda, cuda:1, mps, ….") from error
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


@metric(
    columns={"predictions": TEXTS},
    kind="text",
    range="1 … ∞",
    better="lower",
    formula="exp(- mean over tokens of log p(token | tokens before it))",
    source="Jelinek et al., Perplexity – a measure of the difficulty of speech recognition tasks, 1977",
    library="samovar's own causal language models",
)
def perplexity(
    predictions: list[str],
    *,
    model_id: str | None = None,
    batch_size: int = 16,
    add_start_token: bool = True,
    device: str | None = None,
    max_length: int | None = None,
) -> dict[str, Any]:
    """How surprised a causal language model (`model_id`: a folder or name) is by each text, and on average.

    With `add_start_token` the first token is predicted too, from the model's start token. Texts are cut at
    `max_length` tokens, or at what the model reads.

    >>> load("perplexity").compute(predictions=["A cup of tea."], model_id=language_model).keys()
    dict_keys(['perplexities', 'mean_perplexity'])
    """
    if model_id is None:
        raise MetricError("perplexity has no model.", 'Pass model_id=, a folder or name such as "gpt2".')
    whole_number("batch_size", batch_size, 1)
    if max_length is not None:
        whole_number("max_length", max_length, 2)
    torch = require("torch", "The metric perplexity")
    from samovar import AutoModelForCausalLM, AutoTokenizer
    from samovar.pipelines.text import length_limit

    tokenizer = AutoTokenizer.from_pretrained(model_id)
    model = AutoModelForCausalLM.from_pretrained(model_id).to(chosen_device(torch, device)).eval()
    first = next((t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None), None)
    if add_start_token and first is None:
        raise MetricError("This tokenizer has no start token.", "Pass add_start_token=False.")
    limit = max_length or length_limit(model, tokenizer)
    room = None if limit is None else limit - add_start_token
    ids = tokenizer(predictions, add_special_tokens=False, verbose=False)["input_ids"]
    rows = [([first] if add_start_token else []) + row[:room] for row in ids]
    for index, row in enumerate(rows):
        if len(row) < 2:
            raise MetricError(
                f"predictions[{index}] has no token to predict: {predictions[index]!r}.",
                "Leave empty texts out" + ("." if add_start_token else ", or pass add_start_token=True."),
            )
    values = np.zeros(len(rows))
    with torch.inference_mode():
        for batch in batches([len(row) for row in rows], batch_size):
            longest = max(len(rows[index]) for index in batch)
            # Padding on the right needs no mask: a causal model's tokens never see what follows them.
            padded = torch.tensor([rows[i] + [rows[i][0]] * (longest - len(rows[i])) for i in batch])
            kept = torch.tensor([[1] * len(rows[i]) + [0] * (longest - len(rows[i])) for i in batch])[:, 1:]
            padded = padded.to(model.device)
            logits = model(padded).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits.mT, padded[:, 1:], reduction="none").cpu()
            values[batch] = ((losses * kept).sum(1).double() / kept.sum(1)).exp().numpy()
    return {"perplexities": values.tolist(), "mean_perplexity": float(values.mean())}


@metric(
    columns={"predictions": TEXTS, "references": TEXT_LISTS},
    kind="text",
    range="-1 … 1, in practice near 1",
    formula="precision: mean over a prediction's tokens of the best cosine to a reference token; recall: the converse",
    source="Zhang et al., BERTScore, ICLR 2020 (arXiv:1904.09675)",
    library="samovar's own encoders",
)
def bertscore(
    predictions: list[str],
    references: list[list[str]],
    *,
    model_type: str | None = None,
    num_layers: int | None = None,
    idf: bool = False,
    batch_size: int = 64,
    device: str | None = None,
    lang: str | None = None,
) -> dict[str, Any]:
    """How well the tokens of a text match those of its reference in an encoder's hidden states, one value a row.

    `model_type` is a folder or name; `num_layers` the layer whose states are compared (the last by default); `idf`
    weighs tokens by how rare they are among the references. Of several references the best counts. A language alone
    (`lang`) chooses no model, because the choice changes the values.

    >>> scores = load("bertscore").compute(predictions=["Hot tea."], references=["Tea, hot."], model_type=encoder)
    >>> sorted(scores)
    ['f1', 'hashcode', 'precision', 'recall']
    """
    if model_type is None:
        given = "" if lang is None else f"; lang={lang!r} chooses none"
        raise MetricError(f"bertscore has no model{given}.", "Pass model_type=, an encoder's folder or name.")
    whole_number("batch_size", batch_size, 1)
    if idf and sum(map(len, references)) < 2:
        raise MetricError("idf compares references, and there is one.", "Give more rows, or leave idf out.")
    torch = require("torch", "The metric bertscore")
    from samovar import AutoModel, AutoTokenizer
    from samovar.pipelines.text import length_limit

    tokenizer = AutoTokenizer.from_pretrained(model_type)
    model = AutoModel.from_pretrained(model_type).to(chosen_device(torch, device)).eval()
    layers = int(model.config.num_hidden_layers)
    layer = layers if num_layers is None else num_layers
    if not 0 <= layer <= layers:
        raise MetricError(f"num_layers={num_layers}, but the model has {layers}.", f"Give 0 … {layers}.")
    texts = sorted({*predictions, *(text for row in references for text in row)})
    limit = length_limit(model, tokenizer)
    # A text of white space alone has no tokens beside the special ones; these match each other.
    cut: dict[str, Any] = {} if limit is None else {"truncation": True, "max_length": limit}
    ids = tokenizer([text.strip() for text in texts], **cut)["input_ids"]
    weights = weights_of(dict(zip(texts, ids, strict=True)), references, tokenizer, idf)
    states: dict[str, Any] = {}
    with torch.inference_mode():
        for batch in batches([len(row) for row in ids], batch_size):
            features = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt").to(model.device)
            hidden = model(**features, output_hidden_states=True).hidden_states[layer].float()
            unit = torch.nn.functional.normalize(hidden, dim=-1).cpu()
            states |= {texts[i]: unit[row, : len(ids[i])] for row, i in enumerate(batch)}
        scores = np.array([
            max((match(states, weights, text, other) for other in others), key=lambda score: score[2])
            for text, others in zip(predictions, references, strict=True)
        ])  # fmt: skip
    name = f"{model_type}_L{layer}{'_idf' if idf else '_no-idf'}_samovar"
    precision, recall, f1 = scores.T.tolist()
    return {"precision": precision, "recall": recall, "f1": f1, "hashcode": name}


def weights_of(ids: dict[str, list[int]], references: list[list[str]], tokenizer: Any, idf: bool) -> dict[str, Any]:
    """Each text's token weights: 1, or the inverse document frequency; none for the special tokens at its ends."""
    special = {t for t in (tokenizer.cls_token_id, tokenizer.sep_token_id) if t is not None}
    if not idf:
        return {text: np.array([0.0 if token in special else 1.0 for token in row]) for text, row in ids.items()}
    documents = [text for row in references for text in row]
    seen = Counter(token for text in documents for token in set(ids[text]))
    count = len(documents)
    return {
        text: np.array([0.0 if t in special else math.log((count + 1) / (seen[t] + 1)) for t in row])
        for text, row in ids.items()
    }


def match(states: dict[str, Any], weights: dict[str, Any], text: str, other: str) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean of one pair."""
    similarity = (states[text] @ states[other].T).numpy()
    precision = weighted(similarity.max(1), weights[text])
    recall = weighted(similarity.max(0), weights[other])
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def weighted(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean; 0 where nothing has weight: a text without tokens matches nothing."""
    total = float(weights.sum())
    return float(values @ weights) / total if total else 0.0
