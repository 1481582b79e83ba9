"""Which architectures there are: model_type → "module:Backbone". Nothing is imported until it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from samovar.errors import ConfigError, MissingExtraError, UnknownArchitectureError, did_you_mean

if TYPE_CHECKING:
    from samovar.nn.transformer import Backbone

HOME = "samovar.architectures"

ARCHITECTURES: dict[str, str] = {
    "albert": f"{HOME}.albert:AlbertModel",
    "bart": f"{HOME}.bart:BartModel",
    "bert": f"{HOME}.bert:BertModel",
    "bloom": f"{HOME}.bloom:BloomModel",
    "camembert": f"{HOME}.roberta:CamembertModel",
    "convnext": f"{HOME}.convnext:ConvNextModel",
    "deberta-v2": f"{HOME}.deberta_v2:DebertaV2Model",
    "deit": f"{HOME}.deit:DeiTModel",
    "dinov2": f"{HOME}.dinov2:Dinov2Model",
    "distilbert": f"{HOME}.distilbert:DistilBertModel",
    "electra": f"{HOME}.electra:ElectraModel",
    "encoder-decoder": f"{HOME}.encoder_decoder:EncoderDecoderModel",
    "falcon": f"{HOME}.falcon:FalconModel",
    "gemma2": f"{HOME}.gemma2:Gemma2Model",
    "gemma3_text": f"{HOME}.gemma3:Gemma3TextModel",
    "gpt2": f"{HOME}.gpt2:GPT2Model",
    "gpt_neox": f"{HOME}.gpt_neox:GPTNeoXModel",
    "llama": f"{HOME}.llama:LlamaModel",
    "longformer": f"{HOME}.longformer:LongformerModel",
    "m2m_100": f"{HOME}.m2m_100:M2M100Model",
    "marian": f"{HOME}.marian:MarianModel",
    "mbart": f"{HOME}.mbart:MBartModel",
    "mistral": f"{HOME}.mistral:MistralModel",
    "mixtral": f"{HOME}.mixtral:MixtralModel",
    "modernbert": f"{HOME}.modernbert:ModernBertModel",
    "mpnet": f"{HOME}.mpnet:MPNetModel",
    "mt5": f"{HOME}.mt5:MT5Model",
    "olmo2": f"{HOME}.olmo2:Olmo2Model",
    "opt": f"{HOME}.opt:OPTModel",
    "pegasus": f"{HOME}.pegasus:PegasusModel",
    "phi3": f"{HOME}.phi3:Phi3Model",
    "qwen2": f"{HOME}.qwen2:Qwen2Model",
    "qwen3": f"{HOME}.qwen3:Qwen3Model",
    "qwen3_moe": f"{HOME}.qwen3_moe:Qwen3MoeModel",
    "resnet": f"{HOME}.resnet:ResNetModel",
    "roberta": f"{HOME}.roberta:RobertaModel",
    "roberta-prelayernorm": f"{HOME}.roberta_prelayernorm:RobertaPreLayerNormModel",
    "t5": f"{HOME}.t5:T5Model",
    "tapas": f"{HOME}.tapas:TapasModel",
    "vit": f"{HOME}.vit:ViTModel",
    "xlm-roberta": f"{HOME}.roberta:XLMRobertaModel",
    "xlnet": f"{HOME}.xlnet:XLNetModel",
}


def register(model_type: str, backbone: str | type[Backbone]) -> None:
    """Add an architecture: its class, or `"module:Class"` so that it is imported when needed."""
    if not isinstance(backbone, str):
        _loaded[model_type] = backbone
        backbone = f"{backbone.__module__}:{backbone.__name__}"
    ARCHITECTURES[model_type] = backbone


_loaded: dict[str, Any] = {}


def backbone_class(model_type: str) -> type[Backbone]:
    """The backbone of this `model_type`. Raises `UnknownArchitectureError` with the list of those that exist."""
    if model_type not in ARCHITECTURES:
        hint = did_you_mean(model_type, ARCHITECTURES)
        raise UnknownArchitectureError(
            f"No architecture is registered for model_type {model_type!r}.",
            f"{hint} Known: {', '.join(sorted(ARCHITECTURES))}. `samovar.registry.register` adds one.".strip(),
        )
    if model_type not in _loaded:
        module, _, name = ARCHITECTURES[model_type].partition(":")
        try:
            _loaded[model_type] = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingExtraError(f"The {model_type!r} architecture", "torch", "torch") from error
    return _loaded[model_type]


def family_of(model_type: str) -> str:
    """The module that holds this architecture; variants of one family share it."""
    return ARCHITECTURES.get(model_type, model_type).partition(":")[0]


def model_type_of(config: Mapping[str, Any], name: str) -> str:
    """A file's `model_type`, or the one that its `architectures` imply. Raises `ConfigError` when neither says."""
    model_type = config.get("model_type")
    if model_type:
        return str(model_type)
    for saved_from in config.get("architectures") or []:
        for candidate, target in ARCHITECTURES.items():
            stem = target.partition(":")[2].removesuffix("Model")
            if saved_from.startswith((f"{stem}For", f"{stem}Model", f"{stem}LMHead")):
                return candidate
    raise ConfigError(
        f"The config.json of {name} has no `model_type`, so its architecture is unknown.",
        "Load it with the class that is named after its architecture, such as `BertModel.from_pretrained`, "
        "or add the key to the file.",
    )
