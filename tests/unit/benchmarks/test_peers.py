"""All peers are given the same network, and answer with the same kernel."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.cases import CASES, TODAY, Case, chosen, compared, inputs, weight_shapes
from benchmarks.flops import ntk_flops
from benchmarks.peers import JACOBIAN, NEURAL_TANGENTS, PEERS, ours, torch_func
from benchmarks.peers.networks import network_of
from benchmarks.process import Limits, PeerError, PeerProcess
from benchmarks.worker import Worker, serve

SMALL = [case.small() for case in CASES]
RECENT = [case for case in SMALL if case.network in TODAY]
EMPIRICAL = [case for case in SMALL if case.group != "infinite" and case not in RECENT]


@pytest.mark.parametrize("case", EMPIRICAL, ids=lambda case: case.name)
def test_the_networks_have_the_shapes_that_all_peers_are_given(case: Case) -> None:
    shapes = [tuple(p.shape) for n, p in network_of(case).named_parameters() if "weight" in n]
    assert shapes == weight_shapes(case)


@pytest.mark.parametrize("variant", ["jacobian", "products"])
@pytest.mark.parametrize("place", [0, 8, 13])
def test_torch_func_gives_our_kernel(place: int, variant: str) -> None:
    case = replace(SMALL[place], samples=4)
    rows, columns = compared(case)
    ours_take, ours_pick = ours.prepare(case, "")
    take, pick = torch_func.prepare(case, variant)
    theirs = pick(take(), rows, columns)
    assert theirs == pytest.approx(ours_pick(ours_take(), rows, columns), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("case", RECENT, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_torch_func_gives_our_kernel_of_networks_of_today(case: Case) -> None:
    case = replace(case, samples=5, outputs=min(case.outputs, 20))
    rows, columns = compared(case)
    take, pick = torch_func.prepare(case, "jacobian")
    ours_take, ours_pick = ours.prepare(case, "")
    wanted = ours_pick(ours_take(), rows, columns)
    assert np.abs(pick(take(), rows, columns) - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_the_diagonal_of_infinite_kernels_is_not_compared() -> None:
    rows, columns = compared(next(case for case in CASES if case.group == "infinite"))
    assert not set(rows) & set(columns)


def test_inputs_are_the_same_each_time_and_in_two_parts_where_asked() -> None:
    x1, x2 = inputs(SMALL[-1])
    assert x2 is not None
    assert (len(x1), len(x2)) == (12, 9)
    np.testing.assert_array_equal(x1, inputs(SMALL[-1])[0])


def test_cases_are_chosen_by_words() -> None:
    assert [case.samples for case in chosen("full MLP 64, cnn", False)] == [
        100,
        500,
        200,
        1000,
        100,
    ]
    with pytest.raises(SystemExit, match="no case"):
        chosen("transformer", False)


def test_operations_of_a_dense_network() -> None:
    network = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    forward, backward = 15 + 12 + 8, 2 * 12
    found = {kind: ntk_flops(network, torch.ones(7, 5), 2, kind) for kind in ("trace", "full")}
    trace, full = (5 + 2 * 3) + (3 + 4) + 4, (5 + 4 * 3) + (3 + 4 * 4) + 4
    assert found["trace"] == 2 * (7 * (forward + backward) + 28 * trace)
    assert found["full"] == 2 * (7 * (forward + backward) + 28 * full)


def test_operations_of_a_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(12, 1))
    x = torch.ones(1, 2, 2, 2)
    structured = 4**2 * (2 + 9 + 3)
    materialised = 3 * 18 + 3 * 18 * 4
    expected = 4 * 3 * 18 + 12 + min(structured, materialised) + 12
    assert ntk_flops(network, x, 1, "trace") == 2 * expected


def test_a_worker_answers_in_lines(tmp_path) -> None:
    requests = [
        {"do": "prepare", "case": json.loads(json.dumps(asdict(SMALL[0])))},
        {"do": "first"},
        {"do": "save", "path": str(tmp_path / "entries.npy")},
        {"do": "run", "times": 2},
        {"do": "save", "path": str(tmp_path / "nowhere" / "entries.npy")},
    ]
    answers = io.StringIO()
    serve(Worker("ours", ""), io.StringIO("".join(f"{json.dumps(r)}\n" for r in requests)), answers)
    prepared, first, saved, run, failed = map(json.loads, answers.getvalue().splitlines())
    assert prepared["flops"] > 0
    assert first["peak"] >= 0
    assert saved == {}
    assert np.load(tmp_path / "entries.npy").shape == (12, 12)
    assert run["seconds"] > 0
    assert failed["failed"].startswith("FileNotFoundError")


def test_peers_much_slower_than_ours_are_given_up_but_neural_tangents() -> None:
    limits = Limits(seconds=100, times_ours=20, least=10)
    rival, other = (next(p for p in PEERS if p.name == n) for n in (NEURAL_TANGENTS, JACOBIAN))
    assert [limits.for_one(other, ours) for ours in (0.1, 1, 10)] == [10, 20, 100]
    assert limits.for_one(rival, 0.1) == 100


def test_a_process_that_dies_says_why(tmp_path) -> None:
    process = PeerProcess(replace(PEERS[0], module="nobody"), tmp_path, Limits())
    with pytest.raises(PeerError, match=r"No module named 'benchmarks\.peers\.nobody'"):
        process.ask("first")
    process.close()


def test_a_process_that_is_too_slow_is_given_up(tmp_path) -> None:
    process = PeerProcess(PEERS[0], tmp_path, Limits())
    with pytest.raises(PeerError, match="> 0 s"):
        process.ask("first", limit=0.01)
    process.close()
