"""Kernels of which not all outputs go back at once."""

import pytest
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.assembly import outputs_last
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.output_blocks import OutputBlock, output_blocks
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.tuning import Tuning
from ntkscope.ntk.kinds import EMPIRICAL_KINDS
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk

torch.set_num_threads(1)


TWO_AT_ONCE = Tuning(outputs_at_once=2)


@pytest.mark.parametrize("force", [None, "materialised"])
@pytest.mark.parametrize("kind", ["trace", "full", "diagonal", "pseudo"])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_in_parts_give_the_same(name, kind, force):
    model, x1, x2 = network(name)
    for other in (None, x2):
        expected = ntk(model, x1, x1 if other is None else other, kind)
        plan = make_plan(model, x1, other, kind, force, tuning=TWO_AT_ONCE)
        found = empirical_ntk(model, x1, other, kind=kind, plan=plan)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
        if other is None and kind != "diagonal":
            flat = found.flatten(2).flatten(0, 1) if kind == "full" else found
            assert torch.equal(flat, flat.T)


def test_layers_in_parts_sum_to_the_whole():
    model, x, _ = network("residual batch norm")
    plan = plan_ntk(model, x, tuning=TWO_AT_ONCE)
    found = empirical_ntk(model, x, by_layer=True, plan=plan)
    torch.testing.assert_close(sum(found.values()), empirical_ntk(model, x), rtol=1e-12, atol=1e-12)


def many_outputs() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 64, 50)
    )
    return model.double(), torch.randn(9, 2, 8, 8).double()


@pytest.mark.parametrize("kind", list(EMPIRICAL_KINDS))
@pytest.mark.parametrize("samples", [2, 9])
def test_where_not_a_sample_fits_with_all_outputs_some_of_them_do(kind, samples):
    model, x = many_outputs()
    x = x[:samples]
    plan = make_plan(model, x, None, kind)
    budget = (plan.working_bytes + plan.gradient_bytes) // 4
    found = empirical_ntk(model, x, kind=kind, memory=budget if kind != "pseudo" else 10**8)
    whole = empirical_ntk(model, x, kind=kind, memory=10**9)
    torch.testing.assert_close(found, whole, rtol=1e-11, atol=1e-11)


def test_all_outputs_go_at_once_where_there_is_room():
    model, x = many_outputs()
    plan = make_plan(model, x, None, "full")
    for memory in (None, 10**9):
        (only,) = output_blocks(plan, memory, len(x), 0, None)
        assert only.on_diagonal
        assert only.rows == slice(0, 50)


def test_memory_is_spared_where_it_hardly_takes_longer():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 144, 16))
    x = torch.randn(400, 3, 12, 12)

    def at_once(*, sparing, **tuning):
        plan = make_plan(model, x, None, "trace", tuning=Tuning(**tuning))
        blocks = output_blocks(plan, 10**10, 400, 0, None, sparing=sparing)
        return [len(block.plan.output_vectors) for block in blocks]

    assert at_once(sparing=False) == at_once(sparing=True) == [16]  # too little to be spared
    assert at_once(sparing=True, unspared_bytes=0) == [
        16
    ]  # one more forward pass is more than a twentieth here
    slower = {"unspared_bytes": 0, "sparing_slowdown": 1.5}
    assert at_once(sparing=False, **slower) == [16]
    fewer = at_once(sparing=True, **slower)
    assert 1 < len(fewer) < 16
    assert sum(fewer) == 16
    whole = empirical_ntk(model, x[:20], memory="1GB")
    torch.testing.assert_close(empirical_ntk(model, x[:20]), whole, rtol=1e-4, atol=1e-4)


def test_the_fewer_outputs_the_more_samples_are_held():
    model, x = many_outputs()
    plan = make_plan(model, x, None, "trace")
    some = list(output_blocks(plan, plan.working_bytes // 3, 1000, 0, None))
    assert [part.rows.start for part in some] == [0, *(part.rows.stop for part in some[:-1])]
    assert some[-1].rows.stop == 50
    part = some[0]
    R, blocking = len(part.plan.output_vectors), part.blocking
    assert R < 50
    kept = (blocking.row_block + blocking.column_block) * part.plan.gradient_bytes
    assert blocking.batch * part.plan.working_bytes + kept <= plan.working_bytes // 3


def test_pairs_of_different_outputs_are_taken_once():
    model, x = many_outputs()
    plan = make_plan(model, x, None, "full")
    budget = (plan.working_bytes + plan.gradient_bytes) // 4

    def pairs(some: list[OutputBlock]) -> list[tuple[int, int]]:
        return [(part.rows.start, part.columns.start) for part in some]

    upper = pairs(list(output_blocks(plan, budget, 9, 0, None)))
    assert len(upper) > 1
    assert all(row <= column for row, column in upper)
    every = pairs(list(output_blocks(plan, budget, 9, 9, None)))
    assert set(every) >= set(upper) | {(column, row) for row, column in upper}


def test_not_even_one_output_fits():
    model, x = many_outputs()
    with pytest.raises(ModelError, match="do not fit into memory = 1000") as error:
        empirical_ntk(model, x, memory=1000)
    least = int(str(error.value).split("give at least ")[1].split()[0])
    assert empirical_ntk(model, x, memory=least + 1000).shape == (9, 9)


def test_columns_beside_the_rows_count_too():
    model, x = many_outputs()
    plan = make_plan(model, x, x, "trace")
    rows = len(x) * plan.gradient_bytes + len(x) * (plan.working_bytes + plan.gradient_bytes)
    (only,) = output_blocks(plan, rows, len(x), 10**6, len(x))
    assert only.blocking.column_block < 10**6
    found = compute_kernels(model, plan, x, x, by_layer=False, memory=rows)[""]
    expected = outputs_last(empirical_ntk(model, x), "trace")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
