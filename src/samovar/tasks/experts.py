"""Text written by a mixture of experts: what the routers said, and a loss that keeps experts in even use."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.nn.cache import Cache
from samovar.nn.experts import balance_loss, router_logits
from samovar.nn.transformer import TextTransformer
from samovar.tasks import outputs, text


class ExpertTransformer(TextTransformer):
    """A backbone whose blocks have experts; gives what their routers say when asked."""

    def forward(self, *args: Any, output_router_logits: bool | None = None, **kwargs: Any) -> Any:
        """As `TextTransformer.forward`; `output_router_logits` adds `router_logits`, (tokens, experts) per block."""
        wanted = self.config.output_router_logits if output_router_logits is None else output_router_logits
        if not wanted:
            return super().forward(*args, **kwargs)
        # `return_dict` is the eighth of the inputs that may come without a name.
        named = kwargs.pop("return_dict", None)
        given, return_dict = args[:7], args[7] if len(args) > 7 else named
        with router_logits(self) as found:
            out: Any = super().forward(*given, **(kwargs | {"return_dict": True}))
        fields = {name: out[name] for name in out if name != "pooler_output"}
        output = outputs.MoeModelOutput(**fields, router_logits=tuple(found))
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()


class ExpertCausalLM(text.CausalLM):
    """The next token at each position, from a mixture of experts."""

    def forward(  # type: ignore[override]  # No mixture of experts reads an encoder.
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        output_router_logits: bool | None = None,
    ) -> Any:
        """As `CausalLM.forward`; with `output_router_logits` the loss holds the routers' share, `aux_loss`."""
        *switches, as_dict = self.backbone.switches(output_attentions, output_hidden_states, return_dict)
        out = self.backbone(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, *switches, return_dict=True,
            past_key_values=past_key_values, use_cache=use_cache, output_router_logits=output_router_logits,
        )  # fmt: skip
        if logits_to_keep:
            out["last_hidden_state"] = out.last_hidden_state[:, -logits_to_keep:]
        logits = self.head(out, input_ids)
        loss = None if labels is None else self.loss(logits, labels, attention_mask)
        routers = out.get("router_logits")
        uneven = None
        if routers is not None:
            mask = attention_mask if attention_mask is not None and attention_mask.numel() == len(routers[0]) else None
            uneven = balance_loss(routers, self.config.num_experts_per_tok, mask)
            loss = None if loss is None else loss + self.config.router_aux_loss_coef * uneven
        output = outputs.MoeCausalLMOutput(
            loss=loss, aux_loss=uneven, logits=logits, past_key_values=out.past_key_values,
            hidden_states=out.hidden_states, attentions=out.attentions, router_logits=routers,
        )  # fmt: skip
        return output if as_dict else output.to_tuple()
