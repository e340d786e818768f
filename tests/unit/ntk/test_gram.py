"""Matrix products by either library, and inner products of patches from those of pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ntkscope.models.batched_linear import batched_linear
from ntkscope.ntk.empirical.gradients.im2col import patch_products, patches, pixels, window_of
from ntkscope.runtime import matmul as module
from ntkscope.runtime.matmul import batched_matmul_nt, matmul_nt

torch.set_num_threads(1)


@pytest.fixture(params=[False, True])
def by_onednn(request, monkeypatch):
    """Whether oneDNN is taken, whatever the processor and the sizes."""
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("torch without oneDNN")
    monkeypatch.setattr(module, "_mkl_is_slow", lambda: request.param)
    monkeypatch.setattr(module, "_WORTH", 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 5, 3), (130, 40, 90), (0, 4, 3), (4, 0, 3)])
def test_products_are_those_of_torch(by_onednn, sizes, dtype):
    n, m, depth = sizes
    a, b = torch.randn(3, n, depth, dtype=dtype), torch.randn(3, m, depth, dtype=dtype)
    torch.testing.assert_close(matmul_nt(a[0], b[0]), a[0] @ b[0].T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(batched_matmul_nt(a, b), a @ b.mT, rtol=1e-5, atol=1e-5)
    turned = a[0].T.contiguous().T
    torch.testing.assert_close(matmul_nt(turned, b[0]), a[0] @ b[0].T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("with_bias", [False, True])
def test_batched_linear_layers_and_their_gradients_are_torchs(by_onednn, with_bias):
    sizes = ((3, 9, 5), (3, 7, 5), (3, 7))
    x, weight, bias = (torch.randn(size).requires_grad_() for size in sizes)
    own = [x, weight, bias] if with_bias else [x, weight]
    expected = 0.7 * x @ weight.mT + (1.3 * bias.unsqueeze(1) if with_bias else 0)
    found = batched_linear(x, weight, bias if with_bias else None, 0.7, 1.3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    g = torch.randn_like(found)
    for mine, theirs in zip(
        torch.autograd.grad(found, own, g), torch.autograd.grad(expected, own, g), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_an_empty_sum_is_zero(by_onednn):
    assert torch.equal(matmul_nt(torch.ones(2, 0), torch.ones(3, 0)), torch.zeros(2, 3))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 3)] * 8),
    st.tuples(st.integers(3, 7), st.integers(3, 7)),
    st.sampled_from(["zeros", "circular"]),
    st.integers(1, 2),
)
def test_patches_multiply_as_their_pixels_say(numbers, size, mode, groups):
    kernel, stride, padding, dilation = (numbers[i : i + 2] for i in range(0, 8, 2))
    padding = tuple(p - 1 for p in padding)
    if any(
        s + 2 * p < d * (k - 1) + 1
        for s, p, d, k in zip(size, padding, dilation, kernel, strict=True)
    ):
        return
    conv = nn.Conv2d(4, 2, kernel, stride, padding, dilation, groups=groups, padding_mode=mode)
    x, y = torch.randn(3, 4, *size).double(), torch.randn(2, 4, *size).double()
    u, v, window = patches(conv, x), patches(conv, y), window_of(conv, x)
    for group in range(groups):
        expected = torch.einsum("nsd,mtd->nsmt", u[:, group], v[:, group])
        found = patch_products(pixels(conv, x)[:, group], pixels(conv, y)[:, group], window)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
