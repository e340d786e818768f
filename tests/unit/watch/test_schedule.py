"""When kernels are due, and the time they may take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import Watch
from ntkscope.errors import NtkscopeError
from ntkscope.watch.overhead import Overhead
from ntkscope.watch.schedule import LossJumps, Schedule
from tests.unit.watch.loops import make_watch, network


def due(schedule: Schedule, steps: range, boundaries: tuple[int, ...] = ()) -> list[int]:
    found = []
    for step in steps:
        if why := schedule.due(step):
            found.append(step)
            schedule.taken(step, why)
        if step in boundaries:
            schedule.restart(step)
    return found


def test_dense_at_first_then_log_spaced_in_pairs() -> None:
    found = due(Schedule(dense=4, per_decade=4), range(10_000))
    assert found[:6] == [0, 1, 2, 3, 4, 5]
    steps = np.asarray(found)
    alone = steps[~np.isin(steps - 1, steps)]
    late = alone[alone > 100]
    np.testing.assert_allclose(late[1:] / late[:-1], 10**0.25, rtol=0.02)
    assert np.isin(late + 1, steps).all()
    assert len(found) < 40


def test_a_boundary_begins_anew_and_announced_it_is_dense_before_too() -> None:
    schedule = Schedule(dense=3, per_decade=2, announced={5000})
    found = due(schedule, range(6000), (1000, 5000))
    assert set(range(1001, 1005)) <= set(found)
    assert set(range(4997, 5005)) <= set(found)
    assert 996 not in found


def test_every_k_steps_stays_on_its_grid() -> None:
    assert due(Schedule(every=10), range(3, 40), (17,)) == [3, 4, 13, 14, 18, 23, 24, 33, 34]


def test_a_jump_of_the_loss_is_seen_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    losses = 2 * np.exp(-np.arange(400) / 60) * (1 + 0.3 * rng.random(400)) + 0.01 * rng.random(400)
    jumps = LossJumps()
    assert not any(jumps.jumped(loss) for loss in losses)
    assert jumps.jumped(2.0)
    assert not any(jumps.jumped(loss) for loss in (2.0, 1.9, 1.8))
    assert LossJumps(least=0).jumped(float("nan"))


@pytest.mark.parametrize("early", [float("nan"), float("inf")])
def test_a_jump_is_seen_after_an_early_loss_that_was_not_finite(early: float) -> None:
    jumps = LossJumps()
    assert not any(jumps.jumped(loss) for loss in [1.0, early, *[1.0] * 30])
    assert jumps.jumped(9.0)


def test_a_watch_is_dense_where_the_loss_jumps() -> None:
    watch = Watch(nn.Sequential(nn.Linear(2, 2)), torch.randn(4, 2), overhead=None, dense=5)
    for step in range(400):
        watch.step(step, loss=1.0 if step < 300 else 9.0)
    steps = set(watch.dataset()["step"].values.tolist())
    assert set(range(300, 305)) <= steps
    assert len(steps) < 90
    assert watch.dataset().attrs["boundaries"].tolist() == []


class Clock:
    """Seconds that are made up."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("bound", [0.01, 0.05, 0.3])
def test_the_share_stays_under_what_was_asked(bound: float) -> None:
    """Training steps of 10 ms, kernels of 200 ms, the first of a second; a boundary in between."""
    clock, schedule = Clock(), Schedule()
    overhead = Overhead(bound, clock)
    for step in range(20_000):
        clock.now += 0.01
        overhead.touch()
        why = schedule.due(step)
        if why and overhead.allows(why):
            with overhead.timed():
                clock.now += 0.2 if step else 1.0
            schedule.taken(step, why)
        if step == 10_000:
            schedule.restart(step)
    share = overhead.spent / overhead.total
    assert share <= bound
    assert share > 0.2 * bound
    assert overhead.kernels >= 2 * (1 + 100 * bound)


def test_the_report_says_what_it_cost() -> None:
    watch = Watch(nn.Sequential(nn.Linear(2, 2)), torch.randn(4, 2), overhead=0.001)
    assert "no kernel yet" in repr(watch)
    for step in range(30):
        watch.step(step)
    report = watch.report()
    assert (report.steps, report.kernels) == (30, 2)
    assert report.put_off > 0
    assert report.share > 0.001
    text = str(report)
    assert all(word in text for word in ("asked: at most 0.1 %", "above what was", "overhead=None"))


def test_the_report_counts_the_kernels_that_it_computed(tmp_path: Path) -> None:
    watched = make_watch(store=tmp_path / "k.zarr", every=1)(network())
    for step in range(6):
        watched.step(step)
    watched.close()
    again = make_watch(store=tmp_path / "k.zarr", every=1)(network())
    again.resume()
    assert "6 kernels of its store" in str(again.report())
    again.step()
    assert (again.report().steps, again.report().kernels) == (1, 1)


def test_a_report_after_a_first_kernel_that_failed() -> None:
    watch = Watch(torch.nn.Linear(3, 2), torch.zeros(4, 5))
    with pytest.raises(NtkscopeError):
        watch.step(0)
    assert "no kernel yet" in repr(watch)
