"""What loops do to a model, a probe or a store that one would not think of."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import Watch, read_store
from ntkscope.errors import DiskError, ModelError, NtkscopeError
from ntkscope.watch import WatchError

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


def watch_of(model: nn.Module, **options: Any) -> Watch:
    return Watch(model, X, Y, **{"overhead": None, "every": 1, **options})


@pytest.mark.slow  # compiles
def test_the_layers_of_a_network_with_compiled_parts_have_their_names() -> None:
    model = net()
    model[0] = torch.compile(model[0], backend="eager")  # type: ignore[assignment]
    watch = watch_of(model)
    watch.step(0)
    model[0] = model[0]._orig_mod  # type: ignore[assignment]
    watch.step(1)
    data = watch.dataset()
    assert data["layer"].values.tolist() == ["0", "2"]
    np.testing.assert_allclose(data["distance_from_start"].values, 0, atol=1e-9)


def test_bfloat16_kernels_are_kept_in_float32(tmp_path: Path) -> None:
    watch = Watch(net().bfloat16(), X.bfloat16(), Y, store=tmp_path / "k.zarr", overhead=None)
    watch.step(0)
    watch.close()
    reference = watch_of(net())
    reference.step(0)
    found, expected = (each.dataset()["trace"].item() for each in (watch, reference))
    assert abs(found / expected - 1) < 0.02
    assert read_store(tmp_path / "k.zarr", "kernels")["ntk"].dtype == np.float32


def test_models_that_cannot_be_watched() -> None:
    frozen = net().requires_grad_(False)
    with pytest.raises(ModelError, match="requires_grad is False of all"):
        watch_of(frozen).step(0)
    for model, word in ((nn.ReLU(), "no parameters"), (torch.jit.script(net()), "TorchScript")):
        with pytest.raises(WatchError, match=word):
            watch_of(model)


def test_losses_that_are_none() -> None:
    model = net()
    watch = watch_of(model)
    with pytest.raises(WatchError, match="'small' is no loss or accuracy"):
        watch.step(0, loss="small")
    each = nn.functional.cross_entropy(model(X), Y, reduction="none")
    with pytest.raises(WatchError, match="a loss of 16 numbers"):
        watch.step(1, loss=each)
    watch.step(2, loss=each.mean())


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """A Ctrl-C raises, also where a shell in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("stored", [True, False])
def test_a_step_that_is_interrupted_is_whole(stored: bool, tmp_path: Path) -> None:
    watch = watch_of(net(), store=tmp_path / "k.zarr" if stored else None)
    watch.step(0)
    assert watch._metrics is not None
    update = watch._metrics.update

    def interrupted(*given: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        update(*given)

    watch._metrics.update = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        watch.step(1)
    watch._metrics.update = update  # type: ignore[method-assign]
    watch.step(2)
    assert watch.dataset()["step"].values.tolist() == [0, 1, 2]
    watch.close()
    if stored:
        assert read_store(tmp_path / "k.zarr", "kernels")["step"].values.tolist() == [0, 1, 2]


def test_a_logger_that_fails_costs_no_kernel(tmp_path: Path) -> None:
    def failing(*_: Any) -> None:
        raise ZeroDivisionError

    watch = watch_of(net(), store=tmp_path / "k.zarr", log_fn=failing)
    for step in range(2):
        with pytest.raises(ZeroDivisionError):
            watch.step(step)
    watch.close()
    assert read_store(tmp_path / "k.zarr", "kernels")["step"].values.tolist() == [0, 1]


def test_places_of_stores(tmp_path: Path) -> None:
    (tmp_path / "an empty folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    watch = watch_of(net(), store=tmp_path / "an empty folder")
    watch.step(0)
    watch.close()
    read_store(tmp_path / "an empty folder", "kernels")
    for place, word in (
        ("file", "no store of kernels"),
        ("full", "no store of kernels"),
        ("file/k.zarr", "no folder can be made"),
    ):
        with pytest.raises(NtkscopeError, match=word):
            watch_of(net(), store=tmp_path / place).step(0)
    assert {each.name for each in tmp_path.iterdir()} == {"an empty folder", "file", "full"}
    assert (tmp_path / "full" / "notes").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_said_at_the_first_step(
    tmp_path: Path, monkeypatch: Any
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "no", str(tmp_path))

    monkeypatch.setattr(Path, "write_text", refused)
    with pytest.raises(DiskError, match="nothing can be written here"):
        watch_of(net(), store=tmp_path / "k.zarr").step(0)


def test_a_store_keeps_its_place_when_the_process_changes_its_own(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    watch = watch_of(net(), store="k.zarr")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    watch.step(0)
    watch.close()
    assert (tmp_path / "k.zarr").is_dir()
