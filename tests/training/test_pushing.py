"""A trained model goes to a repository of an endpoint, with its card, and is loaded back from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import sys
import learner
trainer = learner.trainer(
    sys.argv[1], num_train_epochs=1, save_strategy="epoch", push_to_hub=True, hub_model_id="tea/films",
    eval_dataset=learner.rows(8), eval_strategy="epoch",
)
trainer.train()
"""
LOAD = """
import json
from samovar import AutoModelForSequenceClassification
from huggingface_hub import ModelCard
model = AutoModelForSequenceClassification.from_pretrained("tea/films")
card = ModelCard.load("tea/films")
print(json.dumps([model.config.hidden_size, card.data.pipeline_tag, "samovar" in card.data.tags]))
"""


@pytest.mark.slow
def test_a_trained_model_is_pushed_and_loaded_back(tmp_path: Path) -> None:
    """In processes of their own, as the client reads its endpoint once."""
    here = Path(__file__).parent
    sys.path.insert(0, str(here.parent / "hub"))
    from hub_server import HubServer

    with HubServer({}) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": "hf_test"}
        environment |= {"HF_HUB_OFFLINE": "0", "PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
        for code in (TRAIN, LOAD):
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / "out")], env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [16, "text-classification", True]
        files = hub.repositories["tea/films"].commits[hub.repositories["tea/films"].branches["main"]]
        assert {"README.md", "config.json", "model.safetensors", "report/index.html"} <= set(files)
        assert not [name for name in files if name.startswith(("checkpoint-", "."))]
