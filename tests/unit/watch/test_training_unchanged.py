"""A training that is watched is, to the bit, the one that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.watch.loops import Trained, make_watch, network, samples, train


def assert_same(one: Trained, other: Trained) -> None:
    assert one.losses == other.losses
    for a, b in zip(one.states, other.states, strict=True):
        np.testing.assert_equal(np.asarray(a, object), np.asarray(b, object))
    named, others = one.model.state_dict(), other.model.state_dict()
    assert list(named) == list(others)
    assert all(torch.equal(named[name], others[name]) for name in named)
    modes = [module.training for module in one.model.modules()]
    assert modes == [module.training for module in other.model.modules()]
    moments, theirs = one.optimiser.state_dict()["state"], other.optimiser.state_dict()["state"]
    for key, state in moments.items():
        assert all(torch.equal(state[name], theirs[key][name]) for name in state)
    for p, q in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        assert p.requires_grad == q.requires_grad


@pytest.mark.parametrize(
    "how",
    [{}, {"autocast": True}, {"accumulate": 2}, {"wrap": torch.nn.DataParallel}],
    ids=["plain", "autocast", "accumulation", "parallel"],
)
def test_the_bits_of_training_are_the_same(how: dict[str, Any], tmp_path: Any) -> None:
    watched = train(make_watch(store=tmp_path / "k.zarr"), **how)
    assert watched.watch is not None
    assert len(watched.watch.dataset()["step"]) >= 10
    assert_same(train(None, **how), watched)


def test_what_is_given_as_a_function_changes_nothing_either() -> None:
    x, y = samples()
    model = network()
    model[1].eval()  # frozen by the user: it stays so
    watch = make_watch()(model)
    before = torch.get_rng_state()
    modes: list[bool] = []

    def accuracy() -> float:
        modes.extend(module.training for module in model.modules())
        torch.randn(3)
        return float((model(x).argmax(1) == y).float().mean())

    values = watch.step(0, loss=lambda: [0.5, 0.25], accuracy=accuracy)
    assert values is not None
    assert 0 <= values["ntk/accuracy"] <= 1
    assert values["ntk/loss"] == 0.25
    assert not any(modes)
    assert [m.training for m in model.children()] == [True, False, True, True, True, True]
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(watch.dataset()["loss"].values, [[[0.5, 0.25]]])


def test_gradients_that_are_accumulated_stay() -> None:
    x, y = samples()
    model = network()
    nn.functional.cross_entropy(model(x), y).backward()
    held = [(p.grad, p.grad.clone()) for p in model.parameters() if p.grad is not None]
    make_watch()(model).step(0)
    now = [p.grad for p in model.parameters()]
    assert len(held) == len(now)
    for gradient, (same, value) in zip(now, held, strict=True):
        assert gradient is same
        assert torch.equal(same, value)


def test_under_inference_mode_and_no_grad_the_kernel_is_the_same() -> None:
    found = []
    for context in (torch.enable_grad(), torch.no_grad(), torch.inference_mode()):
        watch = make_watch()(network())
        with context:
            watch.step(0)
        found.append(watch.dataset()["eigenvalues"].values)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.slow
def test_a_compiled_network_is_watched_unchanged() -> None:
    def compiled(model: nn.Module) -> nn.Module:
        return torch.compile(model, backend="aot_eager")  # type: ignore[return-value]

    assert_same(train(None, wrap=compiled), train(make_watch(), wrap=compiled))


def _process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )

    def parallel(model: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(model)

    plain, watched = train(None, wrap=parallel), train(make_watch(), wrap=parallel)
    assert_same(plain, watched)
    assert watched.watch is not None
    assert watched.watch.report().kernels == (0 if rank else 12)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_of_parallel_processes_the_first_watches(tmp_path: Any) -> None:
    torch.multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
