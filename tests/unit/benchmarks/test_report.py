"""Measurements become rows, a table, verdicts, a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import measure, run
from benchmarks.cases import CASES
from benchmarks.figure import draw
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import timing
from benchmarks.gpu.kernels import kernel_rows
from benchmarks.gpu.training import training_rows
from benchmarks.measure import Measured
from benchmarks.peers import NEURAL_TANGENTS, OURS, PEERS, SGEMM
from benchmarks.process import Limits
from benchmarks.report import printed, verdicts
from benchmarks.table import rows_of
from tests.pretended_gpu import NAME, pretended_gpu


def rows(case, ours=1.0, theirs=4.0):
    """Rows of a case in which the second of three rounds was disturbed."""
    by_name = {peer.name: Measured(peer) for peer in PEERS if peer.takes(case)}
    for each in by_name.values():
        each.status = "out of memory"
    for name, seconds in ((SGEMM, 1.0), (OURS, ours), (NEURAL_TANGENTS, theirs)):
        if name not in by_name:
            continue
        noise = np.array([1, 3, 1])
        each = by_name[name]
        each.status, each.first, each.peak, each.error = "ok", seconds, 1e6 * seconds, 0.0
        each.seconds, each.cpu_share = list(seconds * noise), [1, 1 / 3, 1]
        each.flops = 10e9 if name == SGEMM else 9e9
    return rows_of(case, list(by_name.values()))


def test_ratios_are_taken_round_by_round() -> None:
    theirs = next(row for row in rows(CASES[0]) if row["peer"] == NEURAL_TANGENTS)
    assert (theirs["ratio"], theirs["ratio_low"], theirs["ratio_high"]) == (4, 4, 4)
    assert theirs["median_seconds"] == 4
    assert theirs["cpu_share"] == 1
    ours = next(row for row in rows(CASES[0]) if row["peer"] == OURS)
    assert ours["share_of_sgemm"] == pytest.approx(0.9)


def test_a_peer_that_sat_out_rounds_is_compared_on_the_others() -> None:
    case = CASES[0]
    found = [Measured(peer) for peer in PEERS[:3]]
    for each, seconds in zip(found, ([1, 1, 1], [1, 2, 1], [5, np.nan, 5]), strict=True):
        each.seconds, each.cpu_share, each.flops = seconds, [1, 1, 1], 1e9
    (_, theirs) = rows_of(case, found)
    assert (theirs["ratio"], theirs["rounds"]) == (5, 2)


def test_every_target_is_judged(tmp_path) -> None:
    table = pd.DataFrame([row for case in CASES for row in rows(case)])
    said = verdicts(table)
    assert "met           neural-tangents, trace, geometric mean ≥ 3: 4.00 over 10 cases" in said
    assert "MISSED        neural-tangents, full, geometric mean ≥ 5: 4.00 over 4 cases" in said
    assert "MISSED        memory over neural-tangents'" in said
    assert "met           share of sgemm, MLP" in said
    assert "not measured  torch.func" in said
    draw(table, tmp_path / "bench")
    assert (tmp_path / "bench.pdf").exists()


def test_the_table_says_why_a_peer_has_no_numbers() -> None:
    assert "out of memory" in printed(pd.DataFrame(rows(CASES[0])))


def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert "no CUDA GPU" in capsys.readouterr().out


def test_seeds_learn_the_same_in_all_three_ways() -> None:
    (row,) = training_rows(torch.device("cpu"), quick=True)
    assert row["stacked_gain"] > 0


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_the_cpu(tmp_path) -> None:
    assert gpu.main(["--device", "cpu", "--quick", "--output", str(tmp_path / "gpu")]) == 0
    table = pd.read_csv(tmp_path / "gpu-kernels.csv", comment="#")
    assert list(table.status) == list(table.few_status) == ["ok", "ok"]


@pytest.mark.slow
def test_the_gpu_benchmark_stays_on_its_device(monkeypatch) -> None:
    monkeypatch.setitem(timing.SIZE, NAME, 64)
    with pretended_gpu(monkeypatch) as device:
        rows = kernel_rows(device, quick=True)
        assert {(row["status"], row["few_status"]) for row in rows} == {("ok", "ok")}
        assert training_rows(device, quick=True)


def test_a_peer_without_its_environment_is_not_installed(tmp_path, monkeypatch) -> None:
    peer = next(peer for peer in PEERS if peer.name == NEURAL_TANGENTS)
    monkeypatch.setattr(measure, "PEERS", [peer])
    found = measure.measure(CASES[0], measure.Peers(tmp_path, Limits()), measure.Effort())
    assert [each.status for each in found] == ["not installed"]


@pytest.mark.slow
def test_the_benchmark_runs_without_the_peers_environment(tmp_path) -> None:
    options = ["--quick", "--cases", "trace MLP", "--environment", str(tmp_path)]
    run.main([*options, "--output", str(tmp_path / "bench")])
    table = pd.read_csv(tmp_path / "bench.csv", comment="#").set_index("peer")
    assert table.status[NEURAL_TANGENTS] == "not installed"
    assert list(table.status.iloc[[0, 2, 3]]) == ["ok"] * 3
    assert (tmp_path / "bench.png").exists()
