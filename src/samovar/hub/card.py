"""Model cards: what a repository's `README.md` says of a model, to model pages in its YAML head and to readers below.

A card that was made here ends with a mark that holds a digest of it. As long as it fits, nobody has edited the card,
and a later push may write a better one; a card that a person has touched is never replaced.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub import ModelCard as FieldCard

from samovar.hub.refusals import Token, refusals

MARK = re.compile(r"\n<!-- samovar:card ([0-9a-f]{16}) -->\n?\Z")


@dataclass(frozen=True)
class Head:
    """How a model with a head is used: its task on model pages, the class that loads it, an input for the example."""

    task: str
    auto: str
    example: str = '"A quiet, clever film."'


# What a model calls its own task → how its card says to use it.
HEADS = {
    "sequence-classification": Head("text-classification", "AutoModelForSequenceClassification"),
    "token-classification": Head("token-classification", "AutoModelForTokenClassification", '"Anna lives in Riga."'),
    "question-answering": Head(
        "question-answering", "AutoModelForQuestionAnswering",
        'question="Where does Anna live?", context="Anna lives in Riga."',
    ),
    "table-question-answering": Head(
        "table-question-answering", "AutoModelForTableQuestionAnswering",
        'table={"city": ["Riga", "Oslo"], "people": ["605273", "717710"]}, query="How many people live in Riga?"',
    ),
    "masked-lm": Head("fill-mask", "AutoModelForMaskedLM", 'f"Tea is {pipe.tokenizer.mask_token}."'),
    "causal-lm": Head("text-generation", "AutoModelForCausalLM", '"A samovar"'),
    "seq2seq-lm": Head("text2text-generation", "AutoModelForSeq2SeqLM", '"A samovar boils water for tea."'),
    "multiple-choice": Head(
        "multiple-choice", "AutoModelForMultipleChoice", 'question="Tea is", choices=["a drink", "a train"]'
    ),
    "image-classification": Head("image-classification", "AutoModelForImageClassification", '"photograph.jpg"'),
}  # fmt: skip


@dataclass
class About:
    """What is known of a model that gets a card.

    `labels` are its classes' names; with `own_code` the repository brings a pipeline of its own; `more` are further
    keys of the head.
    """

    name: str
    kind: str = ""
    head: Head | None = None
    reads_images: bool = False
    parameters: int | None = None
    dtype: str = ""
    labels: Sequence[str] = ()
    base_model: str | None = None
    library_name: str = "transformers"
    language: str | Sequence[str] | None = None
    license: str | None = None
    datasets: Sequence[str] = ()
    tags: Sequence[str] = ()
    results: Sequence[EvalResult] = ()
    own_code: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


class ModelCard(FieldCard):
    """`huggingface_hub`'s card: `data` is the YAML head, `text` what stands below, `content` both.

    ::

        card = ModelCard.load("owner/name")            # or a file
        card.data.license = "mit"
        card.add_results({"accuracy": 0.91}, task="text-classification", dataset="rotten_tomatoes")
        card.push_to_hub("owner/name")

    `for_model` writes one about a model.
    """

    data: Any

    @classmethod
    def for_model(cls, model: Any, name: str | None = None, **values: Any) -> Self:
        """A card about a model; `values` are fields of `About`, such as `license`, `language` and `datasets`."""
        about = facts(model, name or Path(getattr(model, "name_or_path", "") or type(model).__name__).name)
        for key, value in values.items():
            if key not in About.__dataclass_fields__:
                about.more = {**about.more, key: value}
            else:
                setattr(about, key, value)
        return cls(new_card(about))

    @classmethod
    def load(
        cls,
        repo_id_or_path: str | Path,
        repo_type: str | None = None,
        token: Token = None,
        ignore_metadata_errors: bool = False,
    ) -> Self:
        """Read a file, or the card of a repository. Raises `HubError` where there is none."""
        with refusals("Reading the card of", str(repo_id_or_path), token, offline=True):
            card: Self = super().load(repo_id_or_path, repo_type, token, ignore_metadata_errors)  # type: ignore[arg-type]
        return card

    def push_to_hub(self, repo_id: str, token: Token = None, **options: Any) -> Any:  # type: ignore[override]
        """Write the card to a repository of the Hub, as a commit. Raises `HubError`."""
        with refusals("Writing the card of", repo_id, token):
            return super().push_to_hub(repo_id, token=token, **options)  # type: ignore[arg-type]

    @property
    def results(self) -> list[EvalResult]:
        """The measured values in its head (`model-index`)."""
        return list(self.data.eval_results or [])

    def add_results(
        self,
        values: Mapping[str, Any],
        *,
        task: str,
        dataset: str,
        dataset_type: str | None = None,
        dataset_config: str | None = None,
        dataset_split: str | None = None,
    ) -> None:
        """Add values measured on a data set, in place of those that are there for the same metric and data.

        Values that are no numbers are left out; of a value with a confidence interval the score is taken.
        """
        where = {
            "dataset_name": dataset, "dataset_type": dataset_type or dataset, "dataset_config": dataset_config,
            "dataset_split": dataset_split,
        }  # fmt: skip
        self.put(results_of(values, task, **where))

    def put(self, new: Sequence[EvalResult]) -> None:
        """Entries in place of those that measure the same thing on the same data."""
        old = [one for one in self.results if not any(same_measure(one, other) for other in new)]
        self.data.eval_results = [*old, *new]
        title = re.search(r"^# (.+)$", self.text, re.M)
        self.data.model_name = self.data.get("model_name") or (title.group(1).strip() if title else "model")


def results_of(values: Mapping[str, Any], task: str, **where: Any) -> list[EvalResult]:
    """Metric → value as entries of `model-index`, numbers only."""
    found = []
    for key, value in values.items():
        score = value["score"] if isinstance(value, Mapping) and "score" in value else value
        score = score.item() if hasattr(score, "item") and getattr(score, "ndim", 0) == 0 else score
        if isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score):
            found.append(EvalResult(task_type=task, metric_type=key, metric_value=score, **where))
    return found


def same_measure(one: EvalResult, other: EvalResult) -> bool:
    """Whether two entries measure the same thing on the same data."""
    keys = ("task_type", "dataset_type", "dataset_config", "dataset_split", "metric_type")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


# What a model says of itself --------------------------------------------------------------------------------------


def facts(thing: Any, name: str) -> About:
    """What a model, a part such as a tokenizer, or what holds a model tells about itself.

    A class may add to it by a method `tell_card(about)`.
    """
    model = thing if hasattr(thing, "num_parameters") else getattr(thing, "model", thing)
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = getattr(inside, "config", None)
    head = HEADS.get(str(getattr(inside, "task", "")))
    about = About(name, type(inside).__name__, head)
    about.reads_images = getattr(inside, "main_input_name", "") == "pixel_values"
    count = getattr(inside, "num_parameters", None)
    if callable(count):
        about.parameters = int(count())
        about.dtype = str(getattr(inside, "dtype", "")).removeprefix("torch.")
    labels = list((getattr(config, "id2label", None) or {}).values())
    classifies = head is not None and head.task.endswith("classification")
    about.labels = labels if classifies and not all(re.fullmatch(r"LABEL_\d+", label) for label in labels) else ()
    about.base_model = public_name(getattr(inside, "name_or_path", ""), name)
    if getattr(model, "peft_config", None):
        about.library_name, about.tags = "peft", ("lora",)
    if type(inside).__dict__.get("_auto_class"):
        about.own_code, about.tags = True, [*about.tags, "custom_code"]
    tell = getattr(thing, "tell_card", None)
    if tell is not None:
        tell(about)
    return about


def public_name(origin: str, name: str) -> str | None:
    """The repository that a model comes from; None for a folder, whose path says nothing to others, and for itself."""
    found = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", origin or "", re.ASCII)
    return origin if found and origin != name and not Path(origin).exists() else None


# Writing ----------------------------------------------------------------------------------------------------------


def listed(value: str | Sequence[str] | None) -> list[str]:
    """One or several, as a list."""
    return [value] if isinstance(value, str) else list(value or [])


def metadata(about: About, kept: Mapping[str, Any] | None = None) -> str:
    """The YAML head; `kept` are the keys of a card that was there, under what is known now."""
    kept = kept or {}
    given = {
        "language": about.language, "license": about.license, "library_name": about.library_name,
        "base_model": about.base_model, "pipeline_tag": about.head.task if about.head else None,
        "tags": sorted({*listed(kept.get("tags")), *about.tags, "samovar"}),
        "datasets": sorted({*listed(kept.get("datasets")), *about.datasets}) or None,
        "metrics": sorted({*listed(kept.get("metrics")), *(one.metric_type for one in about.results)}) or None,
        **about.more,
    }  # fmt: skip
    values = {**kept, **{key: value for key, value in given.items() if value is not None}}
    results: dict[str, Any] = {"model_name": about.name, "eval_results": list(about.results)} if about.results else {}
    return str(ModelCardData(**values, **results).to_yaml())


def new_card(about: About, section: str = "") -> str:
    """A whole card, with its mark."""
    parts = [f"---\n{metadata(about)}\n---\n\n# {about.name}", description(about), usage(about), section]
    return marked("\n\n".join(part for part in parts if part).strip() + "\n")


def description(about: About) -> str:
    """One paragraph of facts."""
    said = [f"`{about.kind}`"] if about.kind else []
    if about.parameters:
        said.append(f"{about.parameters:,} parameters" + (f" in {about.dtype}" if about.dtype else ""))
    if about.base_model:
        said.append(f"made from `{about.base_model}`")
    text = ", ".join(said) + "." if said else ""
    if about.labels:
        shown = ", ".join(f"`{label}`" for label in about.labels[:20])
        text += f" {len(about.labels)} labels: {shown}" + (" …" if len(about.labels) > 20 else ".")
    return text


def usage(about: About) -> str:
    """The code that runs the model; empty for what is no model."""
    if about.parameters is None or about.library_name == "peft":
        return ""
    part = "AutoImageProcessor" if about.reads_images else "AutoTokenizer"
    auto = about.head.auto if about.head else "AutoModel"
    lines = [f"from samovar import {', '.join(sorted((auto, part)))}", ""]
    trust = ", trust_remote_code=True" if about.own_code else ""
    lines.append(f'prepare = {part}.from_pretrained("{about.name}"{trust})')
    lines.append(f'model = {auto}.from_pretrained("{about.name}"{trust})')
    code = "```python\n" + "\n".join(lines) + "\n```"
    if about.head:
        pipe = f'pipe = pipeline("{about.head.task}", model="{about.name}"{trust})\nprint(pipe({about.head.example}))'
        code = f"```python\nfrom samovar import pipeline\n\n{pipe}\n```\n\n{code}"
    if about.own_code:
        return f"## Use\n\nThis runs code of the repository: read it before you trust it.\n\n{code}"
    return f"## Use\n\n{code}\n\nThe same names work with `from transformers import …`."


def marked(text: str) -> str:
    """A card with the mark that nobody has edited it."""
    return f"{text}\n<!-- samovar:card {digest(text)} -->\n"


def is_unedited(card: str) -> bool:
    """Whether a card was made here and is as it was made."""
    card = card.replace("\r\n", "\n")
    found = MARK.search(card)
    return found is not None and found.group(1) == digest(card[: found.start()])


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def with_tags(card: str, tags: Sequence[str]) -> str:
    """A card with these tags too; as it was where it has them."""
    found: Any = FieldCard(card, ignore_metadata_errors=True)
    have = listed(found.data.get("tags"))
    new = [tag for tag in tags if tag not in have]
    if not new:
        return card
    found.data.tags = [*have, *new]
    text = str(found)
    return marked(MARK.sub("\n", text)) if is_unedited(card) else text
