"""Compiled products with int8 weights: exact sums, the same beside any rows, and a way back to PyTorch's."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import samovar
from samovar.nn import compiled
from samovar.nn.int8 import FEW_ROWS, Int8Linear
from samovar.nn.int8_product import MOST, Int8Product

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are compiled on Linux alone")


def made(outputs: int, inputs: int, rows: int) -> tuple[Int8Product, Tensor, Tensor]:
    """A product, rows for it, and what it should give."""
    torch.manual_seed(outputs + inputs + rows)
    weight = torch.randint(-128, 128, (outputs, inputs), dtype=torch.int8)
    scale, bias, x = torch.rand(outputs), torch.randn(outputs), torch.randn(rows, inputs)
    wanted = x.double() @ weight.double().T * scale.double() + bias.double()
    assert Int8Product.fits(weight)
    return Int8Product(weight, scale, bias), x, wanted


def test_it_is_there_where_the_tests_run() -> None:
    assert compiled.available()


@pytest.mark.parametrize("shape", [(2, 16), (3, 16), (7, 48), (48, 128), (301, 768), (768, 3072)])
def test_sums_are_those_of_float64(shape: tuple[int, int]) -> None:
    for rows in (1, 2, 3, MOST, MOST + 1, FEW_ROWS):
        product, x, wanted = made(*shape, rows)
        torch.testing.assert_close(product(x).double(), wanted, atol=2e-6 * float(wanted.abs().max()), rtol=0)


def test_a_row_is_the_same_beside_any_others_and_on_any_threads() -> None:
    product, x, _ = made(1030, 256, FEW_ROWS)
    assert product.weight.numel() > 1 << 16  # more than one thread takes
    whole, before = product(x), torch.get_num_threads()
    alone = torch.cat([product(row) for row in x.split(1)])
    assert torch.equal(alone, whole)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(product(x), whole)
    finally:
        torch.set_num_threads(before)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(one, whole) for one in pool.map(product, [x] * 40))


def test_numbers_that_are_none_stay_in_their_row() -> None:
    product, x, _ = made(64, 64, 3)
    wanted = product(x)
    x[1, 5] = torch.nan
    found = product(x)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], wanted[[0, 2]])


def test_rows_that_lie_elsewhere() -> None:
    product, x, _ = made(64, 64, 4)
    spread = x.repeat_interleave(2, 1)[:, ::2]
    assert not spread.is_contiguous()
    assert torch.equal(product(spread), product(x))


def test_weights_that_do_not_fit() -> None:
    whole = torch.zeros(64, 64, dtype=torch.int8)
    assert Int8Product.fits(whole)
    assert not Int8Product.fits(whole[:1])  # one output
    assert not Int8Product.fits(whole[:, :24].contiguous())  # not whole vectors
    assert not Int8Product.fits(whole[:, :32])  # rows apart
    assert not Int8Product.fits(whole.to("meta"))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_records_operations_sees_them() -> None:
    torch.manual_seed(0)
    layer, rows = Int8Linear.of(nn.Linear(32, 48)), torch.randn(6, 2, 32)
    traced = torch.jit.trace(layer, rows[0])
    for x in rows:
        torch.testing.assert_close(traced(x), layer(x), atol=1e-5, rtol=1e-5)
    exported = torch.export.export(layer, (rows[0],)).module()
    torch.testing.assert_close(exported(rows[1]), layer(rows[1]), atol=1e-5, rtol=1e-5)
    x = rows[0].requires_grad_()
    layer(x).sum().backward()
    weight = layer.weight.float() * layer.scale.float()[:, None]
    torch.testing.assert_close(x.grad, weight.sum(0).expand_as(x), atol=1e-5, rtol=1e-5)


WITHOUT = """
import sys
sys.modules["llvmlite"] = None
import torch, samovar
from samovar.nn import compiled
assert not compiled.available()
model = samovar.AutoModelForCausalLM.from_pretrained(sys.argv[1], quantization="int8")
ids = torch.arange(8)[None]
torch.save((model(ids).logits, model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)), sys.argv[2])
"""


def test_without_the_compiler_pytorchs_products_serve(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = samovar.GPT2LMHeadModel(samovar.GPT2Config(**sizes))
    model.save_pretrained(f"{tmp_path}/model")
    command = [sys.executable, "-c", WITHOUT, f"{tmp_path}/model", f"{tmp_path}/found"]
    subprocess.run(command, check=True, timeout=120)
    logits, written = torch.load(f"{tmp_path}/found", weights_only=True)
    here = samovar.AutoModelForCausalLM.from_pretrained(f"{tmp_path}/model", quantization="int8")
    ids = torch.arange(8)[None]
    with torch.no_grad():
        torch.testing.assert_close(logits, here(ids).logits, atol=2e-2, rtol=2e-2)
    assert torch.equal(here.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0), written)
