"""What a notebook shows of the face's objects: kind, sizes, dtype, device; never all numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import ntkscope
from ntkscope.ntk.regression import RidgeWarning, decompose
from tests.unit.watch.test_comparison import table

LONGEST = 250
"""Letters, whatever the number of samples."""


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).double()


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    features = np.random.default_rng(0).standard_normal((60, 90))
    return features @ features.T


def test_fits(kernel: np.ndarray) -> None:
    targets = np.random.default_rng(1).standard_normal((60, 2))
    direct = ntkscope.KernelRidge(ridge=0.1).fit(kernel, targets)
    assert repr(direct) == (
        "FittedKernelRidge(60 samples; 2 outputs; ridge 0.1, given; solved by CholeskyFactor)"
    )
    steps = ntkscope.KernelRidge(ridge=0.1, method="cg").fit(kernel, targets[:, 0])
    assert re.search(r"60 samples; ridge 0.1, .* IterativeSolver; residual \d", repr(steps))
    with pytest.warns(RidgeWarning):
        chosen = ntkscope.KernelRidge().fit(kernel, targets)
    assert "of least leave-one-out error; solved by EigenFactor)" in repr(chosen)
    assert re.match(r"RidgeChoice\([\d.e+-]+ of \d+, on 60 samples", repr(chosen.choice))
    assert repr(decompose(kernel)) == "Eigensystem(60 samples, of a float64 kernel)"
    assert all(len(repr(each)) < LONGEST for each in (direct, chosen, steps, chosen.solver))


def test_of_a_network(network: nn.Module) -> None:
    x = torch.ones(8, 4).double() * torch.arange(8)[:, None]
    operator = ntkscope.NTKOperator(network, x, x[:5], kind="full")
    assert repr(operator) == (
        "NTKOperator(Sequential, full NTK of 8 × 5 samples: [24, 15], float64 on cpu)"
    )
    plan = ntkscope.plan_ntk(network, x)
    assert repr(plan) == f"Plan(Sequential, float64 on cpu): {plan}"
    moving = ntkscope.linearize(network)
    text = "Linearized(Sequential: 131 parameters in 4 tensors, float64 on cpu)"
    assert repr(moving) == text
    flow = moving.gradient_flow(x[:2], torch.zeros(2, 3).double())
    shown = "GradientFlow(full kernel of 2 samples, 3 outputs; rank 6 of 6; float64 on cpu)"
    assert repr(flow) == f"LinearizedFlow({text}, {shown})"


def test_of_a_kernel_alone(kernel: np.ndarray) -> None:
    flow = ntkscope.gradient_flow(kernel, np.ones(60))
    assert repr(flow) == "GradientFlow(kernel of 60 samples; rank 60 of 60; float64)"


def test_of_a_series() -> None:
    detector = ntkscope.ShiftDetector(rate=0.1)
    for value in (3, 2, 1):
        detector.update(value)
    assert repr(detector) == (
        "ShiftDetector(rate=0.1, window=9, apart=1): 3 values, the last of p = 1"
    )


def test_of_a_comparison() -> None:
    runs = {"one": [table(s, 2.0) for s in range(3)], "other": [table(s) for s in range(3)]}
    found = ntkscope.compare(runs, {"one": [table(s, 0.0) for s in range(3)]}, window=3)
    head, one, other = repr(found).splitlines()
    assert head.startswith("Comparison(trace NTK of 12 samples; 3 steps around each boundary, ")
    assert re.match(r"  one: seeds 0, 1, 2; 10 kernels each; .*: 1; twins$", one)
    assert other.endswith("; no twins")
