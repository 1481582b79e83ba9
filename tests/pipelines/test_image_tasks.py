"""The image tasks give what the reference library's pipelines give for the same checkpoints and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny_checkpoints import Build, labels, plain, same

from samovar import pipeline

ANIMALS = labels("cat", "dog", "bird", "fish", "fly", "cow", "ant")


@pytest.fixture
def pictures() -> list[Image.Image]:
    shapes = [(40, 30), (32, 32), (64, 50), (20, 33), (32, 32)]
    return [Image.fromarray(np.random.randint(0, 255, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def both(folder: str, task: str, **settings: Any) -> tuple[Any, Any]:
    ours = pipeline(task, model=folder, device="cpu", **settings)
    return ours, transformers.pipeline(task, model=folder, device="cpu", **settings)


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_k": 99}, {"function_to_apply": "sigmoid"}])
def test_image_classification_equals_the_reference(
    build: Build, pictures: list[Image.Image], options: dict[str, Any]
) -> None:
    ours, theirs = both(build("vit", "ViTForImageClassification", **ANIMALS), "image-classification")
    assert same(ours(pictures, **options), plain(theirs(pictures, **options)), tolerance=1e-3)
    assert same(ours(pictures[0], **options), plain(theirs(pictures[0], **options)), tolerance=1e-3)


def test_images_in_any_form(build: Build, pictures: list[Image.Image], tmp_path: Path) -> None:
    classify = pipeline(model=build("vit", "ViTForImageClassification", **ANIMALS))
    picture = pictures[0]
    picture.save(tmp_path / "picture.png")
    array = np.asarray(picture)
    forms: list[Any] = [
        picture,
        tmp_path / "picture.png",
        str(tmp_path / "picture.png"),
        array,
        torch.from_numpy(array.copy()).permute(2, 0, 1),
    ]
    expected = classify(picture)
    assert isinstance(expected[0], dict)
    for form in forms:
        assert same(classify(form), expected)
        assert same(classify(images=form), expected)
    assert same(classify(forms), [expected] * len(forms))
    assert same(list(classify(iter([{"image": form, "label": 0} for form in forms]))), [expected] * len(forms))
    assert same(classify(np.stack([array, array])), [expected] * 2)
    assert same(classify(torch.from_numpy(np.stack([array, array]))), [expected] * 2)


@pytest.mark.slow
def test_batched_images_equal_single_ones(build: Build, pictures: list[Image.Image]) -> None:
    classify = pipeline(model=build("vit", "ViTForImageClassification", **ANIMALS))
    single = [classify(picture) for picture in pictures]
    shapes: list[int] = []
    hook = classify.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["pixel_values"].shape[0]), with_kwargs=True
    )
    for batch_size in (None, 2):
        shapes.clear()
        assert same(classify(pictures * 10, batch_size=batch_size), single * 10)
        assert max(shapes) == (batch_size or 32)
        assert same(list(classify(iter(pictures * 10), batch_size=batch_size)), single * 10)
    hook.remove()


@pytest.mark.parametrize("options", [{}, {"pool": True}])
def test_image_features_equal_the_reference(build: Build, pictures: list[Image.Image], options: dict[str, Any]) -> None:
    ours, theirs = both(build("vit", "ViTModel"), "image-feature-extraction")
    for picture, found in zip(pictures, ours(pictures, **options), strict=True):
        assert same(found, theirs(picture, **options), tolerance=1e-2)
    tensor = ours(pictures[0], return_tensors=True, **options)
    expected = theirs(pictures[0], return_tensors=True, **options)
    assert tensor.shape == expected.shape
    assert torch.allclose(tensor, expected, atol=1e-2)


def test_a_pooled_state_that_is_not_in_the_file(build: Build, pictures: list[Image.Image]) -> None:
    features = pipeline("image-feature-extraction", model=build("vit", "ViTForImageClassification", **ANIMALS))
    assert len(features(pictures[0])[0]) == 17
    with pytest.raises(ValueError, match="This checkpoint has no pooler"):
        features(pictures[0], pool=True)
