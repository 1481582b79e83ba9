"""Rotary positions: queries and keys are turned by angles that grow with the position (Su et al. 2021, RoFormer)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samovar.config import Config
from samovar.nn.rope_kinds import BY_LENGTH, ROPE_KINDS, Settings, rope_settings

# Cosines and signed sines, (batch or 1, 1, sequence, dim) each: computed once per call and shared by all layers.
Rotation = tuple[Tensor, Tensor]


class Rotary(nn.Module):
    """Angles of positions for one kind of layer, as the configuration's `rope_parameters` say."""

    def __init__(
        self,
        config: Config,
        layer_kind: str = "full_attention",
        theta: float = 10_000.0,
        given: Settings | None = None,
    ) -> None:
        super().__init__()
        self.settings = rope_settings(config, layer_kind, theta, given)
        self.kind = self.settings["rope_type"]
        # Up to this length the frequencies are the same for all texts.
        self.short = self.settings["longest" if self.kind == "dynamic" else "original"]
        # Frequencies are no weights: they are known on the CPU even where the model is built without memory.
        with torch.device("cpu"), torch.inference_mode(False):
            self.plain = ROPE_KINDS[self.kind](self.settings, 0)
        self.known: dict[torch.device, Tensor] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "known": {}}

    def frequencies(self, position_ids: Tensor, length: int | None) -> tuple[Tensor, float]:
        """Radians per position (dim / 2,), or those of each text (batch, 1, 1, dim / 2), and the factor of all."""
        device = position_ids.device
        if self.kind in BY_LENGTH:
            # Each text by its own length: an answer is the same in any batch.
            lengths = (position_ids.amax(-1) + 1).tolist() if length is None else [length]
            if max(lengths) > self.short:
                made = {one: ROPE_KINDS[self.kind](self.settings, one) for one in set(lengths)}
                turns = torch.stack([made[one][0] for one in lengths])[:, None, None]
                return turns.to(device), made[lengths[0]][1]
        turns, scale = self.plain
        if device.type == "cpu" or torch.compiler.is_compiling():
            return turns.to(device), scale
        if device not in self.known:
            with torch.inference_mode(False):
                self.known[device] = turns.to(device)
        return self.known[device], scale

    def forward(self, position_ids: Tensor, dtype: torch.dtype, length: int | None = None) -> Rotation:
        """Positions (batch or 1, sequence) → cosines and signed sines; `length` is the largest position and one more.

        Angles are computed in float32 whatever the model's type.
        """
        turns, scale = self.frequencies(position_ids, length)
        with torch.autocast(position_ids.device.type, enabled=False):
            angles = position_ids[:, None, :, None].float() * turns
            cos, sin = angles.cos() * scale, angles.sin() * scale
        return torch.cat([cos, cos], dim=-1).to(dtype), torch.cat([-sin, sin], dim=-1).to(dtype)


def turning_point(model: nn.Module) -> int | None:
    """The length beyond which all positions of a text turn otherwise (LongRoPE), so that keys cached before are wrong.

    Dynamic rotations change with every further token; keys keep the turns of the length at which they were read, as
    everywhere in the field.
    """
    kinds = [module for module in model.modules() if isinstance(module, Rotary)]
    return min((one.short for one in kinds if one.kind == "longrope"), default=None)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn (batch, heads, sequence, head_dim): channel i and channel i + dim / 2 are a pair.

    Channels beyond the rotation's `dim` stay as they are.
    """
    cos, sin = rotation
    width = cos.shape[-1]
    if width == x.shape[-1]:
        return torch.addcmul(x * cos, x.roll(width // 2, -1), sin)
    turned = x[..., :width]
    return torch.cat([torch.addcmul(turned * cos, turned.roll(width // 2, -1), sin), x[..., width:]], dim=-1)
