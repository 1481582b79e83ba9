"""Mixtral (Jiang et al. 2024): Mistral whose MLPs are mixtures of experts."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.architectures.llama import LM, SCORE, SPAN, token_head
from samovar.architectures.mistral import MistralConfig, MistralModel
from samovar.config import doc
from samovar.nn.experts import SparseMLP
from samovar.nn.mlp import GatedMLP
from samovar.tasks import heads, text
from samovar.tasks.experts import ExpertCausalLM, ExpertTransformer

EXPERT = "layers.{i}.mlp.experts.{e}"


class MixtralConfig(MistralConfig):
    """Sizes of a Mixtral; the defaults are Mixtral 8x7B."""

    model_type = "mixtral"
    aliases = {"num_experts": "num_local_experts"}

    rms_norm_eps: float = doc(1e-5, "Added to the mean square in norms.")
    sliding_window: int | None = doc(None, "How many tokens a token sees, itself included; None: all.")
    num_experts_per_tok: int = doc(2, "Experts that a token goes through.")
    num_local_experts: int = doc(8, "Experts per block.")
    output_router_logits: bool = doc(False, "Return what the routers say, and their loss.")
    router_aux_loss_coef: float = doc(0.001, "Weight of the loss that keeps experts in even use.")
    router_jitter_noise: float = doc(0.0, "How far inputs of routers are scaled at random in training.")


class MixtralModel(ExpertTransformer, MistralModel):
    """Mixtral without a head."""

    config_class = MixtralConfig
    weights = {
        **MistralModel.weights,
        "layers.{i}.block_sparse_moe.gate": "layers.{i}.mlp.router",
        "layers.{i}.block_sparse_moe.experts.{e}.w1": f"{EXPERT}.gate_proj",
        "layers.{i}.block_sparse_moe.experts.{e}.w2": f"{EXPERT}.down_proj",
        "layers.{i}.block_sparse_moe.experts.{e}.w3": f"{EXPERT}.up_proj",
    }

    def mlp(self, config: Any, index: int) -> nn.Module:
        return SparseMLP(
            config.hidden_size, config.num_local_experts, config.num_experts_per_tok,
            lambda: GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act, bias=False),
            jitter=config.router_jitter_noise,
        )  # fmt: skip


class MixtralForCausalLM(ExpertCausalLM, backbone=MixtralModel, head=heads.LMHead, weights=LM):
    """Mixtral that predicts the next token."""


class MixtralForSequenceClassification(
    text.SequenceClassification, backbone=MixtralModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Mixtral that classifies texts by their last real token."""


class MixtralForTokenClassification(text.TokenClassification, backbone=MixtralModel, head=token_head, weights=SCORE):
    """Mixtral that classifies every token."""


class MixtralForQuestionAnswering(
    text.QuestionAnswering, backbone=MixtralModel, head=heads.SpanClassifier, weights=SPAN
):
    """Mixtral that marks the start and the end of an answer."""
