"""`GenerationMixin`: `generate`, for models whose forward gives the logits of the next token."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from samovar.config import SOURCE_OPTIONS, parse_config
from samovar.errors import ConfigError, InputError
from samovar.generation.beams import BeamSearch
from samovar.generation.config import GENERATION_FILE, GenerationConfig, layered
from samovar.generation.draws import Draws
from samovar.generation.guidance import UnbatchedClassifierFreeGuidanceLogitsProcessor
from samovar.generation.lengths import set_lengths, window
from samovar.generation.manager import ContinuousMixin
from samovar.generation.prompt import end_tokens, read_prompt
from samovar.generation.rules import build_criteria, build_processors
from samovar.generation.sampling import write
from samovar.generation.speculative import draft_for, write_drafted
from samovar.generation.steps import Steps
from samovar.generation.streamers import BaseStreamer
from samovar.generation.transitions import transition_scores
from samovar.generation.validation import check_supported
from samovar.hub.atomic import write_file
from samovar.hub.publish import shares
from samovar.nn.memory import keep_freed_memory
from samovar.nn.packed import packed_for_few_rows

logger = logging.getLogger(__name__)


class GenerationMixin(ContinuousMixin):
    """Adds `generate` and `generation_config` to a model; stands before the model's other bases.

    The model's forward returns `logits` (rows, tokens, vocabulary). To decode with a cache it takes `past_key_values`
    and `use_cache`, gives `past_key_values` back, and reads only the ids after those that the cache holds.
    """

    config: Any
    steps_class: ClassVar[type[Steps]] = Steps  # how the model is called for texts that grow

    @property
    def generation_config(self) -> GenerationConfig:
        """The model's own decoding options; read from its files, or else from its configuration."""
        found = self.__dict__.get("_generation_config")
        if found is None:
            # Only now: options that cannot be followed are no reason not to load a model.
            values = self.__dict__.get("_generation_values")
            made = GenerationConfig.from_model_config(self.config) if values is None else GenerationConfig(**values)
            found = self.__dict__["_generation_config"] = made
        return found

    @generation_config.setter
    def generation_config(self, value: GenerationConfig | None) -> None:
        self.__dict__.update(_generation_config=value, _generation_values=None)

    def can_generate(self) -> bool:
        """True: the model has `generate`."""
        return True

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Any:
        """As `Model.from_pretrained`; also reads `generation_config.json` where there is one."""
        from samovar.hub.source import Source

        where = {name: options[name] for name in SOURCE_OPTIONS if name in options}
        own = options.pop("generation_config", None)
        loaded = super().from_pretrained(pretrained_model_name_or_path, **options)  # type: ignore[misc]
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        path = None if own is not None else Source(pretrained_model_name_or_path, **where).file(GENERATION_FILE)
        model.generation_config = own
        model.__dict__["_generation_values"] = None if path is None else parse_config(path)
        return loaded

    @shares
    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """As `Model.save_pretrained`; also writes `generation_config.json`, unless only adapters are written."""
        super().save_pretrained(save_directory, **options)  # type: ignore[misc]
        if not getattr(self, "peft_config", None):
            self.save_generation_config(save_directory)

    def save_generation_config(self, save_directory: str | Path) -> None:
        """Write `generation_config.json`: as it was read, unless it was looked at since."""
        values = self.__dict__.get("_generation_values")
        if values is not None and self.__dict__["_generation_config"] is None:
            write_file(Path(save_directory) / GENERATION_FILE, json.dumps(values, indent=2, sort_keys=True) + "\n")
        else:
            self.generation_config.save_pretrained(save_directory)

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Sequence[Callable[..., Tensor]] | None = None,
        stopping_criteria: Sequence[Callable[..., Any]] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]] | None = None,
        synced_gpus: bool | None = None,
        assistant_model: Any = None,
        streamer: BaseStreamer | None = None,
        **kwargs: Any,
    ) -> Any:
        """Continue texts.

        `inputs` (or `input_ids`): ids (rows, length), padded on the left under an `attention_mask`; without any, the
        text starts from the beginning-of-text token. Of an encoder–decoder they are what the encoder reads, and
        `decoder_input_ids` may start the decoder's text. `inputs_embeds` (rows, length, hidden) may stand in place of
        ids: a decoder then returns only what it writes. Other keyword arguments are decoding options (the keys of
        `GenerationConfig`), or go to the model. `tokenizer` is needed with `stop_strings`.

        Returns ids (rows · num_return_sequences, length), with the prompt for a decoder; texts that ended earlier are
        filled up with the padding token. With `return_dict_in_generate=True` one of the `Generate…Output` types.

        `do_sample=True` draws tokens: repeatable by `seed=…` or `torch.manual_seed`, the same for a prompt alone and
        in any batch. `num_beams` above 1 searches. `assistant_model` and `prompt_lookup_num_tokens` draft several
        tokens that the model checks at once; the result is the one without them.

        Raises `InputError`, `InputTypeError` or `ConfigError` for what cannot be followed, and `NumericError` when no
        token can be chosen.
        """
        tokenizer = kwargs.pop("tokenizer", None)
        negative = {name: kwargs.pop(name, None) for name in ("negative_prompt_ids", "negative_prompt_attention_mask")}
        config, given, chosen = layered(self.generation_config, generation_config, kwargs)
        check_supported(config)
        guidance = self.guidance(config, *negative.values())
        self.check_strategy(config, streamer, assistant_model)
        # Tensors that nobody but this call sees need no bookkeeping for gradients, which is a tenth of a small step.
        alone = not config.return_dict_in_generate and "past_key_values" not in given
        alone = alone and logits_processor is None and stopping_criteria is None and prefix_allowed_tokens_fn is None
        if self.device.type == "cpu":  # type: ignore[attr-defined]
            keep_freed_memory()
        try:
            with torch.inference_mode() if alone else nullcontext():
                result = self.decode(
                    config,
                    chosen,
                    inputs,
                    given,
                    build=lambda prompt: build_processors(
                        config, prompt, logits_processor, prefix_allowed_tokens_fn, guidance
                    ),
                    criteria=stopping_criteria,
                    tokenizer=tokenizer,
                    assistant_model=assistant_model,
                    streamer=streamer,
                )
            return result.clone() if alone else result
        except BaseException as error:
            if streamer is not None and hasattr(streamer, "fail"):
                streamer.fail(error)
            raise

    def decode(
        self,
        config: GenerationConfig,
        chosen: frozenset[str],
        inputs: Tensor | None,
        given: dict[str, Any],
        build: Callable[..., Any],
        criteria: Sequence[Callable[..., Any]] | None,
        tokenizer: Any,
        assistant_model: Any,
        streamer: BaseStreamer | None,
    ) -> Any:
        """What `generate` does once its options are laid together."""
        prompt = read_prompt(self, inputs, given, config)
        ends = end_tokens(config)
        if config.pad_token_id is None and ends:
            config.pad_token_id = ends[0]
        encoder_decoder = prompt.encoder_outputs is not None
        set_lengths(config, chosen, prompt.length, *window(self), encoder_decoder)
        # From here on lengths count ids, of which a prompt of vectors has none.
        config.max_length -= prompt.length - prompt.ids.shape[1]
        config.min_length = max(config.min_length - (prompt.length - prompt.ids.shape[1]), 0)
        draws = None
        copies = max(config.num_beams, config.num_return_sequences)
        expanded = prompt.expanded(copies)
        if config.do_sample:
            draws = Draws(prompt if config.num_beams > 1 else expanded, config.seed, prompt.ids.device)
        processors, stops = build(expanded), build_criteria(config, criteria, tokenizer)
        steps = type(self).steps_class(self, prompt, config, copies)
        if streamer is not None:
            streamer.put(expanded.ids.cpu())
        rows, length = expanded.ids.shape
        with packed_for_few_rows(self, rows, config.max_length - length):  # type: ignore[arg-type]
            if config.num_beams > 1:
                return BeamSearch(steps, expanded.ids, processors, stops, config, draws).run()
            if assistant_model is not None or config.prompt_lookup_num_tokens is not None:
                draft = draft_for(self, assistant_model, expanded, config, processors, draws)
                result = write_drafted(steps, draft, expanded.ids, processors, stops, config, draws, streamer)
            else:
                result = write(steps, expanded.ids, processors, stops, config, draws, streamer)
        if streamer is not None:
            streamer.end()
        return result

    def guidance(self, config: GenerationConfig, other: Tensor | None, mask: Tensor | None) -> Any:
        """The processor for `guidance_scale`, where it is set."""
        if config.guidance_scale in (None, 1):
            return None
        # Beams change places, which a cache of its own would not follow.
        cached = config.use_cache and config.num_beams == 1
        if other is not None and config.num_return_sequences * config.num_beams > 1 and len(other) > 1:
            copies = max(config.num_return_sequences, config.num_beams)
            other = other.repeat_interleave(copies, dim=0)
            mask = None if mask is None else mask.repeat_interleave(copies, dim=0)
        return UnbatchedClassifierFreeGuidanceLogitsProcessor(config.guidance_scale, self, other, mask, cached)

    def check_strategy(self, config: GenerationConfig, streamer: Any, assistant_model: Any) -> None:
        """Raise for combinations that exclude each other, before anything is computed."""
        vocabulary = getattr(self.config, "vocab_size", None)
        if vocabulary is not None and config.num_beams > vocabulary:
            raise InputError(
                f"num_beams={config.num_beams} is more than the {vocabulary} tokens of the vocabulary.", "Use fewer."
            )
        if config.num_beams > 1 and (assistant_model is not None or config.prompt_lookup_num_tokens is not None):
            raise ConfigError("A draft is one text, and beams are several.", "Pass num_beams=1, or no draft.")
        if streamer is not None and config.num_beams > 1:
            raise ConfigError(
                "Beams are chosen at the end, so there is nothing to stream.", "Pass num_beams=1, or no streamer."
            )

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """The score of each written token (rows, new tokens), from `scores` and `beam_indices` of an output."""
        return transition_scores(sequences, scores, beam_indices, normalize_logits)
