"""Operations with a faster way back have torch's own values and gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ntkscope.ntk import empirical_ntk
from ntkscope.ntk.empirical.gradients.fast_ops import FasterBackward
from ntkscope.runtime import matmul as module
from tests.oracles.ntk import ntk

torch.set_num_threads(1)

POOLS = {
    "disjoint": lambda x: F.avg_pool2d(x, 2),
    "oblong": lambda x: F.avg_pool2d(x, (3, 2), (3, 2)),
    "stride named": lambda x: F.avg_pool2d(x, 3, stride=3),
    "as a module": nn.AvgPool2d(2),
    "overlapping": lambda x: F.avg_pool2d(x, 3, 1),
    "padded": lambda x: F.avg_pool2d(x, 2, 2, 1),
    "rows left over": lambda x: F.avg_pool2d(x, 4),
    "another divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "ceiling": lambda x: F.avg_pool2d(x, 4, ceil_mode=True),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling_is_torchs(name):
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    expected = POOLS[name](x)
    with FasterBackward():
        found = POOLS[name](x)
    g = torch.randn_like(expected)
    assert torch.equal(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, x, g)[0], torch.autograd.grad(expected, x, g)[0]
    )


LARGEST = {
    "disjoint": lambda x: F.max_pool2d(x, 2),
    "as a module": nn.MaxPool2d((3, 2)),
    "overlapping": lambda x: F.max_pool2d(x, 3, 2, 1),
    "apart": lambda x: F.max_pool2d(x, 2, stride=1, dilation=2),
    "ceiling": lambda x: F.max_pool2d(x, [4], ceil_mode=True),
    "with indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
}


@pytest.mark.parametrize("name", LARGEST)
def test_max_pooling_chooses_as_torch_does(name):
    x = torch.randint(3, (4, 9, 7, 6)).double()  # most windows have equals
    x[0, :, 2, 1] = float("nan")
    x.requires_grad_()
    expected = LARGEST[name](x)
    with FasterBackward():
        found = LARGEST[name](x)
    g = torch.randint(9, expected.shape).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert found.is_contiguous()
    back = [torch.autograd.grad(y, x, g, retain_graph=True)[0] for y in (found, expected)]
    assert torch.equal(*back)
    both = [
        torch.autograd.grad(y, x, torch.stack([g, 2 * g]), is_grads_batched=True)[0]
        for y in (found, expected)
    ]
    assert torch.equal(*both)


@pytest.mark.parametrize("bias", [False, True])
def test_linear_layers_are_torchs(bias, monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch without oneDNN")
    monkeypatch.setattr(module, "_mkl_is_slow", lambda: True)
    monkeypatch.setattr(module, "_WORTH", 0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7, bias), nn.Tanh(), nn.Linear(7, 6), nn.Linear(6, 2))
    x = torch.randn(9, 5)
    for kind in ("trace", "full", "diagonal"):
        expected = ntk(model, x, x, kind)
        error = (empirical_ntk(model, x, kind=kind) - expected).abs().max() / expected.abs().max()
        assert error < 1e-5


def test_no_rows_are_no_rows():
    with FasterBackward():
        found = F.linear(torch.randn(0, 3), torch.randn(5, 3))
    assert found.shape == (0, 5)
