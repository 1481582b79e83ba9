"""A pipeline class of your own: three steps, registered by name, run by the same batching engine.

python examples/custom_pipeline.py [FOLDER or owner/name]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from samovar import AutoModel, Pipeline, pipeline
from samovar.pipelines import PIPELINE_REGISTRY


class Length(Pipeline):
    """How long the vector of a text's first token is."""

    def _sanitize_parameters(self, digits: int | None = None, **kwargs: Any) -> tuple[dict, dict, dict]:
        return {}, {}, {} if digits is None else {"digits": digits}

    def preprocess(self, inputs: str) -> Any:
        return self.tokenizer(inputs, return_tensors="pt", truncation=True)

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, digits: int = 2) -> float:
        return round(model_outputs.last_hidden_state[0, 0].norm().item(), digits)


def main(name: str) -> None:
    """Register the class, then use it by its name."""
    PIPELINE_REGISTRY.register_pipeline("vector-length", pipeline_class=Length, pt_model=AutoModel, type="text")
    measure = pipeline("vector-length", model=name)
    for text, length in zip(["tea", "a pot of tea"], measure(["tea", "a pot of tea"], digits=1), strict=True):
        print(f"{length:6.1f}  {text}")


if __name__ == "__main__":
    default = Path("~/.cache/samovar/assets/all-MiniLM-L6-v2").expanduser()
    main(sys.argv[1] if len(sys.argv) > 1 else str(default))
