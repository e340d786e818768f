"""Arguments of every function for kernels: several forms of inputs; slips say what to do."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope.errors import ArgumentError, ModelError
from ntkscope.ntk import empirical_ntk, infinite_ntk, plan_ntk, write_ntk
from ntkscope.ntk.operator import NTKOperator, largest_eigenvalue, xtrace
from ntkscope.ntk.operator.vectors import VectorError
from ntkscope.ntk.regression import KernelRidge, RegressionError
from ntkscope.stores import read_store
from tests.oracles.ntk import of_kind
from tests.oracles.one_by_one import full_ntk

torch.set_num_threads(1)


class Encoder(nn.Module):
    """Of tokens and their mask, with a mapping as output, as transformers have it."""

    def __init__(self):
        super().__init__()
        self.e, self.a, self.h = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.unsqueeze(2).to(self.scale)
        z = torch.tanh(self.a(self.e(input_ids) * self.scale)) * mask
        pooled = z.sum(1) / mask.sum(1)
        return {"logits": self.h(pooled), "pooled": pooled}


class Joined(nn.Module):
    """The encoder of one tensor: tokens, then mask."""

    def __init__(self, encoder, key):
        super().__init__()
        self.encoder, self.key = encoder, key

    def forward(self, both):
        return self.encoder(both[:, :5], both[:, 5:])[self.key]


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 9, (11, 5), generator=generator)
    mask = torch.ones(11, 5, dtype=torch.long)
    mask[3, 2:] = mask[8, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder().double()


def part(tokens, rows):
    return {name: t[rows] for name, t in tokens.items()}


def joined(tokens):
    return torch.cat([tokens["input_ids"], tokens["attention_mask"]], 1)


def close(found, expected, tolerance=1e-10):
    difference = (found.reshape(expected.shape) - expected).abs().max()
    return bool(difference <= tolerance * expected.abs().max())


@pytest.mark.parametrize("output", ["logits", "pooled", lambda y: y["logits"] ** 2])
@pytest.mark.parametrize("form", [dict, lambda t: tuple(t.values()), lambda t: [*t.values()]])
def test_inputs_of_several_tensors_and_one_of_several_outputs(encoder, tokens, form, output):
    model = Joined(encoder, output if isinstance(output, str) else "logits")
    if not isinstance(output, str):
        model = nn.Sequential(model, Squared())
    x1, x2 = part(tokens, slice(7)), part(tokens, slice(7, None))
    whole, across = (full_ntk(model, joined(x1), y) for y in (None, joined(x2)))
    first, second = form(x1), form(x2)
    for kind in ("trace", "full"):
        found = empirical_ntk(encoder, first, kind=kind, output=output, memory="1MB")
        assert close(found, of_kind(whole, kind))
        found = empirical_ntk(encoder, first, second, kind=kind, output=output, chunk=2)
        assert close(found, of_kind(across, kind))
    operator = NTKOperator(encoder, first, second, output=output, chunk=3)
    assert close(operator @ torch.eye(4, dtype=torch.float64), of_kind(across, "trace"))


class Squared(nn.Module):
    def forward(self, y):
        return y**2


def test_layers_keep_their_names_whatever_the_form(encoder, tokens):
    layers = empirical_ntk(encoder, tokens, output="logits", by_layer=True)
    plan = plan_ntk(encoder, tokens, output="logits")
    assert set(layers) == {"", "e", "a", "h"} == {layer.name for layer in plan.layers}
    whole = empirical_ntk(encoder, tokens, output="logits", plan=plan)
    assert close(sum(layers.values()), whole)
    with pytest.raises(ValueError, match="another model"):
        empirical_ntk(encoder, tokens, output="pooled", plan=plan)


def test_a_store_of_inputs_of_several_tensors(encoder, tokens, tmp_path):
    path = tmp_path / "k.zarr"
    assert write_ntk(path, encoder, tokens, output="logits", parameters="a", tile=4)
    stored = torch.from_numpy(read_store(path, "kernels").ntk.values)
    assert close(stored, empirical_ntk(encoder, tokens, output="logits", parameters="a"))
    for other in ({"output": "pooled", "parameters": "a"}, {"output": "logits"}):
        with pytest.raises(Exception, match="begun with another"):
            write_ntk(path, encoder, tokens, tile=4, **other)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("a", ["a.weight", "a.bias"]),
        (["a.weight", "h"], ["a.weight", "h.weight", "h.bias"]),
        (("scale",), ["scale"]),
        (lambda name, p: p.ndim == 1, ["scale", "a.bias", "h.bias"]),
    ],
)
def test_the_kernel_of_some_parameters(encoder, tokens, chosen, names):
    how = {"output": "logits", "parameters": chosen}
    found = empirical_ntk(encoder, tokens, **how)
    product = NTKOperator(encoder, tokens, **how) @ torch.eye(11, dtype=torch.float64)
    assert all(p.requires_grad for p in encoder.parameters())
    for name, p in encoder.named_parameters():
        p.requires_grad_(name in names)
    expected = of_kind(full_ntk(Joined(encoder, "logits"), joined(tokens)), "trace")
    assert close(found, expected) and close(product, expected)


def test_attributes_and_places_of_an_output():
    class Result:
        def __init__(self, logits):
            self.logits, self.loss = logits, None

    class Model(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            return Result(y) if self.as_object else (None, y)

    torch.manual_seed(0)
    model, x = Model(4, 2).double(), torch.randn(3, 4, dtype=torch.float64)
    expected = (x @ x.T + 1).abs()
    for model.as_object, output in ((True, "logits"), (False, 1)):
        assert close(empirical_ntk(model, x, output=output).abs(), expected)
    with pytest.raises(ModelError, match="no 'logits'"):
        empirical_ntk(model, x, output="logits")
    with pytest.raises(ModelError, match=r"type tuple(.|\n)*output="):
        empirical_ntk(model, x)


class Arg(nn.Module):
    """A linear layer and what is done with its outputs."""

    def __init__(self, f):
        super().__init__()
        self.a, self.f = nn.Linear(6, 3), f

    def forward(self, x):
        return self.f(self.a(x))


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
LAZY = nn.Sequential(nn.Linear(6, 4), nn.LazyBatchNorm1d(), nn.LazyLinear(3)).eval()
SLIPS = {
    "NumPy": (mlp(), X.numpy(), "torch.from_numpy"),
    "lists": (mlp(), X.tolist(), "give tensors"),
    "one number": (mlp(), torch.tensor(1.0), r"samples \[N"),
    "float64": (mlp(), X.double(), r"x\.to\(torch\.float32\)"),
    "integers": (mlp(), X.long(), "fails on a sample"),
    "another width": (mlp(), X[:, :4], r"shape \(4,\)"),
    "meta inputs": (mlp(), X.to("meta"), "real samples"),
    "sparse inputs": (mlp(), X.to_sparse(), "to_dense"),
    "meta model": (nn.Linear(6, 3, device="meta"), X, "to_empty"),
    "lazy": (LAZY, X, "call the model once"),
    "function": (lambda x: x, X, "nn.Module"),
    "classes": (Arg(lambda y: y.argmax(1, keepdim=True)), X, "return the logits"),
    "detached": (Arg(lambda y: y.detach()), X, "no_grad, detach"),
    "complex outputs": (Arg(lambda y: y + 1j * y), X, "view_as_real"),
    "no outputs": (Arg(lambda y: y[:, :0]), X, "K = 0"),
    "one axis": (Arg(lambda y: y[:, 0]), X, r"not shape \(1, K\)"),
    "mapping of others": (mlp(), {"x": X, "y": X[:2]}, "as many in each"),
    "mapping of text": (mlp(), {"x": X, "y": "text"}, "y: str"),
    "mapping of arrays": (mlp(), {"x": X, "y": X.numpy()}, r"from_numpy\(x1\['y'\]\)"),
    "ragged bags": (mlp(), (torch.arange(9), torch.tensor([0, 4])), "padded samples"),
    "wrong keyword": (mlp(), {"z": X}, r"(?s)unexpected keyword.*takes, \(input"),
    "missing keyword": (
        Encoder(),
        {"input_ids": X.long()},
        r"takes, \(input_ids, attention_mask\)",
    ),
    "empty mapping": (mlp(), {}, "has nothing"),
}


class Bag(nn.Module):
    """Of padded samples; makes the offsets itself."""

    def __init__(self, **how):
        super().__init__()
        self.e, self.h = nn.EmbeddingBag(9, 4, **how), nn.Linear(4, 2)
        self.weighs = how.get("mode") == "sum"

    def forward(self, t):
        real = t > 0
        offsets = torch.cat([torch.zeros(1, dtype=torch.long), real.sum(1).cumsum(0)[:-1]])
        weights = t[real].to(self.h.weight) / 3 if self.weighs else None
        return self.h(torch.tanh(self.e(t[real], offsets, per_sample_weights=weights)))


@pytest.mark.parametrize("how", [{}, {"mode": "sum"}, {"mode": "max"}, {"sparse": True}])
def test_bags_whose_offsets_a_wrapper_makes(how):
    torch.manual_seed(0)
    model, t = Bag(**how).double(), torch.randint(9, (7, 5))
    t[:, 0] = 1
    expected = of_kind(full_ntk(model, t), "trace")
    torch.testing.assert_close(empirical_ntk(model, t), expected)
    torch.testing.assert_close(NTKOperator(model, t) @ torch.eye(7).double(), expected)


def test_mappings_have_the_same_names_in_any_order(encoder, tokens):
    other = dict(reversed(tokens.items()))
    found = empirical_ntk(encoder, tokens, other, output="logits")
    torch.testing.assert_close(found, empirical_ntk(encoder, tokens, output="logits"))
    with pytest.raises(ModelError, match="x1 have input_ids, attention_mask, x2 input_ids"):
        empirical_ntk(encoder, tokens, {"input_ids": tokens["input_ids"]}, output="logits")


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_says_what_to_do(slip, tmp_path):
    model, x, says = SLIPS[slip]
    for call in (empirical_ntk, plan_ntk, NTKOperator, lambda *a: write_ntk(tmp_path / "k", *a)):
        with pytest.raises(ModelError, match=says):
            call(model, x)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (X.numpy(), "torch.from_numpy"),
        (X.double(), "dtype torch.float32, x2 torch.float64"),
        (X.unsqueeze(0), "ndim 2, x2 3"),
        ({"x": X}, "differ in form"),
    ],
)
def test_two_inputs_of_different_kinds(other, says):
    for call in (empirical_ntk, NTKOperator):
        with pytest.raises(ModelError, match=says):
            call(mlp(), X, other)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"chunk": 0}, "chunk = 0"),
        ({"chunk": -1}, "chunk = -1"),
        ({"chunk": 1.5}, "chunk = 1.5"),
        ({"chunk": True}, "chunk = True"),
        ({"chunk": "2"}, "chunk = '2'"),
        ({"kind": "ntk"}, r"kind = 'ntk' does not exist\n  to do: give one of: trace"),
        ({"kind": ["trace"]}, "one of: trace"),
        ({"force": "fast"}, "force = 'fast'"),
        ({"memory": "much"}, "memory = 'much'"),
        ({"memory": 0}, "memory = 0"),
        ({"parameters": 3}, "parameters = 3"),
        ({"parameters": [3]}, "give names"),
    ],
)
def test_unknown_values_of_options(how, says):
    for call in (empirical_ntk, NTKOperator):
        with pytest.raises(ArgumentError, match=says) as refused:
            call(mlp(), X, **how)
        assert "\n  to do: give " in str(refused.value)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [("2.wieght", "2.weight"), ([], "choose some of"), (lambda name, p: False, "choose some of")],
)
def test_parameters_that_are_none(chosen, says):
    with pytest.raises(ModelError, match=says):
        empirical_ntk(mlp(), X, parameters=chosen)


@pytest.mark.parametrize(
    "how",
    [
        {"tile": 0},
        {"tile": 1.5},
        {"part": (0, 0)},
        {"part": (0, 1.0)},
        {"part": 3},
        {"part": (2, 2)},
    ],
)
def test_options_of_a_store(how, tmp_path):
    with pytest.raises(ArgumentError, match=next(iter(how))):
        write_ntk(tmp_path / "k.zarr", mlp(), X, **how)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (X.numpy(), "torch.from_numpy"),
        (X.long(), "not float32"),
        (X[0], "shape"),
        ({"x": X}, r"^x1 is a dict: an .* of one tensor\n.*x1\n.*give a tensor \[N, …\], float32"),
        ((X, X), "x1 is a tuple: .* of one tensor"),
        (None, r"x1 is a NoneType: .* of one tensor\n.*\n.*give a tensor \[N, …\], float32"),
        ("words", "x1 is a str: .* of one tensor"),
    ],
)
def test_inputs_of_infinite_networks(x, says):
    with pytest.raises(ModelError, match=says):
        infinite_ntk(mlp(), x)


KERNEL, TARGETS = np.eye(8) + 0.1, np.arange(8.0)
REGRESSIONS = {
    "complex targets": ({}, KERNEL, 1j * TARGETS, "real numbers"),
    "texts as targets": ({}, KERNEL, np.array(list("abcdefgh")), "real numbers"),
    "ragged targets": ({}, KERNEL, [[1], [1, 2]] * 4, "give an array"),
    "another method": ({"method": "cholesky"}, KERNEL, TARGETS, "auto, direct, cg"),
    "ridge in capitals": ({"ridge": "LOO"}, KERNEL, TARGETS, "or 'loo'"),
    "negative ridge": ({"ridge": -1.0}, KERNEL, TARGETS, "0 or more"),
    "ridge NaN": ({"ridge": float("nan")}, KERNEL, TARGETS, "0 or more"),
    "no ridge": ({"ridge": None}, KERNEL, TARGETS, "or 'loo'"),
    "another criterion": ({"criterion": "mse"}, KERNEL, TARGETS, "squared, zero_one"),
    "lists": ({}, KERNEL.tolist(), TARGETS, "numpy.asarray"),
    "half a sample": ({"ridge": "loo", "loo_samples": 2.5}, KERNEL, TARGETS, "whole number"),
    "negative rank": ({"method": "cg", "rank": -3}, KERNEL, TARGETS, "at least 0"),
    "complex kernel": ({}, KERNEL + 0j, TARGETS, "float32 or float64"),
}


@pytest.mark.parametrize("slip", REGRESSIONS)
def test_a_slip_of_a_regression(slip):
    how, kernel, targets, says = REGRESSIONS[slip]
    with pytest.raises(RegressionError, match=says):
        KernelRidge(**({"ridge": 1.0} | how)).fit(kernel, targets)


@pytest.mark.parametrize("cross", [KERNEL.tolist(), 1j * KERNEL])
def test_a_cross_kernel_that_is_no_real_array(cross):
    with pytest.raises(RegressionError, match="cross_kernel"):
        KernelRidge(ridge=1.0).fit(KERNEL, TARGETS).predict(cross)


def test_estimates_are_of_operators_by_a_number_of_products():
    operator = NTKOperator(mlp(), X)
    for estimate in (largest_eigenvalue, xtrace):
        with pytest.raises(VectorError, match="aslinearoperator"):
            estimate(KERNEL)
    for products in ("x", 2.5, True):
        with pytest.raises(VectorError, match="whole number"):
            xtrace(operator, products=products)


def test_plans_and_networks_that_are_none():
    with pytest.raises(ValueError, match="plan_ntk"):
        empirical_ntk(mlp(), X, plan="plan")
    with pytest.raises(ValueError, match="tuning"):
        plan_ntk(mlp(), X, tuning="fast")
    with pytest.raises(ModelError, match=r"nn\.Sequential"):
        infinite_ntk("mlp", X)


def test_a_regression_with_an_operator_is_that_with_its_kernel():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3)).double()
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.randn(8)
    by_kernel = KernelRidge(ridge=1.0).fit(empirical_ntk(model, x), y)
    by_products = KernelRidge(ridge=1.0, tolerance=1e-12).fit(NTKOperator(model, x), y)
    np.testing.assert_allclose(by_products.weights, by_kernel.weights, rtol=1e-8, atol=1e-12)


class Lowered(torch.nn.Linear):
    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


def test_outputs_less_precise_than_the_parameters_are_refused():
    model, x = Lowered(4, 2), torch.randn(6, 4)
    for take in (empirical_ntk, NTKOperator):
        with pytest.raises(ModelError, match=r"outputs of torch.bfloat16, less precise"):
            take(model, x)


@dataclass
class Found:
    logits: torch.Tensor
    hidden: torch.Tensor


class Several(torch.nn.Linear):
    def forward(self, x):
        return Found(super().forward(x), x)


def test_the_fields_of_a_dataclass_are_listed():
    with pytest.raises(ModelError, match="logits, hidden"):
        empirical_ntk(Several(4, 2), torch.randn(6, 4), output="logit")
