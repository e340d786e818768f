"""Gradients of convolutions, made without patches."""

import pytest
import torch
from torch import nn

from ntkscope.ntk.empirical.gradients.convolution import takes_rows, weight_gradients_by_rows
from ntkscope.ntk.empirical.gradients.factors import materialise
from ntkscope.ntk.empirical.gradients.layers import convolution_gradients
from ntkscope.ntk.empirical.gradients.registry import factored_form
from ntkscope.ntk.empirical.tuning import Tuning

_HOW = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 2)},
    {"kernel_size": (3, 2), "dilation": (2, 3), "padding": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 2, "padding": "same", "bias": False},
]


@pytest.mark.parametrize("how", _HOW)
@pytest.mark.parametrize("cache", [1, 10**9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_way_by_patches(how, cache, dtype):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, **how).to(dtype)
    a = torch.randn(4, 3, 9, 8, dtype=dtype)
    g = torch.randn(4, 2, *layer(a).shape[1:], dtype=dtype)
    with torch.no_grad():
        expected = materialise(factored_form(layer, a, g, 4)).values
        found = convolution_gradients(layer, a, g, tuning=Tuning(row_patch_bytes=cache)).values
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_written_where_it_belongs():
    torch.manual_seed(0)
    layer, a = nn.Conv2d(3, 5, 3), torch.randn(4, 3, 6, 6)
    g = torch.randn(4, 2, 5, 4, 4)
    room = torch.full((4, 2, 5, 30), 7.0)
    with torch.no_grad():
        weight_gradients_by_rows(layer, a, g, room[..., :27])
        expected = torch.einsum(
            "nrop,npd->nrod", g.flatten(3), nn.functional.unfold(a, 3).mT.contiguous()
        )
    by_place = expected.unflatten(3, (3, 9)).mT.flatten(3)  # unfold has the channels first
    torch.testing.assert_close(room[..., :27], by_place)
    assert torch.equal(room[..., 27:], torch.full((4, 2, 5, 3), 7.0))


@pytest.mark.parametrize(
    ("layer", "takes"),
    [
        (nn.Conv2d(64, 8, 3), True),
        (nn.Conv2d(16, 8, 3), False),  # one product is faster than three of 48 numbers
        (nn.Conv2d(256, 8, 1), False),  # nothing to save
        (nn.Conv2d(256, 8, 3, groups=2), False),
        (nn.Conv1d(256, 8, 3), False),
        (nn.Linear(256, 8), False),
        (nn.Conv2d(64, 8, 3).requires_grad_(False), False),
    ],
)
def test_for_which_layers(layer, takes):
    assert takes_rows(layer) == takes
