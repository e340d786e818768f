"""Memory in large pages is memory like any other."""

import pytest
import torch

from ntkscope.ntk.empirical.gradients.hugepages import new_empty


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_tensors_are_as_torch_makes_them(dtype):
    found = new_empty(torch.zeros(1, dtype=dtype), 3, 50, 7, large=100)
    expected = torch.empty(3, 50, 7, dtype=dtype)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert found.data_ptr() % 64 == 0
    found.fill_(2.0)
    assert found.sum() == 2 * found.numel()


@pytest.mark.parametrize("shape", [(), (0,), (4, 0), (2, 3)])
def test_small_ones_too(shape):
    assert new_empty(torch.zeros(1), *shape).shape == torch.Size(shape)


def test_other_dtypes_are_left_to_torch():
    assert new_empty(torch.zeros(1, dtype=torch.bfloat16), 99, large=1).dtype == torch.bfloat16
