"""Infinite-width kernels against a slow recursion, neural-tangents, and wide finite networks."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkscope.config.specs import ModelSpec
from ntkscope.errors import ModelError
from ntkscope.models import Activation, AvgPool, Conv, Dense, Flatten, build_network
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk
from ntkscope.ntk.infinite import infinite_kernels, infinite_nngp, infinite_ntk
from ntkscope.ntk.infinite.cross import Engine, cross_kernels
from ntkscope.ntk.infinite.input_covariance import cross_products
from ntkscope.ntk.infinite.layouts.band import BandLayout, reach
from ntkscope.ntk.infinite.layouts.full import FullLayout
from ntkscope.ntk.infinite.propagate import Options
from ntkscope.ntk.infinite.samples import samples
from ntkscope.ntk.infinite.tiles import tiles
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


@pytest.mark.parametrize(
    ("changes", "normal_biases"),
    [({}, False), ({"bias": False}, False), (NTK, False), (NTK, True)],
    ids=["standard", "bare", "ntk", "ntk-normal-biases"],
)
@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_recursion(name, activation, changes, normal_biases):
    layers, shape = network(name, activation=activation, **changes)
    x = images(2, shape)
    expected = oracle.infinite_kernels(layers, x, normal_biases)
    found = infinite_kernels(layers, x, normal_biases=normal_biases)
    assert max(error(f, e) for f, e in zip(found, expected, strict=True)) < 1e-12


@pytest.mark.parametrize(
    "case", STORED["cases"], ids=lambda c: "-".join(map(str, c["spec"].values()))
)
def test_equals_neural_tangents(case):
    kind = case["spec"]["kind"]
    layers = architecture(
        ModelSpec(**case["spec"]), tuple(STORED["shapes"][kind]), STORED["outputs"]
    )
    x = torch.tensor(STORED["inputs"][kind], dtype=torch.float64).permute(0, 3, 1, 2)
    found = infinite_kernels(layers, x[:3], x[3:], normal_biases=True)
    assert error(found.nngp, case["nngp"]) < 1e-12
    assert error(found.ntk, case["ntk"]) < 1e-12


WIDE = {
    "mlp-2-ntk": (ModelSpec(kind="mlp", depth=2, width=512, **NTK), (4, 4, 1)),
    "mlp-3-erf": (ModelSpec(kind="mlp", depth=3, width=512, activation="erf"), (8, 8, 3)),
    "cnn-2-ntk": (ModelSpec(kind="cnn", depth=2, width=64, **NTK), (6, 6, 3)),
    "cnn-1": (ModelSpec(kind="cnn", depth=1, width=256), (6, 6, 3)),
    "myrtle5-ntk": (ModelSpec(kind="myrtle5", depth=5, width=64, **NTK), (8, 8, 1)),
    "myrtle5": (ModelSpec(kind="myrtle5", depth=5, width=64), (8, 8, 3)),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_networks_agree(name):
    spec, shape = WIDE[name]
    layers, x = architecture(spec, shape, 10), images(3, (shape[2], *shape[:2]))
    drawn = torch.stack([empirical_ntk(build_network(layers, s).double(), x) for s in range(6)])
    off = (drawn.mean(0) - infinite_ntk(layers, x)).norm()
    assert drawn.std(0).norm() / 6**0.5 < 0.08 * drawn.mean(0).norm()
    assert off < 3 * drawn.std(0).norm() / 6**0.5


def test_black_patches_without_bias_variance_are_as_in_the_finite_network():
    spec = ModelSpec(kind="cnn", depth=2, width=64, **NTK)
    layers, x = architecture(spec, (8, 8, 1), 10), images(2, (1, 8, 8))
    x[:, :, :, 4:] = 0
    x[:, :, :4] = 0
    expected = oracle.infinite_kernels(layers, x)
    assert all(
        error(f, e) < 1e-12 for f, e in zip(infinite_kernels(layers, x), expected, strict=True)
    )
    drawn = torch.stack([empirical_ntk(build_network(layers, s).double(), x) for s in range(6)])
    off = (drawn.mean(0) - infinite_ntk(layers, x)).norm()
    assert off < 3 * drawn.std(0).norm() / 6**0.5


def test_widths_matter_in_the_standard_parametrisation_only():
    x = images(3, (2, 2, 3))
    ntk = [infinite_ntk(network("mlp-2", width=w, **NTK)[0], x) for w in (8, 800)]
    standard = [infinite_ntk(network("mlp-2", width=w)[0], x) / w for w in (10**6, 10**9)]
    assert error(*ntk) < 1e-14
    assert error(*standard) < 1e-4


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_inputs_have_the_kernel_of_the_diagonal(name, dtype, activation):
    layers, shape = network(name, activation=activation)
    x = images(4, shape, dtype=dtype)
    x = torch.cat([x, x[1:3]])
    tolerance = 20 * torch.finfo(dtype).eps
    exact = infinite_kernels(layers, x.double())
    for other in (None, x.clone()):
        for kernel, expected in zip(infinite_kernels(layers, x, other), exact, strict=True):
            assert error(kernel[[1, 2], [4, 5]], expected.diagonal()[1:3]) < tolerance
            assert error(kernel.diagonal(), expected.diagonal()) < tolerance


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99), tile=st.integers(1, 40))
def test_symmetric_positive_and_the_same_in_any_order_and_tiles(name, seed, tile):
    layers, shape = network(name, **NTK)
    x = images(6, shape, seed)
    for take in (infinite_ntk, infinite_nngp):
        kernel = take(layers, x)
        assert torch.equal(kernel, kernel.T)
        assert torch.linalg.eigvalsh(kernel)[0] > -1e-12 * kernel.max()
        order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
        assert error(take(layers, x[order]), kernel[order][:, order]) < 1e-13
        assert error(take(layers, x, tile=tile), kernel) < 1e-13
        assert error(take(layers, x[:4], x[2:], tile=tile), kernel[:4, 2:]) < 1e-13


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_of_nearly_equal_inputs(name, distance):
    layers, shape = network(name)
    x = images(5, shape, dtype=torch.float32)
    x = torch.cat([x, x + distance * images(5, shape, 1, torch.float32)])
    bound = 3e-6 if name.startswith("mlp") else 1e-4
    assert error(infinite_ntk(layers, x), infinite_ntk(layers, x.double())) < bound


@given(n1=st.integers(0, 40), n2=st.integers(0, 40), pairs=st.integers(1, 500))
def test_tiles_cover_every_pair_once(n1, n2, pairs):
    seen = torch.zeros(n1, n2)
    for rows, columns in tiles(n1, n2, pairs, upper=False):
        assert 0 < seen[rows, columns].numel() <= pairs
        seen[rows, columns] += 1
    assert (seen == 1).all()


@given(n=st.integers(0, 60), pairs=st.integers(1, 500))
def test_tiles_of_a_triangle_waste_little(n, pairs):
    seen = torch.zeros(n, n)
    for rows, columns in tiles(n, n, pairs, upper=True):
        assert 0 < seen[rows, columns].numel() <= pairs
        seen[rows, columns] += 1
    assert (seen.triu() == torch.ones(n, n).triu()).all()
    if pairs <= n:
        assert seen.tril(-1).sum() <= 0.5 * pairs**0.5 * n


def test_both_layouts_agree():
    layers, shape = network("cnn-2", **NTK)
    x1, x2 = images(3, shape), images(2, shape, 1)
    found = []
    for layout in (FullLayout(), BandLayout(reach(layers)), BandLayout(11)):
        s1, s2 = (samples(layers, layout, x, False, 2) for x in (x1, x2))
        engine = Engine(layers, layout, Options(True, False), (False,) * 2)
        K = cross_products(s1.x, s2.x, layout)
        found.append(torch.stack(cross_kernels(engine, K, s1, s2, None)))
    assert reach(layers) == 3
    assert error(found[1], found[0]) < 1e-13
    assert error(found[2], found[0]) < 1e-13


def test_larger_windows_and_dense_layers_after_flattening():
    layers = (
        Conv("a", 1, 4, size=5),
        Activation("relu"),
        AvgPool(3),
        Conv("b", 4, 4, bias=False),
        Activation("erf"),
        Flatten(),
        Dense("c", 4 * 2 * 2, 5),
        Activation("relu"),
        Dense("d", 5, 2),
    )
    x = images(3, (1, 7, 8))
    pairs = zip(infinite_kernels(layers, x), oracle.infinite_kernels(layers, x), strict=True)
    assert all(error(found, expected) < 1e-12 for found, expected in pairs)


def test_no_samples():
    layers, shape = network("cnn-1")
    assert infinite_ntk(layers, images(3, shape), images(0, shape)).shape == (3, 0)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ((Flatten(), Dense("a", 4, 3), Activation("step"), Dense("b", 3, 1)), (1, 2, 2), "no act"),
        ((Flatten(), Dense("a", 5, 1)), (1, 2, 2), "cannot take"),
        ((Flatten(), Conv("a", 1, 1)), (1, 2, 2), "cannot take"),
        ((Conv("a", 3, 1), Flatten(), Dense("b", 4, 1)), (1, 2, 2), "cannot take"),
        ((Conv("a", 1, 1, size=2), Flatten(), Dense("b", 4, 1)), (1, 2, 2), "cannot take"),
        ((Conv("a", 1, 1),), (1, 2, 2), "readout"),
    ],
)
def test_refused(layers, shape, message):
    with pytest.raises(ModelError, match=message):
        infinite_ntk(layers, images(2, shape))


def test_refused_inputs():
    layers, shape = network("mlp-2")
    x = images(2, shape)
    for x1, x2 in ((x.long(), None), (x, x.float()), (x, x[:, :1])):
        with pytest.raises(ModelError, match="inputs"):
            infinite_ntk(layers, x1, x2)
    with pytest.raises(ValueError, match="at least 1"):
        infinite_ntk(layers, x, tile=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp-2", "cnn-1"])
def test_compiled(name):
    layers, shape = network(name)
    x = images(7, shape)
    expected = infinite_ntk(layers, x)
    assert error(infinite_ntk(layers, x, tile=9, compile=True), expected) < 1e-12


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_gpu(name):
    layers, shape = network(name)
    x = images(7, shape)
    found = infinite_ntk(layers, x.cuda())
    assert found.is_cuda
    assert error(found.cpu(), infinite_ntk(layers, x)) < 1e-12


@pytest.mark.parametrize("kind", ["erf", "relu", "gelu"])
def test_variances_whose_products_overflow_are_refused(kind):
    """The arcsine of K over an infinite product is 0: an NNGP of erf was."""
    layers = [Dense("a", 4, 8), Activation(kind), Dense("b", 8, 1)]
    x = 1e11 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ModelError, match="products overflow"):
        infinite_nngp(layers, x)
    assert infinite_nngp(layers, x.double()).isfinite().all()
