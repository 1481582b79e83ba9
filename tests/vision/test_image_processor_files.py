"""`preprocessor_config.json`: which class it gives, what is kept, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import samovar
from samovar.errors import ConfigError, CorruptFileError, FileMissingError, InputError, SaveError
from samovar.vision import families
from samovar.vision.families import FOR_MODEL_TYPE, IMAGE_PROCESSORS, BitImageProcessor, ViTImageProcessor
from samovar.vision.load import load_image_processor
from samovar.vision.processor import ImageProcessor

FILE = "preprocessor_config.json"


def write(folder: Path, content: Any, name: str = FILE) -> Path:
    """A folder with one JSON file more."""
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", IMAGE_PROCESSORS)
def test_class_by_name(name: str, tmp_path: Path) -> None:
    kind = IMAGE_PROCESSORS[name]
    assert getattr(families, name) is kind
    old = name.removesuffix("Fast").replace("ImageProcessor", "FeatureExtractor")
    for key, spelling in [
        ("image_processor_type", name),
        ("feature_extractor_type", old),
        ("image_processor_type", old),
    ]:
        loaded = load_image_processor(write(tmp_path, {key: spelling}))
        assert type(loaded) is kind
        assert loaded == kind()
        assert loaded.to_dict()["image_processor_type"] == kind.family
        assert "feature_extractor_type" not in loaded.to_dict()


@pytest.mark.parametrize("model_type", FOR_MODEL_TYPE)
def test_class_by_model_type(model_type: str, tmp_path: Path) -> None:
    write(write(tmp_path, {"size": 99}), {"model_type": model_type}, "config.json")
    for name_or_path in (tmp_path, tmp_path / FILE):
        loaded = load_image_processor(name_or_path)
        assert type(loaded) is FOR_MODEL_TYPE[model_type]
        assert 99 in loaded.size.values()


def test_public_names() -> None:
    assert samovar.ViTImageProcessor is ViTImageProcessor
    assert samovar.ImageProcessor is ImageProcessor


def test_auto_class(tmp_path: Path) -> None:
    BitImageProcessor(size=50).save_pretrained(tmp_path / "inside")
    for loaded in (
        samovar.AutoImageProcessor.from_pretrained(tmp_path / "inside", use_fast=False, trust_remote_code=False),
        samovar.AutoImageProcessor.from_pretrained(str(tmp_path), subfolder="inside"),
    ):
        assert loaded == BitImageProcessor(size=50)


def test_nested_in_the_file_of_a_processor(tmp_path: Path) -> None:
    content = {
        "processor_class": "CLIPProcessor",
        "image_processor": {"image_processor_type": "CLIPImageProcessor", "size": 9},
    }
    loaded = load_image_processor(write(tmp_path, content, "processor_config.json"))
    assert loaded.family == "CLIPImageProcessor"
    assert loaded.size == {"shortest_edge": 9}


def test_what_the_file_says_comes_back(tmp_path: Path) -> None:
    content = {
        "image_processor_type": "ViTImageProcessorFast",
        "size": {"height": 30, "width": 40},
        "resample": 3,
        "do_reduce_labels": True,
        "processor_class": "SomeProcessor",
        "disable_grouping": None,
        "nested": {"a": [1, 2]},
        "default_to_square": False,
    }
    loaded = load_image_processor(write(tmp_path, content))
    assert loaded.do_reduce_labels is True
    loaded.do_reduce_labels = False
    loaded.save_pretrained(tmp_path / "new")
    saved = json.loads((tmp_path / "new" / FILE).read_text())
    expected = {**content, "image_processor_type": "ViTImageProcessor", "do_reduce_labels": False}
    assert {key: saved[key] for key in expected} == expected
    assert load_image_processor(tmp_path / "new") == loaded
    assert os.listdir(tmp_path / "new") == [FILE]


def test_unusual_values_are_saved_as_plain_json(tmp_path: Path) -> None:
    processor = BitImageProcessor(resample=Image.Resampling.BOX, image_mean=(0.1, 0.2, 0.3), image_std=np.full(3, 0.5))
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / FILE).read_text())
    assert (saved["resample"], saved["image_mean"], saved["image_std"]) == (4, [0.1, 0.2, 0.3], [0.5, 0.5, 0.5])
    assert load_image_processor(tmp_path) == processor


def test_arguments_win_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"image_processor_type": "BitImageProcessor", "extra_key": 1})
    loaded = load_image_processor(
        tmp_path, size=50, do_normalize=False, extra_key=2, use_fast=True, local_files_only=True
    )
    assert (loaded.size, loaded.do_normalize, loaded.extra_key) == ({"shortest_edge": 50}, False, 2)
    with pytest.raises(InputError, match="do_normalize"):
        load_image_processor(tmp_path, do_normalise=False)
    assert ViTImageProcessor.from_pretrained(tmp_path).size == {"height": 224, "width": 224}


def test_general_class_takes_unknown_names(tmp_path: Path) -> None:
    write(tmp_path, {"image_processor_type": "SiglipImageProcessor", "size": {"height": 20, "width": 20}})
    with pytest.raises(ConfigError, match="SiglipImageProcessor") as caught:
        load_image_processor(tmp_path)
    assert "ViTImageProcessor" in str(caught.value)
    general = ImageProcessor.from_pretrained(tmp_path)
    assert type(general) is ImageProcessor
    assert general.prepare(Image.new("RGB", (5, 5))).shape == (3, 20, 20)
    assert general.to_dict()["image_processor_type"] == "SiglipImageProcessor"


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match="preprocessor_config"):
        load_image_processor(tmp_path)
    write(tmp_path, {"size": 20})
    with pytest.raises(ConfigError, match=r"no model_type in a config\.json"):
        load_image_processor(tmp_path)
    write(tmp_path, {"model_type": "bert"}, "config.json")
    with pytest.raises(ConfigError, match="model_type is 'bert'"):
        load_image_processor(tmp_path)
    (tmp_path / FILE).write_text('{"size": ')
    with pytest.raises(CorruptFileError, match="not valid JSON"):
        load_image_processor(tmp_path)
    write(tmp_path, {"image_processor_type": "ViTImageProcessor", "size": "large"})
    with pytest.raises(ConfigError, match="large"):
        load_image_processor(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    ViTImageProcessor().save_pretrained(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    broken = ViTImageProcessor(note=object())
    with pytest.raises(TypeError):
        broken.save_pretrained(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert os.listdir(tmp_path) == [FILE]
    with pytest.raises(SaveError, match="folder"):
        ViTImageProcessor().save_pretrained(tmp_path / FILE)


def test_works_without_torch(tmp_path: Path) -> None:
    """Importing, loading and preparing need Pillow and NumPy only."""
    ViTImageProcessor(size=8).save_pretrained(tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from samovar.errors import MissingExtraError\n"
        "from samovar.vision.load import load_image_processor\n"
        f"processor = load_image_processor({str(tmp_path)!r})\n"
        "image = np.zeros((9, 9, 3), np.uint8)\n"
        "assert processor(image, return_tensors='np').pixel_values.shape == (1, 3, 8, 8)\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "try:\n"
        "    processor(image, return_tensors='pt')\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "samovar[torch]" in done.stdout
