"""What a plan says, what it is good for, and the costs behind it."""

import pytest
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.costs import REFERENCE_THROUGHPUT, Cost, Throughput
from ntkscope.ntk.empirical.gradients.factors import bytes_per_sample
from ntkscope.ntk.empirical.gram.strategies import STRATEGIES
from ntkscope.ntk.empirical.layer_gradients import per_sample_gradients
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.throughput import measured_throughput
from tests.oracles.networks import NAMES, network

torch.set_num_threads(1)


def test_a_plan_is_a_table_of_the_layers():
    model, x1, x2 = network("residual batch norm")
    lines = str(plan_ntk(model, x1, x2, kind="full")).splitlines()
    assert lines[0] == "full NTK of 5 × 3 samples"
    assert lines[1].split() == ["layer", "strategy", "GFLOP", "MB", "seconds"]
    named = {line.split()[0]: line.split()[1] for line in lines[2:]}
    assert list(named) == [
        *("conv1", "norm1", "conv2", "norm2", "down", "head"),
        *("passes", "all"),
    ]
    assert named["head"] == "factored"
    assert len({len(line) for line in lines[1:]}) == 1


def test_a_plan_serves_again_after_the_parameters_have_changed():
    model, x1, x2 = network("vision transformer")
    plan = plan_ntk(model, x1)
    for parameter in model.parameters():
        parameter.data *= 1.1
    for other in (None, x2):
        torch.testing.assert_close(
            empirical_ntk(model, x1, other, plan=plan), empirical_ntk(model, x1, other)
        )


def test_a_plan_of_something_else_is_refused():
    (model, x, _), (other, _, _) = network("vectors"), network("vectors")
    for plan in (plan_ntk(other, x), plan_ntk(model, x, kind="full")):
        with pytest.raises(ValueError, match="the plan is of"):
            empirical_ntk(model, x, plan=plan)


def test_a_plan_refuses_what_has_no_kernel():
    with pytest.raises(ModelError, match="eval"):
        plan_ntk(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)), torch.randn(4, 3))


@pytest.mark.parametrize("force", [None, *STRATEGIES])
@pytest.mark.parametrize("name", NAMES)
def test_the_memory_of_what_is_kept_is_foreseen(name, force):
    model, x, _ = network(name)
    plan = make_plan(model, x, None, "trace", force)
    kept = sum(bytes_per_sample(term) for term in per_sample_gradients(model, plan, x).values())
    assert kept <= plan.gradient_bytes <= 1.3 * kept


def test_the_calibration_is_measured_once():
    device = torch.device("cpu")
    throughput = measured_throughput(device, torch.float32)
    assert throughput is measured_throughput(device, torch.float32)
    assert throughput.multiply_adds > 0
    assert throughput.elements > 0


def test_time_is_that_of_products_and_of_what_is_passed_over():
    assert Throughput(10.0, 2.0).seconds(Cost(50.0, 4.0)) == 7.0
    assert (Cost(1.0, 2.0) + Cost(3.0, 4.0)).flops == 14.0


def test_deep_narrow_images_are_taken_by_pixels():
    class Deep(nn.Module):
        def __init__(self, channels, size):
            super().__init__()
            self.conv, self.head = nn.Conv2d(channels, channels, 3, padding=1), nn.LazyLinear(1)

        def forward(self, x):
            return self.head(torch.relu(self.conv(x)).flatten(1))

    def chosen(channels, size):
        torch.manual_seed(0)  # where every unit is dead, nothing fits
        model, x = Deep(channels, size), torch.randn(500, channels, size, size)
        model(x[:1])
        plan = make_plan(model, x, None, "trace", throughput=REFERENCE_THROUGHPUT)
        return plan.layers[0].strategy

    assert chosen(channels=256, size=2) == "pixels"
    assert chosen(channels=4, size=16) == "materialised"
