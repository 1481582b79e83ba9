"""The prompt of a call: ids, masks and encoder outputs, checked and completed from what the caller gave."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.generation.config import DEFAULTS, GenerationConfig
from samovar.tasks.outputs import BaseModelOutput

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Prompt:
    """What a model reads before it writes; all tensors have one row per text."""

    ids: Tensor  # (rows, length): what is continued; of an encoder–decoder, the decoder's ids
    mask: Tensor | None  # (rows, length), 0 on padding of `ids`; None: no padding
    encoder_ids: Tensor | None = None
    encoder_mask: Tensor | None = None
    encoder_outputs: Any = None
    embeds: Tensor | None = None  # (rows, length, hidden): what a decoder reads in place of `ids`
    further: dict[str, Any] = dataclasses.field(default_factory=dict)  # other arguments of the model's forward

    @property
    def length(self) -> int:
        """How many tokens the model that writes has read before it writes."""
        return self.ids.shape[1] if self.embeds is None else self.embeds.shape[1]

    def expanded(self, count: int) -> Prompt:
        """Every row `count` times, copies side by side."""
        return self if count == 1 else self.changed(lambda tensor: tensor.repeat_interleave(count, dim=0))

    def selected(self, rows: Tensor) -> Prompt:
        """These rows alone."""
        return self.changed(lambda tensor: tensor[rows])

    def changed(self, change: Callable[[Tensor], Tensor]) -> Prompt:
        """The prompt with every tensor changed."""
        whole = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Prompt(**{name: each_tensor(one, change) for name, one in whole.items()})


def each_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, or the tensors in a mapping, an output or a tuple, changed; numbers and caches as they are."""
    if isinstance(value, Tensor):
        return change(value) if value.ndim else value
    if isinstance(value, Mapping):
        changed = {key: each_tensor(one, change) for key, one in value.items()}
        return changed if type(value) is dict else type(value)(**changed)
    if isinstance(value, tuple):
        return tuple(each_tensor(one, change) for one in value)
    return value


def read_prompt(model: Any, inputs: Any, given: dict[str, Any], config: GenerationConfig) -> Prompt:
    """The prompt in `inputs` and the keyword arguments `given`, on the model's device.

    Raises `InputTypeError` for what is no tensor of ids, `InputError` for an empty prompt, a mask of another shape,
    or arguments that the model does not take.
    """
    given = {name: value for name, value in given.items() if value is not None}
    encoder_decoder = bool(getattr(model.config, "is_encoder_decoder", False))
    check_arguments(model, given, encoder_decoder)
    if inputs is not None and "input_ids" in given:
        raise InputError("The prompt was given twice, as inputs and as input_ids.", "Give one of them.")
    ids = given.pop("input_ids", None) if inputs is None else inputs
    mask = given.pop("attention_mask", None)
    placed = {name: value.to(model.device) if isinstance(value, Tensor) else value for name, value in given.items()}
    if encoder_decoder:
        return encoder_decoder_prompt(model, ids, mask, placed, config)
    embeds = placed.pop("inputs_embeds", None)
    if embeds is not None:
        return embedded_prompt(model, ids, embeds, mask, placed, config)
    ids = start(model, config) if ids is None else checked_ids(ids, model)
    return Prompt(ids, checked_mask(mask, ids, config), further=placed)


def embedded_prompt(
    model: Any, ids: Any, embeds: Tensor, mask: Tensor | None, given: dict[str, Any], config: GenerationConfig
) -> Prompt:
    """A decoder's prompt of vectors; ids beside them are returned and seen by processors, not by the model."""
    if embeds.ndim != 3 or embeds.shape[0] == 0 or embeds.shape[1] == 0:
        raise InputError(
            f"inputs_embeds have the shape {tuple(embeds.shape)}; (rows, length, hidden) is expected, none of them 0.",
            "Use model.get_input_embeddings()(input_ids).",
        )
    shape = embeds.shape[:2]
    read = torch.full(shape, -1, device=model.device)
    mask = None if mask is None else checked_mask(mask, read, config)
    text = (
        torch.zeros(len(embeds), 0, dtype=torch.long, device=model.device) if ids is None else checked_ids(ids, model)
    )
    return Prompt(text, mask, embeds=embeds, further=given)


def check_arguments(model: Any, given: Mapping[str, Any], encoder_decoder: bool) -> None:
    """Raise `InputError` for arguments that neither decoding nor the model knows; most are misspelt."""
    taken = set(inspect.signature(model.forward).parameters)
    if encoder_decoder:
        taken |= set(inspect.signature(model.get_encoder().forward).parameters)
    unknown = [name for name in given if name not in taken | {"attention_mask", "input_ids"}]
    if unknown:
        hint = did_you_mean(unknown[0], [*DEFAULTS, *taken])
        raise InputError(f"generate and {type(model).__name__} take no {', '.join(unknown)}.", hint or "Leave it out.")


def start(model: Any, config: GenerationConfig) -> Tensor:
    """A prompt of the beginning-of-text token alone."""
    if config.bos_token_id is None:
        raise InputError(
            "No prompt was given, and this model has no beginning-of-text token to start from.",
            "Pass input_ids, or set bos_token_id.",
        )
    return torch.full((1, 1), config.bos_token_id, device=model.device)


def checked_ids(ids: Any, model: Any) -> Tensor:
    """Ids (rows, length) on the model's device."""
    if isinstance(ids, Mapping):
        raise InputTypeError(
            f"Ids expected, got {type(ids).__name__} with {', '.join(map(str, ids))}.",
            "Unpack the tokenizer's output: model.generate(**inputs).",
        )
    if not isinstance(ids, Tensor):
        raise InputTypeError(
            f"A tensor of ids expected, got {type(ids).__name__}.", 'Tokenize with return_tensors="pt".'
        )
    if ids.ndim != 2:
        raise InputError(
            f"Ids have the shape {tuple(ids.shape)}; (rows, length) is expected.", "Use ids[None] for a single text."
        )
    if ids.shape[0] == 0 or ids.shape[1] == 0:
        raise InputError(
            f"The prompt is empty: ids have the shape {tuple(ids.shape)}.",
            "Give at least one token; leave input_ids out to start from the beginning-of-text token.",
        )
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise InputTypeError(f"Ids must be whole numbers, got {ids.dtype}.", "Give the tokenizer's input_ids.")
    return ids.to(model.device, torch.long)


def checked_mask(mask: Tensor | None, ids: Tensor, config: GenerationConfig) -> Tensor | None:
    """The mask of a causal prompt (rows, length); None where nothing is padding.

    Without one, padding tokens are padding, unless they also end texts: then they may well be meant.
    """
    if mask is None:
        ends = end_tokens(config)
        if config.pad_token_id is None or config.pad_token_id in ends:
            if len(ids) > 1 and config.pad_token_id is not None and bool((ids[:, 0] == config.pad_token_id).any()):
                logger.warning("Texts begin with the padding token, and no attention_mask says if it is padding.")
            return None
        mask = (ids != config.pad_token_id).long()
        if not bool(mask.any(-1).all()):
            return None
    else:
        if not isinstance(mask, Tensor) or mask.shape != ids.shape:
            shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
            raise InputError(
                f"attention_mask is {shape}, input_ids are {tuple(ids.shape)}.", "Give the tokenizer's mask."
            )
        mask = (mask != 0).long().to(ids.device)
        empty = (~mask.bool().any(-1)).nonzero().flatten().tolist()
        if empty:
            raise InputError(f"The prompt is empty in the rows {empty}: the mask is 0 everywhere.", "Leave them out.")
    if bool((mask[:, -1] == 0).any()):
        logger.warning(
            "Texts are padded on the right, so this model continues padding. Set tokenizer.padding_side = 'left'."
        )
    return None if bool(mask.all()) else mask


def end_tokens(config: GenerationConfig) -> list[int]:
    """The ids that end a text; files may hold -1 for none."""
    ends = config.eos_token_id
    return [one for one in ([] if ends is None else [ends] if isinstance(ends, int) else ends) if one >= 0]


def encoder_decoder_prompt(
    model: Any, ids: Any, mask: Tensor | None, given: dict[str, Any], config: GenerationConfig
) -> Prompt:
    """The encoder's output and the decoder's first ids."""
    outputs = given.pop("encoder_outputs", None)
    if isinstance(outputs, tuple):
        outputs = BaseModelOutput(last_hidden_state=outputs[0])
    embeds = given.pop("inputs_embeds", None)
    if outputs is None:
        encoder = model.get_encoder()
        if embeds is None:
            ids = start(model, config) if ids is None else checked_ids(ids, model)
            if mask is None and config.pad_token_id is not None and config.pad_token_id not in end_tokens(config):
                mask = (ids != config.pad_token_id).long()
        source = {"input_ids": ids} if embeds is None else {"inputs_embeds": embeds}
        parameters = inspect.signature(encoder.forward).parameters.values()
        all_names = any(one.kind is one.VAR_KEYWORD for one in parameters)
        accepted = {one.name for one in parameters}
        wanted = {"output_attentions": config.output_attentions, "output_hidden_states": config.output_hidden_states}
        options = {name: value for name, value in wanted.items() if value and (all_names or name in accepted)}
        mask = None if mask is None else mask.to(model.device)
        outputs = encoder(**source, attention_mask=mask, return_dict=True, **options)
    rows = outputs.last_hidden_state.shape[0]
    first = given.pop("decoder_input_ids", None)
    decoder_mask = given.pop("decoder_attention_mask", None)
    begins = decoder_start(config, rows, model.device)
    if first is None:
        first = begins
    else:
        first = checked_ids(first, model)
        if bool((first[:, 0] != begins[:, 0]).all()):
            first = torch.cat([begins, first], dim=1)
            if decoder_mask is not None:
                decoder_mask = torch.cat([torch.ones_like(decoder_mask[:, :1]), decoder_mask], dim=1)
    return Prompt(
        first,
        None if decoder_mask is None or bool(decoder_mask.all()) else decoder_mask.long(),
        encoder_ids=ids if isinstance(ids, Tensor) else None,
        encoder_mask=None if mask is None else mask.to(model.device),
        encoder_outputs=outputs,
        further=given,
    )


def decoder_start(config: GenerationConfig, rows: int, device: torch.device) -> Tensor:
    """The token that every decoder text starts with, (rows, 1)."""
    token = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
    if token is None:
        raise InputError(
            "The decoder has no token to start from.", "Set decoder_start_token_id, or pass decoder_input_ids."
        )
    tokens = torch.as_tensor(token, device=device).reshape(-1)
    if len(tokens) not in (1, rows):
        raise InputError(f"decoder_start_token_id has {len(tokens)} tokens for {rows} texts.", "Give one per text.")
    return tokens.expand(rows)[:, None] if len(tokens) == 1 else tokens[:, None]
