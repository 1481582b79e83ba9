"""Products in whole numbers: as near as is said, whatever a row holds."""

from __future__ import annotations

import pytest
import torch

from samovar.nn.whole_product import ERROR, WholeProduct


def weights(outputs: int = 70, inputs: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randint(-127, 128, (outputs, inputs), dtype=torch.int8), torch.rand(outputs) + 0.5


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("outlier", [1.0, 1e4])
def test_sums_are_off_by_the_rounding_of_the_row_alone(rows: int, outlier: float) -> None:
    weight, scale = weights()
    x = torch.randn(rows, 96)
    x[:, 5] *= outlier
    wanted = x.double() @ (weight.double() * scale.double()[:, None]).T
    found = WholeProduct(weight, scale)(x)
    assert found.dtype == torch.float32
    off = (found - wanted).abs()
    bound = ERROR * x.abs().amax(1, keepdim=True) * (weight.double().abs().sum(1) * scale)
    assert (off <= bound + 1e-6 * wanted.abs()).all()
    assert (found - wanted).norm() / wanted.norm() < 2e-4


def test_rows_of_zeros_give_zeros_and_small_ones_are_kept() -> None:
    weight, scale = weights()
    product = WholeProduct(weight, scale)
    assert torch.equal(product(torch.zeros(2, 96)), torch.zeros(2, 70))
    x = torch.randn(1, 96)
    torch.testing.assert_close(product(x * 1e-20) * 1e20, product(x), rtol=1e-4, atol=1e-3)


def test_what_is_not_a_number_stays_none() -> None:
    weight, scale = weights()
    x = torch.randn(1, 96)
    x[0, 3] = torch.nan
    assert WholeProduct(weight, scale)(x).isnan().all()
