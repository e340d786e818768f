"""Networks whose passes are formulas, not recordings."""

import pytest
import torch
from torch import nn

from ntkscope.config.specs import ModelSpec
from ntkscope.models import build_network
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.backpropagation import Recorded, Sequential
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.sequential.cotangent import FactoredCotangent
from ntkscope.ntk.empirical.sequential.recognise import sequential_layers
from ntkscope.ntk.kinds import EMPIRICAL_KINDS
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk

torch.set_num_threads(1)

_SEQUENTIAL = [
    "readout alone",
    "vectors",
    "no bias",
    "one output",
    "in-place relu",
    "frozen",
    "conv2d stride",
    "conv2d dilated",
    "conv2d depthwise",
    "straight, flattened",
    "straight, globally pooled",
    "straight, pooled last",
    "straight, many channels",
    "straight, norms",
    "straight, norm and pooling on top",
    "straight, norm and global pooling",
    "straight and linear",
    "batch norm 1d",
]


def is_sequential(plan):
    return isinstance(plan.backpropagation, Sequential)


def test_which_networks_are_sequential():
    found = []
    for name in NAMES:
        model, x, _ = network(name)
        if is_sequential(make_plan(model, x, None, "trace")):
            found.append(name)
    assert found == _SEQUENTIAL


@pytest.mark.parametrize("name", _SEQUENTIAL)
@pytest.mark.parametrize("kind", list(EMPIRICAL_KINDS))
def test_as_by_recording(name, kind):
    model, x1, x2 = network(name)
    for other in (None, x2):
        plan = make_plan(model, x1, other, kind)
        by_formula = compute_kernels(model, plan, x1, other, by_layer=True)
        recorded = make_plan(model, x1, other, kind)
        recorded.backpropagation = Recorded(model)
        by_recording = compute_kernels(model, recorded, x1, other, by_layer=True)
        assert list(by_formula) == list(by_recording)
        for layer, found in by_formula.items():
            torch.testing.assert_close(found, by_recording[layer], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", _SEQUENTIAL)
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_same_whatever_passes_at_once(name, chunk):
    model, x, _ = network(name)
    whole = ntk(model, x, x, "trace")
    found = empirical_ntk(model, x, chunk=chunk)
    assert (found - whole).abs().max() <= 1e-12 * whole.abs().max()


@pytest.mark.parametrize("kind", ["mlp", "cnn", "myrtle5"])
@pytest.mark.parametrize("parametrisation", ["standard", "ntk"])
def test_our_own_networks_are_sequential_and_right(kind, parametrisation):
    stds = {"weight_std": 1.4, "bias_std": 0.1} if parametrisation == "ntk" else {}
    spec = ModelSpec(kind=kind, depth=2, width=6, parametrisation=parametrisation, **stds)
    model = build_network(architecture(spec, (8, 8, 2), 3), seed=0).double()
    x = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    plan = plan_ntk(model, x)
    assert is_sequential(plan)
    expected = ntk(model, x, x, "trace")
    found = empirical_ntk(model, x, plan=plan)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


def singles(name, kind="trace"):
    model, x, _ = network(name)
    plan = make_plan(model, x, None, kind)
    return {layer.name for layer in plan.layers if layer.shape and layer.shape.collapsed}


def test_one_cotangent_stands_for_all_just_below_the_readout():
    assert singles("vectors") == {"0"}
    assert singles("straight, flattened") == {"3"}
    assert singles("straight, globally pooled") == {"3"}
    assert singles("straight, norm and global pooling") == {"2"}
    assert singles("straight, pooled last") == set()  # another activation stands between
    assert singles("straight and linear") == {"1"}
    assert singles("straight, many channels") == set()  # flattened: outputs differ by position
    assert singles("vectors", "full") == singles("vectors", "diagonal") == set()
    assert singles("one output") == set()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)])
def test_a_norm_between_a_flattened_readout_and_its_activation(norm):
    """Outputs differ by position there, also below the norm's own gradients."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 4, 3, padding=1), nn.Tanh(), norm, nn.Flatten(), nn.Linear(64, 2)]
    model, x = nn.Sequential(*layers).double().eval(), torch.randn(4, 4, 4, 4).double()
    assert is_sequential(make_plan(model, x, None, "trace"))
    found, expected = empirical_ntk(model, x), ntk(model, x, x, "trace")
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_a_wrong_sum_over_outputs_is_noticed(monkeypatch):
    model, x, _ = network("straight, many channels")
    expected = ntk(model, x, x, "trace")
    monkeypatch.setattr(
        FactoredCotangent, "collapse_outputs", lambda self: self.dense()[:, :1] * 2**0.5
    )
    assert not is_sequential(make_plan(model, x, None, "trace"))
    assert (empirical_ntk(model, x) - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_what_one_cotangent_saves_is_planned():
    torch.manual_seed(0)
    layers = [nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 10)]
    first, second, _ = plan_ntk(nn.Sequential(*layers), torch.randn(9, 20)).layers
    assert first.cost.flops > 5 * second.cost.flops
    assert first.kept.per_output_vector > 0
    assert second.kept.per_output_vector == 0


class _Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def _hooked(how):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    getattr(model[1], how)(lambda *_: None)
    return model


def _instance_forward():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model[1].forward = torch.sin
    return model


def _twice():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


_IMAGE, _ROW = (2, 5, 5), (3,)
_OTHERS = {
    "a subclass": (lambda: _Doubled(nn.Linear(3, 2)), _ROW),
    "forward hook": (lambda: _hooked("register_forward_hook"), _ROW),
    "forward pre-hook": (lambda: _hooked("register_forward_pre_hook"), _ROW),
    "backward hook": (lambda: _hooked("register_full_backward_hook"), _ROW),
    "a forward of its own": (_instance_forward, _ROW),
    "a layer twice": (_twice, _ROW),
    "no readout": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh()), _ROW),
    "nothing": (nn.Sequential, _ROW),
    "tokens": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Flatten(), nn.Linear(8, 2)), (4, 3)),
    "in-place, not from its outputs": (
        lambda: nn.Sequential(nn.Linear(3, 3), nn.ELU(inplace=True), nn.Linear(3, 2)),
        _ROW,
    ),
    "pooling that leaves a rest": (
        lambda: nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 2)),
        _IMAGE,
    ),
    "pooling that overlaps": (
        lambda: nn.Sequential(nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(8, 2)),
        _IMAGE,
    ),
    "pooling by the maximum that overlaps": (
        lambda: nn.Sequential(nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(8, 2)),
        _IMAGE,
    ),
    "pooling by the maximum with gaps": (
        lambda: nn.Sequential(nn.MaxPool2d(2, dilation=2), nn.Flatten(), nn.Linear(2, 2)),
        _IMAGE,
    ),
    "a norm of tokens": (
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(12, 2)).eval(),
        (4, 3),
    ),
    "a norm by the batch": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        _ROW,
    ),
    "circular": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(25, 2)
        ),
        _IMAGE,
    ),
    "one image": (
        lambda: nn.Sequential(nn.Conv2d(5, 5, 1), nn.Flatten(), nn.Linear(25, 2)),
        (5, 5),
    ),
}


@pytest.mark.parametrize("name", list(_OTHERS))
def test_what_is_not_sequential_is_recorded(name):
    make, shape = _OTHERS[name]
    torch.manual_seed(0)
    model, x = make().double(), torch.randn(5, *shape).double()
    assert sequential_layers(model, x) is None


def test_hooks_on_all_modules_are_seen():
    model, x = nn.Sequential(nn.Linear(3, 2)), torch.randn(5, 3)
    assert sequential_layers(model, x) is not None
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert sequential_layers(model, x) is None
    finally:
        handle.remove()


def test_what_autograd_contradicts_is_recorded(monkeypatch):
    model, x, _ = network("straight, pooled last")
    monkeypatch.setattr(nn.AvgPool2d, "forward", lambda self, x: 3 * x[..., ::2, ::2])
    assert sequential_layers(model, x) is not None
    assert not is_sequential(make_plan(model, x, None, "trace"))
    found, expected = empirical_ntk(model, x), ntk(model, x, x, "trace")
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_a_plan_of_a_model_that_has_changed_is_refused():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(5, 3)
    plan = plan_ntk(model, x)
    handle = model[1].register_forward_hook(lambda module, args, output: 2 * output)
    with pytest.raises(ValueError, match="plan it again"):
        empirical_ntk(model, x, plan=plan)
    handle.remove()
    kernel = empirical_ntk(model, x, plan=plan)
    model[1] = nn.ReLU()
    with pytest.raises(ValueError, match="plan it again"):
        empirical_ntk(model, x, plan=plan)
    assert torch.equal(kernel, kernel.T)
