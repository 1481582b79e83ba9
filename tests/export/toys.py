"""A toy model of every architecture, with weights that all matter, as the head that is exported of it."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import torch
from cases import CASES, SEQUENCES

import samovar
from samovar.export.parts import Part, parts_of

PAIR = "encoder-decoder"
MODEL_TYPES = [*(case.model_type for case in CASES), *SEQUENCES, PAIR]
# What `make test` measures: graphs of different kinds. `make test-exports` takes every architecture, and half an hour.
CHOSEN = ("bert", "gpt2", "mixtral", "resnet", "t5")
EVERYTHING = os.environ.get("SAMOVAR_TEST_EXPORTS") == "all"
MEASURED = MODEL_TYPES if EVERYTHING else list(CHOSEN)
# What each kind of model is like, for tests that are too slow for all of these.
KINDS = {"encoder": "bert", "decoder": "gpt2", "encoder–decoder": "t5", "convolutions": "resnet"}


def toy(model_type: str) -> Any:
    """The model: a classifier, or what writes where the architecture writes."""
    cases = {case.model_type: case for case in CASES}
    torch.manual_seed(0)
    if model_type == PAIR:
        encoder, decoder = (samovar.AutoConfig.for_model(name, **cases[name].sizes) for name in ("bert", "gpt2"))
        config = samovar.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
        config.pad_token_id, config.eos_token_id, config.decoder_start_token_id = 3, 2, 5
        return randomised(samovar.EncoderDecoderModel(config))
    if model_type in SEQUENCES:
        config = samovar.AutoConfig.for_model(model_type, **SEQUENCES[model_type][1])
        return randomised(samovar.AutoModelForSeq2SeqLM.from_config(config))
    case = cases[model_type]
    config = samovar.AutoConfig.for_model(model_type, **case.sizes)
    backbone = samovar.registry.backbone_class(model_type)
    auto = samovar.AutoModelForSequenceClassification
    if case.vision:
        auto = samovar.AutoModelForImageClassification
    elif getattr(backbone, "causal", False):
        auto = samovar.AutoModelForCausalLM
    return randomised(auto.from_config(config))


def randomised(model: Any) -> Any:
    """The model with random norms, biases and statistics too: those of a new model would hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.1 if parameter.ndim > 1 else 0.2) + (parameter == 1))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return model.eval()


@cache
def parts(model_type: str) -> list[Part]:
    """Its parts, which are traced once for all formats."""
    return parts_of(toy(model_type))
