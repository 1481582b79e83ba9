"""Share a model and a pipeline of one's own on a Hub, find them there, and use them from an empty cache.

HF_ENDPOINT=http://localhost:8080 HF_TOKEN=… python examples/share.py [FOLDER of an encoder] [NAME of the repository]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from custom_pipeline import Length
from huggingface_hub import HfApi

from samovar import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, ModelCard, pipeline
from samovar.errors import UnsafeFileError
from samovar.pipelines import PIPELINE_REGISTRY

TEXT = "A pot of tea."


def share_model(folder: str, name: str) -> str:
    """A classifier with its tokenizer; the repository's full name."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, id2label={0: "cold", 1: "hot"})
    commit = model.push_to_hub(name, private=True, tags=["example"])
    AutoTokenizer.from_pretrained(folder).push_to_hub(name)
    return str(commit.repo_url.repo_id)


def share_pipeline(folder: str, name: str) -> str:
    """A pipeline class of one's own, with its source; the repository's full name."""
    PIPELINE_REGISTRY.register_pipeline("vector-length", pipeline_class=Length, pt_model=AutoModel, type="text")
    commit = pipeline("vector-length", model=folder).push_to_hub(name, private=True)
    return str(commit.repo_url.repo_id)


def main(folder: str, name: str) -> None:
    """Push, look, and load again."""
    shared, lengths = share_model(folder, name), share_pipeline(folder, f"{name}-lengths")
    print("found:", *sorted(one.id for one in HfApi().list_models(search=name)))
    print("card:", ModelCard.load(shared).data.pipeline_tag)
    with tempfile.TemporaryDirectory() as empty:
        answer = pipeline(model=shared, cache_dir=empty)(TEXT)[0]
        print("answer:", answer["label"])
        try:
            pipeline(model=lengths, cache_dir=empty)
        except UnsafeFileError as error:
            print("refused:", error.cause)
        measure = pipeline(model=lengths, cache_dir=empty, trust_remote_code=True)
        print("trusted:", type(measure).__name__, measure(TEXT))


if __name__ == "__main__":
    default = Path("~/.cache/samovar/assets/all-MiniLM-L6-v2").expanduser()
    main(sys.argv[1] if len(sys.argv) > 1 else str(default), sys.argv[2] if len(sys.argv) > 2 else "samovar-example")
