"""Infinite-width kernels in float64: a slow recursion, neural-tangents, and wide finite networks."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkscope.config.runs import ModelSpec
from ntkscope.errors import ModelError
from ntkscope.kernels.infinite import infinite_kernels, infinite_nngp, infinite_ntk
from ntkscope.kernels.infinite import kernels as engine
from ntkscope.kernels.infinite.full_layout import FullLayout
from ntkscope.models import Activation, AvgPool, Conv, Dense, Flatten, GlobalAvgPool, architecture
from tests.oracles import infinite as oracle

STORED = json.loads(
    (Path(__file__).parents[2] / "oracles" / "neural_tangents_kernels.json").read_text()
)
NTK = {"parametrisation": "ntk", "weight_std": 1.3, "bias_std": 0.4}
NETWORKS = {
    "mlp-2": (ModelSpec(kind="mlp", depth=2, width=5), (2, 3, 2)),
    "cnn-1": (ModelSpec(kind="cnn", depth=1, width=5), (5, 4, 2)),
    "cnn-2": (ModelSpec(kind="cnn", depth=2, width=5), (8, 7, 1)),
    "myrtle5": (ModelSpec(kind="myrtle5", depth=5, width=5), (8, 8, 1)),
}


def network(name, **changes):
    spec, shape = NETWORKS[name]
    return architecture(spec.model_copy(update=changes), shape, 3), (shape[2], *shape[:2])


def images(count, shape, seed=0, dtype=torch.float64):
    return torch.randn(
        count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def error(found, expected):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("normal_biases", [False, True])
@pytest.mark.parametrize("changes", [{}, {"bias": False}, NTK], ids=["standard", "bare", "ntk"])
@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_recursion(name, activation, changes, normal_biases):
    if normal_biases and changes is not NTK:
        pytest.skip("concerns the NTK parametrisation only")
    layers, shape = network(name, activation=activation, **changes)
    x = images(2, shape)
    expected = oracle.infinite_kernels(layers, x, normal_biases)
    found = infinite_kernels(layers, x, normal_biases=normal_biases)
    assert max(error(f, e) for f, e in zip(found, expected, strict=True)) < 1e-12


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda c: "-".join(map(str, c["spec"].values())))
def test_equals_neural_tangents(case):
    kind = case["spec"]["kind"]
    layers = architecture(
        ModelSpec(**case["spec"]), tuple(STORED["shapes"][kind]), STORED["outputs"]
    )
    x = torch.tensor(STORED["inputs"][kind], dtype=torch.float64).permute(0, 3, 1, 2)
    found = infinite_kernels(layers, x[:3], x[3:], normal_biases=True)
    assert error(found.nngp, case["nngp"]) < 1e-12
    assert error(found.ntk, case["ntk"]) < 1e-12
