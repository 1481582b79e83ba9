"""Vision bricks against the formula that each stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.architectures.convnext import ConvNextConfig, ConvNextModel
from samovar.architectures.dinov2 import Dinov2Config, Dinov2Model
from samovar.architectures.resnet import ResNetConfig, ResNetModel
from samovar.architectures.vit import ViTConfig, ViTModel
from samovar.errors import ConfigError, InputError, InputTypeError
from samovar.nn.conv import ConvNorm, DepthwiseBlock, Residual
from samovar.nn.mlp import GatedMLP, PackedGatedMLP
from samovar.nn.norm import layer_norm
from samovar.nn.patches import ImageEmbeddings, PatchEmbeddings, pair, resize_positions

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 12,
    "patch_size": 4,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


@pytest.mark.parametrize(("size", "patch"), [((12, 12), 4), ((15, 30), 4), ((14, 9), [3, 2])])
def test_patches_are_a_convolution_with_its_kernel_as_stride(size: tuple[int, int], patch: int | list[int]) -> None:
    brick = PatchEmbeddings(3, 8, patch)
    pixels = torch.randn(2, 3, *size)
    expected = brick.projection(pixels).flatten(2).transpose(1, 2)
    torch.testing.assert_close(brick(pixels), expected, atol=1e-5, rtol=0)


def test_a_size_of_three_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="one number or two"):
        pair([1, 2, 3])


def test_resized_positions_keep_what_leads_and_the_direction_of_rows() -> None:
    rows = torch.arange(4.0)[:, None].expand(4, 5).reshape(1, 20, 1)
    positions = torch.cat([torch.full((1, 2, 1), 9.0), rows], dim=1)
    resized = resize_positions(positions, (4, 5), (8, 3))
    assert resized.shape == (1, 2 + 24, 1)
    assert resized[0, :2, 0].tolist() == [9.0, 9.0]
    grid = resized[0, 2:, 0].view(8, 3)
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 3))
    assert (grid[1:, 0] > grid[:-1, 0]).all()


def test_resizing_in_half_precision_is_computed_in_full() -> None:
    positions = torch.randn(1, 1 + 9, 8).half()
    expected = resize_positions(positions.float(), (3, 3), (5, 4)).half()
    assert torch.equal(resize_positions(positions, (3, 3), (5, 4)), expected)


def test_embeddings_put_the_leading_tokens_first_and_add_positions() -> None:
    brick = ImageEmbeddings(8, 4, 3, 6, distillation=True)
    randomise(brick)
    pixels = torch.randn(2, 3, 8, 8)
    tokens = brick(pixels) - brick.position_embeddings
    torch.testing.assert_close(tokens[:, :1], brick.cls_token.expand(2, -1, -1))
    assert brick.distillation_token is not None
    torch.testing.assert_close(tokens[:, 1:2], brick.distillation_token.expand(2, -1, -1))
    torch.testing.assert_close(tokens[:, 2:], brick.patch_embeddings(pixels), atol=1e-5, rtol=0)


def test_masked_patches_become_the_mask_token() -> None:
    brick = ImageEmbeddings(8, 4, 3, 6, mask=True)
    randomise(brick)
    pixels, mask = torch.randn(2, 3, 8, 8), torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0]])
    plain, masked = brick(pixels), brick(pixels, mask)
    assert torch.equal(plain[1], masked[1])
    assert torch.equal(plain[0, [0, 2, 3]], masked[0, [0, 2, 3]])
    assert brick.mask_token is not None
    torch.testing.assert_close(masked[0, 1], brick.mask_token[0, 0] + brick.position_embeddings[0, 1])


def test_masking_without_a_mask_token_is_refused() -> None:
    with pytest.raises(InputError, match="no mask token"):
        ImageEmbeddings(8, 4, 3, 6)(torch.randn(1, 3, 8, 8), torch.ones(1, 4))


def test_another_image_size_is_refused_unless_positions_may_be_resized() -> None:
    pixels = torch.randn(1, 3, 8, 12)
    strict = ImageEmbeddings(8, 4, 3, 6)
    with pytest.raises(InputError, match=r"8×12 pixels.*8×8") as caught:
        strict(pixels)
    assert "interpolate_pos_encoding=True" in caught.value.next_step
    assert strict(pixels, interpolate=True).shape == (1, 7, 6)
    assert ImageEmbeddings(8, 4, 3, 6, any_size=True)(pixels).shape == (1, 7, 6)


@pytest.mark.parametrize(
    ("pixels", "error"),
    [
        (None, InputTypeError),
        ([[1.0]], InputTypeError),
        (torch.zeros(3, 12, 12), InputError),
        (torch.zeros(1, 1, 12, 12), InputError),
    ],
)
def test_what_is_no_batch_of_images_is_refused(pixels: object, error: type[Exception]) -> None:
    for model in (ViTModel(ViTConfig(**TINY)), ResNetModel(ResNetConfig(hidden_sizes=[8], depths=[1]))):
        with pytest.raises(error, match="pixel_values"):
            model(pixels)


def test_pixels_take_the_type_of_the_weights() -> None:
    model = ViTModel(ViTConfig(**TINY)).to(torch.bfloat16).eval()
    pixels = torch.randint(0, 255, (1, 3, 12, 12), dtype=torch.uint8)
    assert model(pixels).last_hidden_state.dtype == torch.bfloat16


def test_the_last_hidden_state_is_normalised_and_the_residual_stream_is_not() -> None:
    model = ViTModel(ViTConfig(**TINY)).eval()
    out = model(torch.randn(2, 3, 12, 12), output_hidden_states=True, output_attentions=True)
    assert list(out) == ["last_hidden_state", "pooler_output", "hidden_states", "attentions"]
    assert torch.equal(model.norm(out.hidden_states[-1]), out.last_hidden_state)
    assert len(out.hidden_states) == 3
    assert [tuple(a.shape) for a in out.attentions] == [(2, 2, 10, 10)] * 2


def test_checkpointing_changes_no_gradient() -> None:
    model = Dinov2Model(Dinov2Config(**TINY)).train()
    pixels, gradients = torch.randn(2, 3, 12, 12), []
    for enabled in (False, True):
        model.gradient_checkpointing = enabled
        model.zero_grad()
        model(pixels).last_hidden_state.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(model.parameters())) - 1  # all but the unused mask token
    torch.testing.assert_close(gradients[0], gradients[1])


def test_packed_gates_are_gates() -> None:
    packed, plain = PackedGatedMLP(6, 10, "silu"), GatedMLP(6, 10, "silu")
    randomise(packed)
    for name in ("weight", "bias"):
        gate, up = getattr(packed.in_proj, name).data.chunk(2)
        getattr(plain.gate_proj, name).data = gate
        getattr(plain.up_proj, name).data = up
        getattr(plain.down_proj, name).data = getattr(packed.out_proj, name).data
    x = torch.randn(3, 4, 6)
    torch.testing.assert_close(packed(x), plain(x))


@pytest.mark.parametrize(("kernel", "stride", "size"), [(1, 1, 9), (3, 2, 5), (7, 2, 5)])
def test_conv_norm_by_hand(kernel: int, stride: int, size: int) -> None:
    brick = ConvNorm(3, 4, kernel, stride=stride, act="relu").eval()
    norm = brick.normalization
    assert norm.running_mean is not None
    assert norm.running_var is not None
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    randomise(brick)
    x = torch.randn(2, 3, 9, 9)
    summed = F.conv2d(x, brick.convolution.weight, stride=stride, padding=kernel // 2)

    def column(values: Tensor) -> Tensor:
        return values[:, None, None]

    normed = (summed - column(norm.running_mean)) / column(norm.running_var + norm.eps).sqrt()
    expected = (normed * column(norm.weight) + column(norm.bias)).relu()
    assert brick(x).shape[-2:] == (size, size)
    torch.testing.assert_close(brick(x), expected, atol=1e-5, rtol=1e-5)


def test_a_residual_projects_only_where_the_shape_changes() -> None:
    x = torch.randn(2, 4, 8, 8)
    same = Residual([ConvNorm(4, 4, 3, act=None)], 4, 4, 1, "relu").eval()
    assert isinstance(same.shortcut, nn.Identity)
    torch.testing.assert_close(same(x), (same.layer(x) + x).relu())
    down = Residual([ConvNorm(4, 6, 3, stride=2, act=None)], 4, 6, 2, "relu").eval()
    torch.testing.assert_close(down(x), (down.layer(x) + down.shortcut(x)).relu())
    assert down(x).shape == (2, 6, 4, 4)


@pytest.mark.parametrize("layer_scale", [None, 0.3])
def test_depthwise_block_by_hand(layer_scale: float | None) -> None:
    block = DepthwiseBlock(6, "gelu", layer_norm(1e-6), layer_scale=layer_scale)
    x = torch.randn(2, 6, 9, 7)
    inner = F.conv2d(x, block.depthwise.weight, block.depthwise.bias, padding=3, groups=6)
    centred = inner - inner.mean(1, keepdim=True)
    inner = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    up, down = block.mlp.up_proj, block.mlp.down_proj
    inner = F.conv2d(F.gelu(F.conv2d(inner, up.weight[..., None, None], up.bias)), down.weight[..., None, None])
    inner = inner + (down.bias[:, None, None])
    torch.testing.assert_close(block(x), x + inner * (layer_scale or 1.0), atol=1e-5, rtol=1e-5)
    assert ("scale.weight" in dict(block.named_parameters())) == (layer_scale is not None)


def test_stages_halve_the_map_and_return_one_state_each() -> None:
    config = ConvNextConfig(num_stages=3, hidden_sizes=[8, 12, 16], depths=[1, 2, 1], drop_path_rate=0.3)
    model = ConvNextModel(config).eval()
    out = model(torch.randn(2, 3, 48, 32), output_hidden_states=True)
    assert [tuple(s.shape[1:]) for s in out.hidden_states] == [(8, 12, 8), (8, 12, 8), (12, 6, 4), (16, 3, 2)]
    assert out.pooler_output.shape == (2, 16)
    assert torch.equal(out.last_hidden_state, out.hidden_states[-1])
    rates = [module.drop_path.rate for module in model.modules() if isinstance(module, DepthwiseBlock)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_the_memory_layout_of_the_input_changes_nothing() -> None:
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[16, 24], depths=[1, 1])).eval()
    pixels = torch.randn(2, 3, 40, 40)
    plain = model(pixels).pooler_output
    assert torch.equal(plain, model(pixels.contiguous(memory_format=torch.channels_last)).pooler_output)
    features = model.stem(pixels)
    for stage in model.stages:
        features = stage(features)
    torch.testing.assert_close(plain[..., 0, 0], features.mean((2, 3)), atol=1e-5, rtol=1e-5)


def test_training_moves_the_batch_statistics() -> None:
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[16], depths=[1])).train()
    norm = model.stem[0].normalization  # type: ignore[index]
    model(torch.randn(4, 3, 32, 32))
    assert int(norm.num_batches_tracked) == 1
    assert float(norm.running_mean.abs().sum()) > 0


def test_convolutions_cannot_be_checkpointed_and_say_so() -> None:
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[16], depths=[1])).train()
    model.gradient_checkpointing_enable()
    with pytest.raises(ConfigError, match="convolutional"):
        model(torch.randn(2, 3, 32, 32))


def test_an_unknown_layer_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="layer_type"):
        ResNetModel(ResNetConfig(layer_type="wide"))
