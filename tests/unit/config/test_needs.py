"""What a job asks for grows with what it will measure."""

import pytest

from ntkscope.config import load_config
from ntkscope.config.expand import expand
from ntkscope.config.memory_needs import bytes_to_measure, megabytes_to_measure


@pytest.fixture
def cell(values):
    return expand(load_config(values), "reactivation")[0]


def test_small_kernels_ask_for_little(cell):
    assert megabytes_to_measure(cell.run, cell.kernel) == 2000


def test_large_kernels_ask_for_what_a_seed_takes(cell):
    large = cell.kernel.model_copy(update={"samples": 20_000, "by_layer": False})
    asked = megabytes_to_measure(cell.run, large)
    assert asked == 1000 + bytes_to_measure(20_000, 0) // 10**6
    layers = cell.run.model.depth + 1
    by_layer = large.model_copy(update={"by_layer": True})
    assert megabytes_to_measure(cell.run, by_layer) > asked * (1 + layers * 7 / 16) * 0.95


def test_a_full_kernel_has_a_row_for_each_output(cell):
    trace = cell.kernel.model_copy(update={"samples": 10_000})
    full = cell.kernel.model_copy(update={"samples": 1000, "kind": "full"})
    assert megabytes_to_measure(cell.run, full) == megabytes_to_measure(cell.run, trace)


@pytest.mark.parametrize(("kind", "layers"), [("myrtle5", 5), ("myrtle10", 10), ("cnn", 3)])
def test_every_network_has_its_layers(cell, kind, layers):
    model = cell.run.model.model_copy(update={"kind": kind, "depth": 2})
    run = cell.run.model_copy(update={"model": model})
    kernel = cell.kernel.model_copy(update={"samples": 5000, "by_layer": True})
    assert megabytes_to_measure(run, kernel) == 1000 + bytes_to_measure(5000, layers) // 10**6
