"""Any encoder with any decoder (Rothe et al. 2020, arXiv:1907.12461): two checkpoints that become one model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from samovar.config import Config, doc
from samovar.errors import ConfigError, InputError
from samovar.generation.mixin import GenerationMixin
from samovar.model import Model
from samovar.nn.cache import Cache
from samovar.nn.encoder_decoder import shifted_right
from samovar.nn.transformer import Backbone
from samovar.registry import backbone_class
from samovar.tasks import outputs
from samovar.tasks.losses import token_loss
from samovar.weights.names import NameTable, Table, bound, prefixed

PARTS = ("encoder", "decoder")
AS_DECODER = {"is_decoder": True, "add_cross_attention": True}


class EncoderDecoderConfig(Config):
    """The configurations of both parts."""

    model_type = "encoder-decoder"

    encoder: Any = doc(None, "The encoder's configuration; None: BERT's.")
    decoder: Any = doc(None, "The decoder's; None: BERT's, as a decoder.")
    is_encoder_decoder: bool = doc(True, "It has both parts.")
    pad_token_id: int | None = doc(None, "Token that fills up a batch.")
    decoder_start_token_id: int | None = doc(None, "Token that the decoder begins with.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.encoder = part_config(self.encoder, {})
        self.decoder = part_config(self.decoder, AS_DECODER)

    def to_dict(self) -> dict[str, Any]:
        """As of any configuration, with those of both parts inside."""
        parts = {name: getattr(self, name) for name in PARTS}
        try:
            self.encoder = self.decoder = None
            values = super().to_dict()
        finally:
            self.encoder, self.decoder = parts["encoder"], parts["decoder"]
        return values | {name: part.to_dict() for name, part in parts.items()}

    @classmethod
    def from_encoder_decoder_configs(cls, encoder_config: Config, decoder_config: Config, **kwargs: Any) -> Self:
        """The configuration of both parts together; the decoder's is made one that reads an encoder."""
        decoder_config.update(AS_DECODER)
        return cls(encoder=encoder_config.to_dict(), decoder=decoder_config.to_dict(), **kwargs)


def part_config(given: Config | Mapping[str, Any] | None, default: Mapping[str, Any]) -> Config:
    """The configuration of a part from what stands in a file."""
    if isinstance(given, Config):
        return given
    values = {"model_type": "bert", **default} if given is None else dict(given)
    if "model_type" not in values:
        raise ConfigError("The configuration of a part has no model_type.", "Add the key, such as 'bert'.")
    kind = backbone_class(values.pop("model_type")).config_class
    return kind.from_dict(values)


def part_class(config: Config, name: str) -> type[Model]:
    """The class of a part. Raises `ConfigError` for one that cannot be this part."""
    backbone = backbone_class(config.model_type)
    if name == "encoder":
        if "seq2seq-lm" in backbone.tasks:
            raise ConfigError(
                f"{config.model_type!r} has an encoder and a decoder already, so it cannot be the encoder here.",
                "Use one that only reads, such as bert, roberta or longformer.",
            )
        return backbone
    found = backbone.tasks.get("causal-lm")
    takes = found is not None and "encoder_hidden_states" in inspect.signature(found.forward).parameters
    if found is None or not takes or "add_cross_attention" not in config.__dataclass_fields__:
        raise ConfigError(
            f"{config.model_type!r} cannot be a decoder here: it builds no attention to an encoder.",
            "Use one that does, such as bert, roberta, electra, gpt2 or bart.",
        )
    return found


class EncoderDecoderModel(GenerationMixin, Backbone):
    """An encoder, and a decoder with its head, as one model that writes a text for a text."""

    config_class = EncoderDecoderConfig
    head_weights: ClassVar[Table] = {}
    task = "seq2seq-lm"

    def __init__(
        self, config: EncoderDecoderConfig | None = None, encoder: Model | None = None, decoder: Model | None = None
    ) -> None:
        if config is None:
            if encoder is None or decoder is None:
                raise ConfigError("Neither a configuration nor both parts were given.", "Give the one or the others.")
            config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config)
        super().__init__(config)
        self.made = [name for name, part in zip(PARTS, (encoder, decoder), strict=True) if part is None]
        self.encoder = part_class(config.encoder, "encoder")(config.encoder) if encoder is None else encoder
        self.decoder = part_class(config.decoder, "decoder")(config.decoder) if decoder is None else decoder
        config.encoder, config.decoder = self.encoder.config, self.decoder.config
        if getattr(config.decoder, "cross_attention_hidden_size", None) not in (None, config.decoder.hidden_size):
            raise ConfigError(
                "cross_attention_hidden_size: attention to states of another width is in no known checkpoint.",
                "Leave the key out; states of another width are projected once.",
            )
        wide, narrow = config.encoder.hidden_size, config.decoder.hidden_size
        self.enc_to_dec_proj = nn.Linear(wide, narrow) if wide != narrow else None

    @classmethod
    def name_table(cls, config: Config | None = None) -> NameTable:
        """The tables of both parts, each behind its name."""
        if config is None:
            return NameTable({})
        table: dict[str, Any] = {}
        for name in PARTS:
            part = getattr(config, name)
            table |= prefixed(bound(part_class(part, name).weights, part), name, name)
        return NameTable(table)

    @property
    def tied(self) -> Mapping[str, str]:
        """What is shared within each part."""
        return self.of_parts("tied")

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Those of both parts."""
        return self.of_parts("stand_ins")

    def initialise_weights(self, only: set[str] | None = None) -> None:
        """Each part by its own rules; parts that were given keep their weights."""
        for name in PARTS if only is not None else self.made:
            inside = None if only is None else {one.removeprefix(f"{name}.") for one in only if one.startswith(name)}
            getattr(self, name).initialise_weights(inside)
        if self.enc_to_dec_proj is not None and (only is None or any(one.startswith("enc_to_dec") for one in only)):
            nn.init.normal_(self.enc_to_dec_proj.weight, std=self.config.initializer_range)
            nn.init.zeros_(self.enc_to_dec_proj.bias)

    def of_parts(self, what: str) -> dict[str, str]:
        """A mapping between parameters of both parts, by their names in the whole."""
        pairs = [(name, getattr(getattr(self, name), what)) for name in PARTS]
        return {f"{part}.{name}": f"{part}.{source}" for part, found in pairs for name, source in found.items()}

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """In both parts."""
        for name in PARTS:
            getattr(self, name).gradient_checkpointing_enable(gradient_checkpointing_kwargs)

    def gradient_checkpointing_disable(self) -> None:
        """In both parts."""
        for name in PARTS:
            getattr(self, name).gradient_checkpointing_disable()

    def get_encoder(self) -> Model:
        """The part that reads the source."""
        return self.encoder

    def get_decoder(self) -> Model:
        """The part that writes."""
        return self.decoder

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's words."""
        return self.encoder.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """The decoder's projection to the vocabulary."""
        return self.decoder.get_output_embeddings()  # type: ignore[operator]

    def resize_token_embeddings(self, new_num_tokens: int | None = None) -> nn.Embedding:
        """Refused: the parts have vocabularies of their own."""
        raise InputError(
            "Encoder and decoder have vocabularies of their own.",
            "Call model.encoder.resize_token_embeddings or model.decoder.resize_token_embeddings.",
        )

    def new_cache(self, limit: int | None = None) -> Cache:
        """An empty cache, with room for at most `limit` tokens of the target."""
        return self.decoder.new_cache(limit)  # type: ignore[operator]

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to write these labels. Raises `ConfigError` without the tokens that this needs."""
        for name in ("decoder_start_token_id", "pad_token_id"):
            if getattr(self.config, name) is None:
                raise ConfigError(
                    f"{name} is not set, so labels say not what the decoder reads.", f"Set config.{name}."
                )
        return shifted_right(self.config, labels)

    @classmethod
    def from_encoder_decoder_pretrained(
        cls,
        encoder_pretrained_model_name_or_path: str | Path | None = None,
        decoder_pretrained_model_name_or_path: str | Path | None = None,
        **kwargs: Any,
    ) -> Self:
        """One model of two checkpoints; the decoder's attention to the encoder starts anew, to be trained.

        Keyword arguments that begin with `encoder_` or `decoder_` go to that part (`encoder_model` is a model in its
        place), the others to the configuration. Raises what `from_pretrained` of the parts does.
        """
        from samovar.auto import AutoConfig, AutoModel, AutoModelForCausalLM

        given = dict(
            zip(PARTS, (encoder_pretrained_model_name_or_path, decoder_pretrained_model_name_or_path), strict=True)
        )
        made: dict[str, Any] = {}
        for name, auto in (("encoder", AutoModel), ("decoder", AutoModelForCausalLM)):
            options = {
                key.removeprefix(f"{name}_"): kwargs.pop(key) for key in list(kwargs) if key.startswith(f"{name}_")
            }
            model, path = options.pop("model", None), given[name]
            if model is None:
                if path is None:
                    step = f"Give {name}_pretrained_model_name_or_path or {name}_model."
                    raise InputError(f"There is no {name}.", step)
                config = options.pop("config", None) or AutoConfig.from_pretrained(path)
                roles = AS_DECODER if name == "decoder" else dict.fromkeys(AS_DECODER, False)
                known = config.to_dict()
                config.update({key: value for key, value in roles.items() if name == "decoder" or key in known})
                part_class(config, name)
                model = auto.from_pretrained(path, config=config, **options)
            made[name] = model
        config = EncoderDecoderConfig.from_encoder_decoder_configs(
            made["encoder"].config, made["decoder"].config, **kwargs
        )
        return cls(config, **made).eval()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """Source and target ids → logits (batch, target, vocabulary), and the loss when `labels` are given.

        `encoder_outputs` of an earlier call stand in place of the source. Raises `InputError` without a target.
        """
        attentions, states, as_dict = self.switches(output_attentions, output_hidden_states, return_dict)
        shown = {"output_attentions": attentions, "output_hidden_states": states, "return_dict": True}
        if encoder_outputs is None:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            encoder_outputs = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **types, **shown
            )
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            if decoder_attention_mask is None:
                decoder_attention_mask = (decoder_input_ids != self.config.pad_token_id).long()
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise InputError("The decoder has nothing to read.", "Give decoder_input_ids, or labels.")
        memory = encoder_outputs[0]
        out = self.decoder(
            input_ids=decoder_input_ids, attention_mask=decoder_attention_mask, inputs_embeds=decoder_inputs_embeds,
            encoder_hidden_states=memory if self.enc_to_dec_proj is None else self.enc_to_dec_proj(memory),
            encoder_attention_mask=attention_mask, past_key_values=past_key_values,
            use_cache=False if labels is not None and past_key_values is None else use_cache, **shown,
        )  # fmt: skip
        output = outputs.Seq2SeqLMOutput(
            loss=None if labels is None else token_loss(out.logits, labels),
            logits=out.logits,
            past_key_values=out.past_key_values,
            decoder_hidden_states=out.hidden_states,
            decoder_attentions=out.attentions,
            cross_attentions=out.get("cross_attentions"),
            encoder_last_hidden_state=memory,
            encoder_hidden_states=getattr(encoder_outputs, "hidden_states", None),
            encoder_attentions=getattr(encoder_outputs, "attentions", None),
        )
        return output if as_dict else output.to_tuple()


EncoderDecoderModel.tasks["seq2seq-lm"] = EncoderDecoderModel
