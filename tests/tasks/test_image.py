"""Image tasks: logits, losses and how their checkpoints load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from samovar.architectures.deit import DeiTConfig, DeiTForImageClassification, DeiTForImageClassificationWithTeacher
from samovar.architectures.dinov2 import Dinov2Config, Dinov2ForImageClassification
from samovar.architectures.resnet import ResNetConfig, ResNetForImageClassification
from samovar.architectures.vit import ViTConfig, ViTForImageClassification, ViTModel
from samovar.auto import AutoModelForImageClassification

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
}
PIXELS = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("labels", "count", "kind"),
    [
        (torch.tensor([0, 3, 1]), 4, "single_label_classification"),
        (torch.rand(3, 4).round(), 4, "multi_label_classification"),
        (torch.randn(3), 1, "regression"),
    ],
)
def test_the_loss_follows_the_labels(labels: torch.Tensor, count: int, kind: str) -> None:
    model = ViTForImageClassification(ViTConfig(**TINY, num_labels=count)).eval()
    out = model(PIXELS, labels=labels)
    assert model.config.problem_type == kind
    expected = {
        "single_label_classification": nn.CrossEntropyLoss(),
        "multi_label_classification": nn.BCEWithLogitsLoss(),
        "regression": nn.MSELoss(),
    }[kind](out.logits if count > 1 else out.logits[:, 0], labels)
    torch.testing.assert_close(out.loss, expected)
    assert list(out) == ["loss", "logits"]
    assert model(PIXELS, labels, return_dict=False)[0] == out.loss


def test_each_head_reads_its_part_of_the_backbone() -> None:
    vit: Any = ViTForImageClassification(ViTConfig(**TINY)).eval()
    torch.testing.assert_close(vit(PIXELS).logits, vit.head.classifier(vit.vit(PIXELS).last_hidden_state[:, 0]))
    dino: Any = Dinov2ForImageClassification(Dinov2Config(**TINY)).eval()
    states = dino.dinov2(PIXELS).last_hidden_state
    joined = torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)
    torch.testing.assert_close(dino(PIXELS).logits, dino.head.classifier(joined))
    resnet: Any = ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[16], depths=[1])).eval()
    pixels = torch.randn(2, 3, 32, 32)
    mean = resnet.resnet(pixels).last_hidden_state.mean((2, 3))
    torch.testing.assert_close(resnet(pixels).logits, resnet.head.classifier(mean), atol=1e-6, rtol=1e-5)


def test_two_classifiers_are_averaged() -> None:
    out = DeiTForImageClassificationWithTeacher(DeiTConfig(**TINY, num_labels=5)).eval()(PIXELS)
    assert list(out) == ["logits", "cls_logits", "distillation_logits"]
    torch.testing.assert_close(out.logits, (out.cls_logits + out.distillation_logits) / 2)
    assert not torch.equal(out.cls_logits, out.distillation_logits)


def test_no_labels_mean_no_classifier(tmp_path: Path) -> None:
    ViTForImageClassification(ViTConfig(**TINY, num_labels=0)).save_pretrained(tmp_path)
    model = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert isinstance(model.head.classifier, nn.Identity)
    assert torch.equal(model(PIXELS).logits, model.vit(PIXELS).last_hidden_state[:, 0])


def test_a_distilled_checkpoint_opens_as_a_plain_classifier_with_a_new_head(tmp_path: Path) -> None:
    saved = DeiTForImageClassificationWithTeacher(DeiTConfig(**TINY, num_labels=5))
    saved.save_pretrained(tmp_path)
    model, report = AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(model, DeiTForImageClassification)
    assert report["missing_keys"] == {"head.classifier.weight", "head.classifier.bias"}
    assert torch.equal(model.deit(PIXELS).last_hidden_state, saved.eval().deit(PIXELS).last_hidden_state)


def test_a_pooler_and_a_mask_token_that_a_head_does_not_read_are_left_in_the_file(tmp_path: Path) -> None:
    saved = ViTModel(ViTConfig(**TINY), use_mask_token=True)
    saved.save_pretrained(tmp_path)
    model, report = ViTForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert report["unexpected_keys"] == {"pooler.dense.weight", "pooler.dense.bias", "embeddings.mask_token"}
    assert torch.equal(model.vit(PIXELS).last_hidden_state, saved.eval()(PIXELS).last_hidden_state)


def test_options_of_the_class_reach_the_class_and_not_the_configuration(tmp_path: Path) -> None:
    ViTModel(ViTConfig(**TINY), use_mask_token=True).save_pretrained(tmp_path)
    model = ViTModel.from_pretrained(tmp_path, add_pooling_layer=False, use_mask_token=True)
    assert model.pooler is None
    assert "add_pooling_layer" not in model.config.to_dict()
    mask = torch.ones(3, 4, dtype=torch.bool)
    assert not torch.equal(model(PIXELS, mask).last_hidden_state, model(PIXELS).last_hidden_state)


def test_positions_are_resized_through_the_head() -> None:
    model = ViTForImageClassification(ViTConfig(**TINY, num_labels=3)).eval()
    assert model(torch.randn(1, 3, 12, 16), interpolate_pos_encoding=True).logits.shape == (1, 3)
