"""RoBERTa with its norms before attention and MLP (Wettig et al. 2023, arXiv:2202.08005, as `efficient_mlm_*`)."""

from __future__ import annotations

from samovar.architectures import roberta
from samovar.architectures.bert import BertConfig, BertModel
from samovar.nn.norm import layer_norm

LAYER = "encoder.layer.{i}"


class RobertaPreLayerNormConfig(roberta.RobertaConfig):
    """Sizes of a RoBERTa in pre-norm order; the fields are RoBERTa's."""

    model_type = "roberta-prelayernorm"


class RobertaPreLayerNormModel(roberta.RobertaModel):
    """RoBERTa in pre-norm order, without a head."""

    config_class = RobertaPreLayerNormConfig
    prefix = "roberta_prelayernorm"
    order = "pre"
    weights = {
        **{name: ours for name, ours in BertModel.weights.items() if not name.endswith("output.LayerNorm")},
        f"{LAYER}.attention.LayerNorm": "layers.{i}.self_attn_norm",
        f"{LAYER}.crossattention.LayerNorm": "layers.{i}.cross_attn_norm",
        f"{LAYER}.intermediate.LayerNorm": "layers.{i}.mlp_norm",
        "LayerNorm": "norm",
    }

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.norm = layer_norm(config.layer_norm_eps)(config.hidden_size)


# fmt: off
class RobertaPreLayerNormForSequenceClassification(
    roberta.RobertaForSequenceClassification, backbone=RobertaPreLayerNormModel
):
    """Pre-norm RoBERTa with two layers over the first token."""
class RobertaPreLayerNormForTokenClassification(
    roberta.RobertaForTokenClassification, backbone=RobertaPreLayerNormModel
):
    """Pre-norm RoBERTa with a linear layer over every token."""
class RobertaPreLayerNormForQuestionAnswering(roberta.RobertaForQuestionAnswering, backbone=RobertaPreLayerNormModel):
    """Pre-norm RoBERTa that marks the start and the end of an answer."""
class RobertaPreLayerNormForMultipleChoice(roberta.RobertaForMultipleChoice, backbone=RobertaPreLayerNormModel):
    """Pre-norm RoBERTa that scores each of several continuations."""
class RobertaPreLayerNormForMaskedLM(roberta.RobertaForMaskedLM, backbone=RobertaPreLayerNormModel):
    """Pre-norm RoBERTa that fills masks."""
class RobertaPreLayerNormForCausalLM(roberta.RobertaForCausalLM, backbone=RobertaPreLayerNormModel):
    """Pre-norm RoBERTa that predicts the next token."""
# fmt: on
