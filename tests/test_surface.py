"""The public surface: light to import, whole, and clear about what is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import samovar
from samovar.surface import declared_names


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("statement", ["import samovar", "from samovar import pipeline, AutoModel, AutoTokenizer"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    heavy = ["torch", "transformers", "huggingface_hub", "numpy", "PIL", "tokenizers"]
    assert run(f"{statement}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])") == "[]"


def test_every_declared_name_is_there() -> None:
    names = declared_names(Path(samovar.__file__).with_suffix(".pyi"))
    assert len(names) > 100
    for name, (_, original) in names.items():
        value = getattr(samovar, name)
        if name[0].isupper() and name == original and not name.endswith("Fast"):
            assert value.__name__ == name
    assert set(names) <= set(dir(samovar))


def test_every_head_of_every_architecture_is_public() -> None:
    from samovar.registry import ARCHITECTURES, backbone_class

    for model_type in ARCHITECTURES:
        backbone = backbone_class(model_type)
        for kind in (backbone, backbone.config_class, *backbone.tasks.values()):
            assert getattr(samovar, kind.__name__) is kind


def test_a_misspelt_name_is_answered_with_near_ones() -> None:
    with pytest.raises(AttributeError, match="BertModel"):
        _ = samovar.BertModle


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

sys.meta_path.insert(0, Block())
import numpy as np
import samovar
from samovar.errors import MissingExtraError

for use in (
    lambda: samovar.BertModel,
    lambda: samovar.AutoModel.from_pretrained(sys.argv[1]),
    lambda: samovar.pipeline("feature-extraction", model=sys.argv[1]),
    lambda: samovar.AutoTokenizer.from_pretrained(sys.argv[1])("tea", return_tensors="pt"),
):
    try:
        use()
    except MissingExtraError as error:
        assert "pip install 'samovar[torch]'" in str(error), error
    else:
        raise SystemExit("no error")
print(samovar.AutoTokenizer.from_pretrained(sys.argv[1]).tokenize("unaffordable tea"))
print(samovar.ViTImageProcessor()(np.zeros((9, 9, 3), np.uint8), return_tensors="np")["pixel_values"].shape)
"""


def test_without_torch_the_base_works_and_the_rest_says_what_to_install() -> None:
    from assets import minilm_folder

    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(minilm_folder())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['una', '##ff', '##ord', '##able', 'tea']", "(1, 3, 224, 224)"]
