"""Layer types of one's own, made known from outside: exact and fast, or noticed to be wrong."""

import doctest

import pytest
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import FactoredGradients, empirical_ntk, plan_ntk, register_layer
from ntkscope.ntk.empirical.gradients import registry
from tests.oracles.ntk import ntk

torch.set_num_threads(1)


def layer_class(name="Shifted"):
    """A linear layer with a kernel [D, O] and a shift, neither named as torch names them."""

    def init(self, inputs, outputs):
        super(made, self).__init__()
        self.kernel = nn.Parameter(torch.randn(inputs, outputs))
        self.shift = nn.Parameter(torch.randn(outputs))

    def forward(self, x):
        return x @ self.kernel + 3 * self.shift

    made = type(name, (nn.Module,), {"__init__": init, "forward": forward})
    return made


def factors(layer, a, g, n):
    """Of vectors [n, D]."""
    return FactoredGradients(a[:, None, None], g[:, None, None], offset=9.0)


NAMES = {"parameters": ("kernel", "shift"), "as_weight": lambda layer, gradients: gradients.mT}


def model_of(made):
    torch.manual_seed(0)
    model = nn.Sequential(made(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), made(4, 2)).double()
    return model, torch.randn(6, 3, dtype=torch.float64)


def strategies(model, x):
    return [layer.strategy for layer in plan_ntk(model, x).layers]


def by_use(model, x):
    """Whether each layer's parameters are captured where they are used."""
    found = {}
    for layer in plan_ntk(model, x).layers:
        found.setdefault(layer.module_name, set()).add(layer.by_use)
        assert layer.strategy != "fallback"
    return list(found.values())


def assert_exact(model, x):
    for kind in ("trace", "full", "diagonal", "pseudo"):
        for force in (None, "structured", "materialised"):
            found, expected = (
                empirical_ntk(model, x, kind=kind, force=force),
                ntk(model, x, x, kind),
            )
            assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_a_layer_in_factors():
    made = layer_class()
    model, x = model_of(made)
    assert by_use(model, x) == [{True}, {False}, {True}]
    register_layer(made, factored=factors, **NAMES)
    assert by_use(model, x) == [{False}] * 3
    assert strategies(model, x) == ["factored"] * 3
    assert_exact(model, x)


@pytest.mark.parametrize("frozen", ["kernel", "shift"])
def test_what_does_not_learn_is_left_out(frozen):
    made = layer_class()
    register_layer(made, factored=factors, **NAMES)
    model, x = model_of(made)
    for layer in (model[0], model[4]):
        getattr(layer, frozen).requires_grad_(False)
    assert "fallback" not in strategies(model, x)
    assert_exact(model, x)


def test_a_layer_element_by_element():
    made = layer_class()

    def gradients(layer, a, g, n):
        return {"kernel": a[:, None, :, None] * g[:, :, None], "shift": 3 * g}

    register_layer(made, elementwise=gradients, parameters=("kernel", "shift"))
    model, x = model_of(made)
    assert strategies(model, x) == ["materialised", "factored", "materialised"]
    assert_exact(model, x)


def mixing_outputs(layer, a, g, n):
    """Right for one output vector, wrong for several."""
    return FactoredGradients(
        a[:, None, None], g.sum(1, keepdim=True).expand_as(g)[:, None, None], 9.0
    )


WRONG = {
    "wrong by a factor": lambda layer, a, g, n: factors(layer, 2 * a, g, n),
    "samples exchanged": lambda layer, a, g, n: factors(layer, a.flip(0), g, n),
    "outputs mixed": mixing_outputs,
    "no bias": lambda layer, a, g, n: FactoredGradients(a[:, None, None], g[:, None, None]),
    "of another shape": lambda layer, a, g, n: factors(layer, a[:, :2], g, n),
    "failing": lambda layer, a, g, n: factors(layer, a, g[7], n),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_formula_is_left_out(name):
    made = layer_class()
    register_layer(made, factored=WRONG[name], **NAMES)
    model, x = model_of(made)
    assert by_use(model, x) == [{True}, {False}, {True}]
    said = str(plan_ntk(model, x)).splitlines()[-2:]
    assert said == [
        f"{n}: autograd is used, which its formula does not agree with here" for n in "04"
    ]
    assert_exact(model, x)


def test_parameters_that_the_formula_does_not_know():
    made = layer_class()
    register_layer(made, factored=factors)
    model, x = model_of(made)
    assert by_use(model, x) == [{True}, {False}, {True}]


class Doubling(nn.Conv2d):
    """A convolution that is not one."""

    def forward(self, x):
        return super().forward(2 * x)


def test_a_subclass_is_registered_by_itself():
    torch.manual_seed(0)
    layers = [Doubling(64, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 2)]
    model, x = nn.Sequential(*layers).double(), torch.randn(4, 64, 4, 4, dtype=torch.float64)
    assert by_use(model, x) == [{True}, {False}]
    convolution = registry._RULES[nn.Conv2d]
    register_layer(
        Doubling,
        factored=lambda layer, a, g, n: convolution.factored(layer, 2 * a, g, n),
        as_weight=convolution.as_weight,
    )
    assert "fallback" not in strategies(model, x)
    assert_exact(model, x)


@pytest.mark.parametrize(
    ("module_class", "forms", "says"),
    [
        (nn.Linear(2, 2), {"factored": factors}, "not a class of modules"),
        (nn.Module, {}, "exactly one form"),
        (nn.Module, {"factored": factors, "elementwise": factors}, "exactly one form"),
        (nn.Module, {"elementwise": 5}, "the formula is 5"),
        (nn.Module, {"elementwise": factors, "parameters": "gain"}, "parameters = 'gain'"),
    ],
)
def test_what_cannot_be_registered(module_class, forms, says):
    with pytest.raises(ModelError, match=says):
        register_layer(module_class, **forms)


def test_the_example_of_the_docstring_runs():
    assert doctest.testmod(registry).failed == 0
    assert doctest.testmod(registry).attempted > 5


def test_a_plan_of_another_formula_or_of_newly_shared_weights_is_refused():
    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return x * self.weight

    register_layer(Shift, elementwise=lambda layer, a, g, n: {"weight": g * a.unsqueeze(1)})
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), Shift(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(3, 4)
    plan = plan_ntk(model, x)
    expected = empirical_ntk(model, x)
    torch.testing.assert_close(empirical_ntk(model, x, plan=plan), expected)
    register_layer(Shift, elementwise=lambda layer, a, g, n: {"weight": g * g})
    with pytest.raises(ValueError, match="plan it again"):
        empirical_ntk(model, x, plan=plan)
    torch.testing.assert_close(empirical_ntk(model, x), expected)
    plan = plan_ntk(model, x)
    model[2].weight = model[0].weight
    with pytest.raises(ValueError, match="plan it again"):
        empirical_ntk(model, x, plan=plan)


@pytest.mark.parametrize("given", [None, (1, 2), {"weight": "nothing"}])
def test_a_formula_that_fails_is_named(given):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return x * self.weight

    register_layer(Fails, elementwise=lambda layer, a, g, n: given)
    model = nn.Sequential(nn.Linear(4, 4), Fails(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="registered for Fails fails"):
        empirical_ntk(model, torch.randn(3, 4))
