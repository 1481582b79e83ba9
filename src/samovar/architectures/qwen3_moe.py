"""Qwen3-MoE (Yang et al. 2025): Qwen3 whose MLPs are mixtures of many small experts."""

from __future__ import annotations

from typing import Any

from torch import nn

from samovar.architectures.llama import LM, SCORE, SPAN, LlamaModel, token_head
from samovar.architectures.qwen3 import Qwen3Config, Qwen3Model
from samovar.config import doc
from samovar.nn.experts import SparseMLP
from samovar.nn.mlp import GatedMLP
from samovar.nn.transformer import SLIDING
from samovar.tasks import heads, text
from samovar.tasks.experts import ExpertCausalLM, ExpertTransformer


class Qwen3MoeConfig(Qwen3Config):
    """Sizes of a Qwen3-MoE; the defaults are those of the field's configuration."""

    model_type = "qwen3_moe"
    aliases = {"num_local_experts": "num_experts"}

    hidden_size: int = doc(2048, "Width of the residual stream.")
    intermediate_size: int = doc(6144, "Width inside an MLP without experts.")
    num_hidden_layers: int = doc(24, "Number of blocks.")
    num_key_value_heads: int | None = doc(4, "Heads of keys and values.")
    head_dim: int | None = doc(None, "Width of a head; None: `hidden_size` / `num_attention_heads`.")
    decoder_sparse_step: int = doc(1, "Every so many blocks, one has experts.")
    moe_intermediate_size: int = doc(768, "Width inside an expert.")
    num_experts_per_tok: int = doc(8, "Experts that a token goes through.")
    num_experts: int = doc(128, "Experts per block.")
    norm_topk_prob: bool = doc(False, "Let the probabilities of the chosen experts sum to 1.")
    output_router_logits: bool = doc(False, "Return what the routers say, and their loss.")
    router_aux_loss_coef: float = doc(0.001, "Weight of the loss that keeps experts in even use.")
    mlp_only_layers: list[int] = doc([], "Blocks without experts.")


class Qwen3MoeModel(ExpertTransformer, Qwen3Model):
    """Qwen3-MoE without a head."""

    config_class = Qwen3MoeConfig
    weights = {**Qwen3Model.weights, "layers.{i}.mlp.gate": "layers.{i}.mlp.router"}

    def kinds(self, config: Any) -> list[str]:
        windows = config.use_sliding_window and config.sliding_window is not None
        return [SLIDING] * config.num_hidden_layers if windows else []

    def mlp(self, config: Any, index: int) -> nn.Module:
        sparse = config.num_experts > 0 and (index + 1) % config.decoder_sparse_step == 0
        if not sparse or index in config.mlp_only_layers:
            return LlamaModel.mlp(self, config, index)
        return SparseMLP(
            config.hidden_size, config.num_experts, config.num_experts_per_tok,
            lambda: GatedMLP(config.hidden_size, config.moe_intermediate_size, config.hidden_act, bias=False),
            normalise=config.norm_topk_prob,
        )  # fmt: skip


class Qwen3MoeForCausalLM(ExpertCausalLM, backbone=Qwen3MoeModel, head=heads.LMHead, weights=LM):
    """Qwen3-MoE that predicts the next token."""


class Qwen3MoeForSequenceClassification(
    text.SequenceClassification, backbone=Qwen3MoeModel, head=heads.LastTokenClassifier, weights=SCORE
):
    """Qwen3-MoE that classifies texts by their last real token."""


class Qwen3MoeForTokenClassification(text.TokenClassification, backbone=Qwen3MoeModel, head=token_head, weights=SCORE):
    """Qwen3-MoE that classifies every token."""


class Qwen3MoeForQuestionAnswering(
    text.QuestionAnswering, backbone=Qwen3MoeModel, head=heads.SpanClassifier, weights=SPAN, prefix="transformer"
):
    """Qwen3-MoE that marks the start and the end of an answer."""
