"""The same tiny random model twice, the reference library's and ours, and inputs for both."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

import samovar

TEXT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
GPT2: dict[str, Any] = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
GPT2 |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
IMAGE: dict[str, Any] = {key: value for key, value in TEXT.items() if "vocab" not in key and "position" not in key}
IMAGE |= {"image_size": 16, "patch_size": 8}
SIZES = {"bert": TEXT, "roberta": TEXT, "gpt2": GPT2, "vit": IMAGE, "dinov2": IMAGE}
NO_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "embd_pdrop", "resid_pdrop", "attn_pdrop")


def pair(kind: str) -> tuple[Any, Any]:
    """(the reference's, ours) with the same weights, without dropout, by class name."""
    torch.manual_seed(0)
    reference_class = getattr(transformers, kind)
    sizes = SIZES[reference_class.config_class.model_type]
    config = reference_class.config_class(**sizes)
    config.num_labels = 2 if "QuestionAnswering" in kind else 3
    for name in NO_DROPOUT:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    reference = reference_class(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    reference.tie_weights()
    folder = Path(tempfile.mkdtemp())
    reference.save_pretrained(folder)
    return reference, getattr(samovar, kind).from_pretrained(folder)


def inputs_for(model: nn.Module) -> dict[str, Tensor]:
    """A batch of two."""
    generator = torch.Generator().manual_seed(3)
    if getattr(model, "main_input_name", "") == "pixel_values":
        return {"pixel_values": torch.randn(2, 3, 16, 16, generator=generator)}
    return {"input_ids": torch.randint(5, 90, (2, 7), generator=generator)}


def logits(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The model's output in evaluation, without gradients."""
    model.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model(**inputs)[0]


def shake(model: nn.Module) -> None:
    """Random values for everything that is trained, so that an adapter does something."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
