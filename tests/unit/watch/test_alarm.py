"""Alarms of a watch: raised at a shift that nobody declared, told to loggers, kept when resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import Watch
from ntkscope.statistics.shift_detector import ShiftDetectorError
from ntkscope.watch import Alarm, WatchError

SHIFT = 40


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def make_watch(network: nn.Module, **options: object) -> Watch:
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
    return Watch(network, x, **{"every": 1, "overhead": None, **options})


def loop(watch: Watch, network: nn.Module, steps: range) -> list[dict[str, float]]:
    """Small motions, and a large one at SHIFT; the same whatever the steps before."""
    told = []
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            size = 0.5 if step == SHIFT else 0.003
            network[0].weight += size * torch.randn(8, 3, generator=generator)
        told.append(watch.step(step, loss=1.0 + 5 * (step == SHIFT)) or {})
    return told


@pytest.mark.parametrize("of", ["velocity", "loss", "layer_velocity/0"])
def test_a_shift_nobody_declared_is_told(of: str) -> None:
    network, called = model(), []
    watch = make_watch(network)
    alarm = watch.alarm(of, rate=1 / 30, on_alarm=called.append)
    told = loop(watch, network, range(60))
    steps = [each.step for each in alarm.raised]
    assert SHIFT in steps
    assert called == alarm.raised
    assert all(isinstance(each, Alarm) and each.p <= 1 / 30 for each in called)
    flags = [step for step, values in enumerate(told) if values.get(f"ntk/alarm/{of}")]
    assert flags == steps
    value = next(each.value for each in called if each.step == SHIFT)
    assert value == told[SHIFT][f"ntk/{of}"]


def test_of_a_kernel_in_k_steps_each_pair_is_compared_with_those_before() -> None:
    network = model()
    watch = make_watch(network, every=3)
    alarm = watch.alarm(rate=0.1)
    told = loop(watch, network, range(60))  # pairs (0, 1), (3, 4), …, one of them (39, SHIFT)
    decided = [step for step, values in enumerate(told) if "ntk/alarm/velocity" in values]
    assert decided == list(range(1, 60, 3))
    assert SHIFT in [each.step for each in alarm.raised]


def test_a_run_that_goes_on_from_its_store_has_the_alarms_of_one_that_was_not_killed(
    tmp_path: Path,
) -> None:
    whole = model()
    watch = make_watch(whole)
    alarm = watch.alarm(rate=0.05)
    loop(watch, whole, range(60))
    network, called = model(), []
    first = make_watch(network, store=tmp_path / "k.zarr")
    first.alarm(rate=0.05)
    loop(first, network, range(50))
    first.flush()
    again = make_watch(network, store=tmp_path / "k.zarr")
    resumed = again.alarm(rate=0.05, on_alarm=called.append)
    loop(again, network, range(50, 60))
    assert [each.step for each in resumed.raised] == [each.step for each in alarm.raised]
    assert [each.step for each in called] == [s.step for s in alarm.raised if s.step >= 50]
    np.testing.assert_allclose(
        [each.value for each in resumed.raised], [each.value for each in alarm.raised], rtol=1e-6
    )


def test_alarms_are_marked_in_the_figure() -> None:
    network = model()
    watch = make_watch(network)
    alarms = [watch.alarm(of, rate=1 / 30) for of in ("velocity", "layer_velocity/0", "trace")]
    loop(watch, network, range(3))
    assert len(watch.plot().legends) == 1  # of the layers: none was raised yet
    loop(watch, network, range(3, 60))
    figure = watch.plot()
    marks = {
        (place, tuple(line.get_xdata()))
        for place, axes in enumerate(figure.axes)
        for line in axes.lines
        if line.get_marker() == "v"
    }
    raised = [tuple(each.step for each in alarm.raised) for alarm in alarms]
    assert SHIFT in raised[0]
    assert marks == {(at, s) for at, s in zip((0, 1, 0), raised, strict=True) if s}
    assert "alarm" in [text.get_text() for each in figure.legends for text in each.get_texts()]


def test_an_alarm_that_could_say_nothing_is_refused() -> None:
    network = model()
    with pytest.raises(WatchError, match="nothing that a watch measures"):
        make_watch(network).alarm("velocty")
    with pytest.raises(WatchError, match="log-spaced"):
        make_watch(network, every=None).alarm()
    with pytest.raises(ShiftDetectorError, match="no share"):
        make_watch(network).alarm(rate=2)
