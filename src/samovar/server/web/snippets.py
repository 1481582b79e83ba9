"""How to use a repository, as code to copy: pipeline, Auto classes, command line, git."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from samovar.server.db.tables import Repository
from samovar.server.services.access import RepoType
from samovar.server.taxonomy.tasks import auto_class
from samovar.server.web.markup import coloured

# What a first call looks like, by task.
CALLS = {
    "question-answering": '(question="Where is the samovar?", context="The samovar stands on the table.")',
    "table-question-answering": '(table={"city": ["Tula"], "samovars": ["90"]}, query="How many samovars has Tula?")',
    "zero-shot-classification": '("Tea is served at five.", candidate_labels=["food", "sport"])',
    "fill-mask": '(f"Tea from a {pipe.tokenizer.mask_token}.")',
    "text-generation": '("Tea is", max_new_tokens=20)',
    "sentence-similarity": '({"source_sentence": "Tea is ready.", "sentences": ["The tea is made.", "It rains."]})',
    "image-classification": '("photo.jpg")',
    "image-feature-extraction": '("photo.jpg")',
    "automatic-speech-recognition": '("speech.wav")',
    "audio-classification": '("speech.wav")',
}
PIXELS = (
    "image-classification",
    "image-feature-extraction",
    "object-detection",
    "image-segmentation",
    "depth-estimation",
)


@dataclass(frozen=True)
class Snippet:
    """A piece of code under a heading."""

    title: str
    code: str
    html: Markup


def call_of(task: str) -> str:
    """What a first call of that task's pipeline looks like."""
    return CALLS.get(task, '("Tea is ready.")')


def snippets(type_: RepoType, repository: Repository, config: dict[str, Any], base: str) -> list[Snippet]:
    """The ways to use a repository from this Hub."""
    name, folder = repository.name, "" if type_ == "model" else f"{type_}s/"
    found: list[tuple[str, str, str]] = []
    if type_ == "model":
        task = repository.pipeline_tag
        if repository.library_name == "sentence-transformers":
            found.append((
                "SentenceTransformer", "python",
                f'from samovar import SentenceTransformer\n\nmodel = SentenceTransformer("{name}")\n'
                'vectors = model.encode(["Tea is ready.", "The tea is made."])\n'
                "print(model.similarity(vectors, vectors))",
            ))  # fmt: skip
        if task:
            call = call_of(task)
            found.append(
                (
                    "Pipeline",
                    "python",
                    f'from samovar import pipeline\n\npipe = pipeline("{task}", model="{name}")\nprint(pipe{call})',
                )
            )
        auto = auto_class(repository.architecture)
        if auto:
            reader = "AutoImageProcessor" if task in PIXELS else "AutoTokenizer"
            variable = "processor" if task in PIXELS else "tokenizer"
            found.append((
                "Auto classes", "python",
                f"from samovar import {', '.join(sorted((auto, reader)))}\n\n"
                f'{variable} = {reader}.from_pretrained("{name}")\nmodel = {auto}.from_pretrained("{name}")',
            ))  # fmt: skip
        if task:
            found.append(
                ("Shell", "bash", f'export HF_ENDPOINT={base}\nsamovar run {task} --model {name} "Tea is ready."')
            )
        found.append(("Download", "bash", f"export HF_ENDPOINT={base}\nsamovar download {name}"))
    elif type_ == "dataset":
        found.append(
            ("datasets", "python", f'from datasets import load_dataset\n\ndata = load_dataset("{name}")\nprint(data)')
        )
        found.append(("Download", "bash", f"export HF_ENDPOINT={base}\nhf download --repo-type dataset {name}"))
    found.append(("git", "bash", f"git lfs install\ngit clone {base}/{folder}{name}"))
    return [Snippet(title, code, Markup(coloured(code, "", language))) for title, language, code in found]
