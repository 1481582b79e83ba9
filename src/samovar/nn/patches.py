"""Images as tokens: patches, the learned tokens that stand among them, and their positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError, InputError

Size = int | list[int] | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """(height, width); one number stands for both."""
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ConfigError(f"A size is one number or two, got {size!r}.", "Write [height, width].")
    return size[0], size[1]


class PatchEmbeddings(nn.Module):
    """Cuts an image into patches and projects each to a vector (Dosovitskiy et al. 2021, section 3.1).

    The weight has the shape of a convolution whose stride is its kernel size, as checkpoints store it, but is applied
    as one matrix product over unfolded patches: the same sums, and faster on CPU at any batch size. Rows and columns
    that fill no whole patch are left out, as the convolution would.
    """

    def __init__(self, channels: int, hidden: int, patch_size: Size) -> None:
        super().__init__()
        self.patch_size = pair(patch_size)
        self.projection = nn.Conv2d(channels, hidden, self.patch_size, self.patch_size)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """How many patches stand below and beside each other in an image of this size."""
        return height // self.patch_size[0], width // self.patch_size[1]

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, rows · columns, hidden), row by row."""
        (tall, wide), (rows, columns) = self.patch_size, self.grid(*pixel_values.shape[-2:])
        cut = pixel_values[:, :, : rows * tall, : columns * wide]
        cells = cut.unflatten(3, (columns, wide)).unflatten(2, (rows, tall))
        patches = cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return F.linear(patches, self.projection.weight.flatten(1), self.projection.bias)


def resize_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Positions (1, leading + old rows · columns, hidden) for another grid of patches, by bicubic interpolation.

    What leads (class and distillation tokens) stays as it is. Computed in float32: half precision would shift them.
    """
    leading = positions.shape[1] - old[0] * old[1]
    grid = positions[:, leading:].unflatten(1, old).permute(0, 3, 1, 2)
    resized = F.interpolate(grid.float(), size=new, mode="bicubic", align_corners=False).to(positions.dtype)
    return torch.cat([positions[:, :leading], resized.flatten(2).transpose(1, 2)], dim=1)


class ImageEmbeddings(nn.Module):
    """`[class, distillation?, patch, …] + position`.

    ::

        pixels ─ patch_embeddings ─ (masked ones ← mask_token) ─┐
        cls_token, distillation_token ──────────────────────────┴─ + position_embeddings ─ dropout ─▶

    `distillation` adds the second leading token (Touvron et al. 2021, DeiT), `mask` the one that replaces hidden
    patches (Bao et al. 2022). `any_size` resizes the positions for images of every size without being asked to.
    """

    def __init__(
        self,
        image_size: Size,
        patch_size: Size,
        channels: int,
        hidden: int,
        *,
        distillation: bool = False,
        mask: bool = False,
        any_size: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_size = pair(image_size)
        self.any_size = any_size
        self.patch_embeddings = PatchEmbeddings(channels, hidden, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, hidden)) if distillation else None
        self.mask_token = nn.Parameter(torch.zeros(1, 1, hidden)) if mask else None
        rows, columns = self.patch_embeddings.grid(*self.image_size)
        count = 1 + distillation + rows * columns
        self.position_embeddings = nn.Parameter(torch.zeros(1, count, hidden))
        self.dropout = nn.Dropout(dropout)

    def positions(self, height: int, width: int, interpolate: bool) -> Tensor:
        """Positions for an image of this size. Raises `InputError` for another size than the model's, unless asked."""
        if not (interpolate or self.any_size) and (height, width) != self.image_size:
            raise InputError(
                f"The image is {height}×{width} pixels (height×width); this model reads "
                f"{self.image_size[0]}×{self.image_size[1]}.",
                "Use the checkpoint's image processor, or pass interpolate_pos_encoding=True.",
            )
        old, new = self.patch_embeddings.grid(*self.image_size), self.patch_embeddings.grid(height, width)
        return self.position_embeddings if old == new else resize_positions(self.position_embeddings, old, new)

    def forward(self, pixel_values: Tensor, bool_masked_pos: Tensor | None = None, interpolate: bool = False) -> Tensor:
        """(batch, channels, height, width) → (batch, leading + patches, hidden).

        `bool_masked_pos` (batch, patches) is true where the mask token takes a patch's place.
        """
        height, width = pixel_values.shape[-2:]
        positions = self.positions(height, width, interpolate)
        patches = self.patch_embeddings(pixel_values)
        if bool_masked_pos is not None:
            if self.mask_token is None:
                raise InputError("bool_masked_pos was given, but this model has no mask token.", "Leave it out.")
            patches = torch.where(bool_masked_pos.bool()[..., None], self.mask_token, patches)
        leading = [token for token in (self.cls_token, self.distillation_token) if token is not None]
        tokens = torch.cat([*(token.expand(patches.shape[0], -1, -1) for token in leading), patches], dim=1)
        return self.dropout(tokens + positions)
