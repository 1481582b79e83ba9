"""Bricks of convolutional networks: convolution with norm and activation, residual branches, stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from samovar.nn.activations import activation
from samovar.nn.block import DropPath, LayerScale
from samovar.nn.mlp import MLP
from samovar.nn.norm import NormFactory


class Convolution(nn.Conv2d):
    """A convolution whose new weights keep the variance through ReLUs (He et al. 2015)."""

    def initialise(self, name: str, tensor: Tensor) -> None:
        if name == "bias":
            nn.init.zeros_(tensor)
        else:
            nn.init.kaiming_normal_(tensor, mode="fan_out", nonlinearity="relu")


class ConvNorm(nn.Module):
    """Convolution without bias → batch norm (Ioffe & Szegedy 2015) → activation; `act=None` leaves the last out.

    Padded so that stride 1 keeps height and width.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, act: str | None = "relu") -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(outputs)
        self.act = activation(act or "linear")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) → (batch, outputs, height / stride, width / stride), rounded up."""
        return self.act(self.normalization(self.convolution(x)))


class Residual(nn.Module):
    """`act(layer(x) + shortcut(x))` (He et al. 2016): the shortcut is a projection where the shape changes."""

    def __init__(self, layers: Sequence[ConvNorm], inputs: int, outputs: int, stride: int, act: str) -> None:
        super().__init__()
        self.layer = nn.Sequential(*layers)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride=stride, act=None)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(x) + self.shortcut(x))


class DepthwiseBlock(nn.Module):
    """Depthwise 7×7 convolution, then an MLP over the channels of each pixel (Liu et al. 2022, ConvNeXt).

    ::

        x ─┬─ depthwise ─ norm ─ mlp ─ scale ─ + ─▶
           └───────────────────────────────────┘

    `layer_scale` is the branch's initial factor (None: no such layer), `drop_path` the rate of stochastic depth.
    """

    def __init__(
        self, channels: int, act: str, norm: NormFactory, *, layer_scale: float | None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = norm(channels)
        self.mlp = MLP(channels, 4 * channels, act)
        self.scale = nn.Identity() if layer_scale is None else LayerScale(channels, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) → the same shape."""
        # Channels last, where a pixel's channels are one row for the norm and the matrix products.
        branch = self.scale(self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1))))
        return x + self.drop_path(branch.permute(0, 3, 1, 2))


class Stage(nn.Module):
    """Layers at one resolution, after a step down to it where `downsample` says how."""

    def __init__(self, layers: Sequence[nn.Module], downsample: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.downsample = nn.Sequential(*downsample)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.downsample(x))


def stages(
    widths: Sequence[int], depths: Sequence[int], first_width: int, build: Callable[[int, int, int, int, int], Stage]
) -> nn.ModuleList:
    """A stage per width: `build(index, inputs, outputs, depth, layers before it)`."""
    inputs = [first_width, *widths[:-1]]
    return nn.ModuleList(
        build(index, inputs[index], width, depths[index], sum(depths[:index])) for index, width in enumerate(widths)
    )
