"""The linearised network and gradient flow in closed form: against descent and neural-tangents."""

import doctest
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import empirical_ntk, gradient_flow, linearize
from ntkscope.errors import ModelError, NtkscopeError
from ntkscope.ntk.linearization import FlowError
from ntkscope.ntk.regression import RegressionError
from tests.oracles.networks import VisionTransformer


def mlp(outputs=2, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, outputs)).double()


def data(n=6, outputs=2, seed=1):
    torch.manual_seed(seed)
    return torch.randn(n, 3).double(), torch.randn(n, outputs).double()


@pytest.mark.parametrize("module", ["linearized", "gradient_flow"])
def test_the_examples_run(module):
    found = doctest.testmod(sys.modules[f"ntkscope.ntk.linearization.{module}"])
    assert found.attempted > 3
    assert found.failed == 0


def test_it_is_the_first_order_expansion():
    model, (x, _) = mlp(), data()
    linear = linearize(model)
    direction = {name: torch.randn_like(p) for name, p in model.named_parameters()}

    def moved(step):
        now = {n: p + step * direction[n] for n, p in model.named_parameters()}
        return torch.func.functional_call(model, now, (x,))

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    found = linear(x, direction) - model(x)
    torch.testing.assert_close(found, slope, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(linear(x, {n: 3 * d for n, d in direction.items()}) - linear(x),
                               3 * found)  # fmt: skip
    some = {"2.bias": torch.ones(2).double()}
    torch.testing.assert_close(linear(x, some), model(x) + 1)


def test_its_kernel_is_the_model_s_whatever_delta_and_it_is_a_copy():
    model, (x, _) = mlp(), data()
    linear, expected = linearize(model), empirical_ntk(model, x)
    with torch.no_grad():
        for p in [*linear.parameters(), *model.parameters()]:
            p.add_(torch.randn_like(p))
    jacobian = torch.autograd.functional.jacobian(
        lambda *delta: linear(x, dict(zip(linear.names, delta, strict=True))),
        tuple(linear.parameters()),
    )
    rows = torch.cat([j.flatten(2) for j in jacobian], 2)
    found = torch.einsum("nkp,mkp->nm", rows, rows) / 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_closed_form_is_gradient_descent_with_small_steps():
    model, (x, y), (others, _) = mlp(), data(), data(4, seed=2)
    linear, rate = linearize(model), 2e-3
    flow = linear.gradient_flow(x, y)
    descent, errors = torch.optim.SGD(linear.parameters(), lr=rate), []
    for step in range(1, 801):
        descent.zero_grad()
        nn.functional.mse_loss(linear(x), y).backward()
        descent.step()
        if step in (100, 800):
            errors += [(linear(x) - flow(step * rate)).abs().max().item()]
            errors += [(linear(others) - flow(step * rate, others)).abs().max().item()]
    moved = (flow(1.6) - model(x)).abs().max()
    assert max(errors) < 2e-3 * moved  # of steps of finite size


def test_convergence_interpolates_and_time_0_is_the_start():
    model, (x, y), (others, _) = mlp(), data(4), data(5, seed=2)
    flow = linearize(model).gradient_flow(x, y)
    torch.testing.assert_close(flow(math.inf), y)
    torch.testing.assert_close(flow([0.0, math.inf], x), torch.stack([model(x), y]))
    torch.testing.assert_close(flow(0.0, others), model(others).detach())
    K = empirical_ntk(model, x, kind="full").reshape(8, 8)
    cross = empirical_ntk(model, others, x, kind="full").reshape(10, 8)
    dual = torch.linalg.solve(K, (y - model(x)).detach().flatten())
    expected = model(others).detach() + (cross @ dual).reshape(5, 2)
    torch.testing.assert_close(flow(math.inf, others), expected, rtol=1e-8, atol=1e-8)


def neural_tangents_formula(K, cross, y, f0, f0_other, t):
    """`predict.gradient_descent_mse`, of loss ½ mean((f − y)²) and a trace kernel."""
    w, U = np.linalg.eigh(K)
    gone = np.expm1(-w * t / y.size) / w
    return f0_other - cross @ U @ (gone[:, None] * (U.T @ (y - f0)))


def test_equals_neural_tangents_formula_with_twice_its_time():
    model, (x, y), (others, _) = mlp(), data(), data(4, seed=2)
    K, cross = empirical_ntk(model, x), empirical_ntk(model, others, x)
    f0, f0_other = model(x).detach(), model(others).detach()
    flow = gradient_flow(K, y, f0)
    for t in (0.1, 3.0, 40.0):
        expected = neural_tangents_formula(*(a.numpy() for a in (K, cross, y, f0, f0_other)), 2 * t)
        found = flow(t, cross_kernel=cross, offset=f0_other)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_trace_kernel_of_one_output_is_the_full_one():
    model, (x, y) = mlp(outputs=1), data(outputs=1)
    full, trace = empirical_ntk(model, x, kind="full"), empirical_ntk(model, x)
    one, other = gradient_flow(full, y)(0.7), gradient_flow(trace, y)(0.7)
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(gradient_flow(trace, y[:, 0])(0.7), other[:, 0])


def test_directions_without_a_slope_are_left_alone():
    x, y = torch.tensor([[1.0], [1.0], [2.0]]).double(), torch.tensor([0.0, 1.0, 3.0]).double()
    K = x @ x.T  # rank one, with a duplicate that contradicts
    flow = gradient_flow(K, y)
    assert flow.rank == 1
    slope = float(y @ x[:, 0] / (x**2).sum())  # least squares
    for t in (math.inf, 1e30):
        torch.testing.assert_close(flow(t), slope * x[:, 0])
        new = torch.tensor([[5.0]]).double()
        torch.testing.assert_close(flow(t, cross_kernel=new @ x.T), slope * new[:, 0])
        assert torch.equal(flow(t, new @ x.T), flow(t, cross_kernel=new @ x.T))


def test_results_are_of_the_kernel_s_kind_and_parts_of_a_model_move():
    model, (x, y) = mlp().float(), data()
    found = gradient_flow(empirical_ntk(model, x.float()), y)(1.0)
    assert found.dtype == torch.float32
    assert gradient_flow(np.eye(6), y.numpy())(1.0).dtype == np.float64
    readout = linearize(mlp(), parameters="2")
    assert readout.names == ("2.weight", "2.bias")
    K = empirical_ntk(mlp(), x, parameters="2", kind="full").detach()
    torch.testing.assert_close(
        readout.gradient_flow(x, y)(2.0), gradient_flow(K, y, mlp()(x).detach())(2.0)
    )


def test_transformers_and_float64_copies():
    torch.manual_seed(0)
    model, x = VisionTransformer(shared=False).double().eval(), torch.randn(3, 2, 4, 4).double()
    linear = linearize(model)
    linear(x).square().sum().backward()
    for p, delta in zip(model.parameters(), linear.delta, strict=True):
        (expected,) = torch.autograd.grad(model(x).square().sum(), p)
        torch.testing.assert_close(delta.grad, expected, rtol=1e-9, atol=1e-9)
    assert linearize(mlp()).float()(data()[0].float()).dtype == torch.float32


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, a, b):
        return {"logits": torch.tanh(self.one(a)) * self.other(b), "a": a}


def test_inputs_by_name_and_an_output_among_several():
    torch.manual_seed(0)
    model, (a, y), (b, _) = Several().double(), data(), data(seed=2)
    inputs = {"a": a, "b": b[:, :2]}
    linear = linearize(model, output="logits")
    assert torch.equal(linear(inputs), model(**inputs)["logits"])
    flow = linear.gradient_flow(inputs, y)
    torch.testing.assert_close(flow([0.0, math.inf])[0], model(**inputs)["logits"].detach())
    other = {name: x[:2] for name, x in inputs.items()}
    torch.testing.assert_close(flow(1.3, other), flow(1.3)[:2])


def test_random_forwards_have_no_linearisation():
    class Random(nn.Linear):
        def forward(self, x):
            return super().forward(x + torch.randn_like(x))

    with pytest.raises(ModelError, match="random numbers"):
        linearize(Random(3, 2).double())(data()[0])


COMPLEX = (1 + 1j, [1.0, 1j], np.array([2 + 0j]), np.array([1 + 1j], object), torch.tensor([1j]))


@pytest.mark.parametrize(
    "t", [-1.0, math.nan, "soon", "1", [[1.0]], [], None, np.timedelta64(3, "s"), *COMPLEX]
)
def test_times_that_are_none(t):
    with pytest.raises(FlowError, match="0 or more"):
        gradient_flow(np.eye(3), np.ones(3))(t)


SLIPS = {
    "asymmetric": (np.triu(np.ones((3, 3))), np.ones(3), RegressionError, "not symmetric"),
    "indefinite": (np.diag([1.0, 1.0, -1.0]), np.ones(3), RegressionError, "semi-definite"),
    "NaN": (np.full((3, 3), np.nan), np.ones(3), RegressionError, "NaN"),
    "samples": (np.eye(3), np.ones(4), RegressionError, "targets"),
    "outputs": (np.ones((3, 2, 3, 2)), np.ones((3, 1)), FlowError, "full kernel"),
    "not square": (np.ones((3, 2, 2, 2)), np.ones((3, 2)), FlowError, "with themselves"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_kernels_and_targets_that_do_not_fit(slip):
    kernel, targets, error, says = SLIPS[slip]
    with pytest.raises(error, match=says):
        gradient_flow(kernel, targets)


def test_what_else_is_refused():
    flow = gradient_flow(np.eye(3), np.ones(3))
    with pytest.raises(NtkscopeError, match="cross kernel of shape"):
        flow(1.0, cross_kernel=np.ones((3, 2)))
    with pytest.raises(FlowError, match="without a cross kernel"):
        flow(1.0, offset=np.ones(3))
    with pytest.raises(ModelError, match="fits no parameter"):
        linearize(mlp())(data()[0], {"2.bias": torch.ones(3)})
    with pytest.raises(ModelError, match="dropout"):
        linearize(nn.Sequential(nn.Linear(3, 1), nn.Dropout()))
    with pytest.raises(ModelError, match="not a torch module"):
        linearize("model")


@pytest.mark.parametrize("several", [list, tuple, np.array, torch.tensor])
def test_several_times_may_come_as_anything(several):
    flow = gradient_flow(torch.eye(2).double(), torch.ones(2).double())
    found = flow(several([0.0, 1.0]))
    assert found.shape == (2, 2)
    torch.testing.assert_close(found[1], flow(1.0))
    assert flow(torch.tensor(1.0, requires_grad=True)).shape == (2,)
    assert flow(torch.tensor(1.0)).shape == flow(np.array(1.0)).shape == (2,)
