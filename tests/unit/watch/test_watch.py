"""What a watch sees: the workflow's metrics, of the kernels that it computed when they were due."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch import nn

from ntkscope import Watch, empirical_ntk, read_store
from ntkscope.errors import ModelError, NtkscopeError, StoreError
from ntkscope.metrics import measure_kernels
from ntkscope.stores import read_netcdf
from ntkscope.stores.verify import look
from ntkscope.watch import WatchError
from ntkscope.watch.kernel import ProbeKernel
from tests.unit.watch.loops import PROBE, make_watch, network, samples, train


def watched(steps: int = 12, **options: Any) -> Watch:
    found = train(make_watch(**options), steps).watch
    assert found is not None
    return found


@pytest.mark.parametrize("options", [{}, {"dt": 2}, {"kind": "full"}, {"by_layer": False}])
def test_the_metrics_are_those_that_the_workflow_measures(
    options: dict[str, Any], tmp_path: Path
) -> None:
    watch = watched(store=tmp_path / "k.zarr", **options)
    watch.flush()
    record, dt = {"run": "r"}, options.get("dt", 1)
    measure_kernels(
        [tmp_path / "k.zarr"], [], tmp_path / "m.nc", boundaries=[5], dt=dt, record=record
    )
    stored, own = read_netcdf(tmp_path / "m.nc", "metrics"), watch.dataset()
    xr.testing.assert_identical(
        stored.drop_attrs(deep=False).drop_encoding(), own.drop_attrs(deep=False)
    )
    for key in ("kernel", "normalisation", "probe_digest", "precision", "dt", "samples"):
        assert stored.attrs[key] == own.attrs[key]
    assert np.atleast_1d(stored.attrs["boundaries"]).tolist() == own.attrs["boundaries"].tolist()


def test_a_kernel_is_that_of_the_network_in_evaluation_mode(tmp_path: Path) -> None:
    (x, _), model = samples(), network()
    model(x)  # running statistics
    watch = make_watch(store=tmp_path / "k.zarr")(model)
    watch.step(7)
    watch.flush()
    kernels = read_store(tmp_path / "k.zarr", "kernels")
    expected = empirical_ntk(model.double().eval(), x[:PROBE].double())
    np.testing.assert_allclose(kernels["ntk"].values[0, 0], expected.numpy(), rtol=1e-4)
    np.testing.assert_allclose(kernels["layer_ntk"].values.sum(2), kernels["ntk"].values, rtol=1e-6)
    assert kernels["step"].values.tolist() == [7]
    assert kernels["layer"].values.tolist() == ["0", "1", "5"]


def test_a_boundary_is_the_last_kernel_of_its_task() -> None:
    watch = watched(every=4)
    data = watch.dataset()
    assert data["step"].values.tolist() == [0, 1, 4, 5, 6, 8, 9]  # 5: boundary; 6: its velocity's
    assert data["task"].values.tolist() == [1, 1, 1, 1, 2, 2, 2]
    assert data.attrs["boundaries"].tolist() == [5]
    since = data["distance_from_boundary"].values[0]
    assert np.isnan(since[:3]).all()
    assert since[3] == 0
    assert (since[4:] > 0).all()
    assert np.isfinite(data["velocity"].values[0]).tolist() == [1, 0, 1, 1, 0, 1, 0]
    assert np.isfinite(data["loss"].sel(seen=1).values[0]).tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_a_boundary_may_be_told_ahead_and_then_its_approach_is_dense() -> None:
    model = network()
    watch = make_watch(dense=3)(model)
    watch.step(0)
    watch.boundary(60)
    for step in range(1, 80):
        watch.step(step)
    steps = watch.dataset()["step"].values
    assert {57, 58, 59, 60, 61, 62, 63} <= set(steps.tolist())
    assert 50 not in steps
    assert watch.dataset().attrs["boundaries"].tolist() == [60]


def test_values_for_loggers_are_those_of_the_table() -> None:
    told: list[tuple[dict[str, float], int]] = []
    watch = watched(log_fn=lambda values, step: told.append((values, step)))
    data = watch.dataset().isel(seed=0)
    assert [step for _, step in told] == data["step"].values.tolist()
    for place, (values, _) in enumerate(told):
        at = data.isel(snapshot=place)
        for name in (
            "spectral_norm",
            "trace",
            "effective_rank",
            "alignment",
            "distance_from_start",
        ):
            assert values[f"ntk/{name}"] == float(at[name])
        assert values["ntk/layer_alignment/5"] == float(at["layer_alignment"].sel(layer="5"))
        if place:  # the motion of the step that ends here
            assert values["ntk/velocity"] == float(data["velocity"][place - 1])
        else:
            assert "ntk/velocity" not in values
        assert values["ntk/loss"] == float(at["loss"].sel(seen=at["task"]))


@pytest.mark.parametrize("killed", [4, 9])
def test_a_run_that_was_killed_goes_on_from_its_store(killed: int, tmp_path: Path) -> None:
    """From a checkpoint at `killed`; the store has later snapshots, and half a one."""
    model = network()

    def go(watch: Watch, steps: range, checkpoint: int) -> dict[str, Any] | None:
        kept = None
        for step in steps:
            with torch.no_grad():
                model[5].weight += 0.01 * torch.sin(torch.arange(64) * (step + 1.0))
            watch.step(step, loss=1.0 / (step + 1))
            if step == 6:
                watch.boundary(step)
            if step == checkpoint:
                watch.flush()
                kept = {name: value.clone() for name, value in model.state_dict().items()}
        return kept

    start = {name: value.clone() for name, value in model.state_dict().items()}
    options: dict[str, Any] = {"dense": 3, "store": tmp_path / "k.zarr"}
    first = make_watch(**options)(model)
    state = go(first, range(12), killed)
    first.flush()
    assert state is not None
    store = first._store._store  # type: ignore[union-attr]
    for name in ("complete", "ntk"):  # what a kill in the middle of a write leaves
        array = store.group[name]  # type: ignore[union-attr]
        array.resize((array.shape[0] + 1,) if name == "complete" else (1, 99, PROBE, PROBE))
    with pytest.raises(NtkscopeError, match="incomplete"):
        read_store(tmp_path / "k.zarr", "kernels")
    model.load_state_dict(state)
    second = make_watch(**options)(model)
    go(second, range(killed + 1, 20), -1)
    second.flush()
    model.load_state_dict(start)
    whole = make_watch(dense=3, store=tmp_path / "whole.zarr")(model)
    go(whole, range(20), -1)
    whole.flush()
    xr.testing.assert_identical(second.dataset(), whole.dataset())
    one, other = (read_store(tmp_path / f"{name}.zarr", "kernels") for name in ("k", "whole"))
    xr.testing.assert_equal(one.load(), other.load())
    assert make_watch(**options)(model).dataset().equals(whole.dataset())


def test_a_store_of_another_watch_is_refused(tmp_path: Path) -> None:
    watched(4, store=tmp_path / "k.zarr").flush()
    with pytest.raises(WatchError, match="dt differ"):
        watched(4, store=tmp_path / "k.zarr", dt=2)
    x, y = samples()
    other = Watch(network(), x[1 : PROBE + 1], y[:PROBE], store=tmp_path / "k.zarr")
    with pytest.raises(WatchError, match="probe_digest differ"):
        other.step(0)


def steps_of(watch: Watch) -> list[int]:
    return watch.dataset()["step"].values.tolist()


def test_without_numbers_a_run_goes_on_behind_its_store(tmp_path: Path) -> None:
    model, store = network(), tmp_path / "k.zarr"
    first = make_watch(store=store)(model)
    for _ in range(6):
        first.step()
    first.flush()
    second = make_watch(store=store)(model)
    second.step()
    assert steps_of(second) == list(range(7))
    second.flush()
    third = make_watch(store=store)(model)
    third.boundary()
    assert third.dataset().attrs["boundaries"].tolist() == [6]
    third.step()
    third.flush()
    assert read_store(store, "kernels")["step"].values.tolist() == list(range(8))
    assert third.dataset()["task"].values.tolist() == [1] * 7 + [2]


def test_a_store_is_never_replaced_as_a_whole(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watched(6, store=store).flush()
    with pytest.raises(WatchError, match="steps 0 to 5: a run from step 0 on would replace all"):
        make_watch(store=store)(network()).step(0)
    assert read_store(store, "kernels")["step"].values.tolist() == list(range(6))
    assert make_watch(store=tmp_path / "none.zarr")(network()).resume() == -1


@pytest.mark.parametrize("end", ["flush", "close", "leave"])
def test_a_run_without_numbers_goes_on_behind_the_last_step_told(
    end: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever its last kernel is; what is not known after a kill is said."""
    store = tmp_path / "k.zarr"

    def again(place: Path, *, steps: int = 0) -> Watch:
        made = make_watch(store=place, every=10)(network())
        for _ in range(steps):
            made.step()
        return made

    def killed() -> Path:
        return Path(shutil.copytree(store, tmp_path / f"{len([*tmp_path.iterdir()])}.zarr"))

    first = again(store, steps=38)  # kernels: 0, 1, 10, 11, …, 31
    getattr(first, end)()
    assert again(store).resume() == 37
    assert again(killed(), steps=1).last_step == 38
    bounded = again(killed())
    bounded.boundary()  # of a network of which there was no kernel
    assert bounded.dataset().attrs["boundaries"].tolist() == [37]
    assert steps_of(bounded)[-1] == 37
    for _ in range(2):
        first.step()
    assert again(killed(), steps=1).last_step == 38
    assert not caplog.text
    first.boundary(39)
    first.step()
    assert again(killed(), steps=2).last_step == 41
    assert caplog.text.count("written at step 39 and flushed at step 37. Step 40 is next") == 1
    cut = again(store)
    cut.step(20)
    cut.boundary(20)
    caplog.clear()
    assert again(killed(), steps=1).last_step == 21
    assert "written at step 20 and flushed at step 19. Step 21 is next" in caplog.text


def test_a_store_that_was_deleted_is_forgotten(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watched(6, store=store).close()
    watch = make_watch(store=store, every=1)(network())
    alarm = watch.alarm(rate=0.5)
    assert watch.resume() == 5
    shutil.rmtree(store)
    assert watch.resume() == -1
    watch.step(0)
    assert steps_of(watch) == [0]
    assert watch.dataset().attrs["boundaries"].tolist() == []
    assert not alarm.raised
    watch.close()
    assert read_store(store, "kernels")["step"].values.tolist() == [0]


@pytest.mark.parametrize("name", ["step", "task"])
def test_a_changed_digit_of_a_coordinate_is_noticed(name: str, tmp_path: Path) -> None:
    """Whether its own checksum says so or not, and whether the store is sealed or not."""
    store = tmp_path / "k.zarr"
    watch = watched(4, store=store)
    watch.flush()
    chunk = store / name / "c/0"
    whole = chunk.read_bytes()
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    zarr.open(store)[name][0] = 7  # type: ignore[index]
    for content in (chunk.read_bytes(), flipped):
        chunk.write_bytes(content)
        looking = make_watch(store=store)(network())
        with pytest.raises(StoreError, match=f"{name}/c/0 is not as it was written"):
            looking.resume()
        for step in (None, 2):
            with pytest.raises(StoreError, match=f"{name}/c/0 is not as it was written"):
                looking.step(step)
    chunk.write_bytes(whole)
    again = make_watch(store=store)(network())
    again.resume()
    again.step()
    again.flush()
    zarr.open(store)[name][0] = 7  # type: ignore[index]
    del again._store._store.files.written[f"{name}/c/0"]  # type: ignore[union-attr]
    with pytest.raises(StoreError, match=f"{name}/c/0 is not as it was written"):
        again.close()
    chunk.write_bytes(whole)


def test_a_store_that_was_looked_at_is_taken_in_once(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"
    watched(6, store=store, every=1).flush()
    for begin, last in ((6, 5), (4, 6)):  # what was watched is written as the watch is dropped
        watch = make_watch(store=store, every=1)(network())
        assert watch.resume() == last
        alarm = watch.alarm(rate=0.5)
        assert steps_of(watch) == steps_of(watch) == list(range(last + 1))
        watch.step(begin)
        assert steps_of(watch) == list(range(begin + 1))
        assert watch.dataset().attrs["boundaries"].tolist() == [2]
        assert alarm.detector._seen == begin  # velocities
        assert len({each.step for each in alarm.raised}) == len(alarm.raised)


def test_a_closed_store_is_sealed_until_its_run_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "k.zarr"

    def state() -> tuple[str, bool]:
        found = look(store)
        return found.wrong, found.known

    with make_watch(store=store, every=1)(network()) as watch:
        for step in range(4):
            watch.step(step)
    assert state() == ("", True)
    chunk = next(file for file in (store / "ntk/c/0/2").rglob("*") if file.is_file())
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1] + b"?")
    assert "is damaged" in state()[0]
    chunk.write_bytes(whole)
    watch.step(4)
    watch.flush()
    assert state() == ("", False)
    watch.close()
    assert state() == ("", True)
    with make_watch(store=store, every=1)(network()) as again:
        assert steps_of(again) == list(range(5))
        assert state() == ("", True)  # it was only looked at
        again.step(2)
    assert state() == ("", True)
    assert read_store(store, "kernels")["step"].values.tolist() == [0, 1, 2]
    with make_watch()(network()) as unstored:
        unstored.step(0)


def test_a_boundary_that_the_loop_passes_over_is_at_the_kernel_before() -> None:
    watch = make_watch(every=1)(network())
    for step in (0, 2):
        watch.step(step)
    watch.boundary(5)
    for step in (4, 6, 8):
        watch.step(step)
    data = watch.dataset()
    assert data.attrs["boundaries"].tolist() == [4]
    assert data["step"].values.tolist() == [0, 2, 4, 6, 8]
    assert data["task"].values.tolist() == [1, 1, 1, 2, 2]


def test_losses_of_more_and_more_tasks_are_kept(tmp_path: Path) -> None:
    watch = make_watch(store=tmp_path / "k.zarr", every=1)(network())
    for step in range(3):
        watch.step(step, loss=[0.5] * (step + 1), accuracy=torch.tensor(0.5))
        watch.flush()
    loss = read_store(tmp_path / "k.zarr", "kernels")["loss"].values[0]
    assert np.isfinite(loss).sum(axis=1).tolist() == [1, 2, 3]
    np.testing.assert_array_equal(loss, watch.dataset()["loss"].values[0])


def test_no_kernel_is_held_but_start_boundary_and_the_last() -> None:
    watch = make_watch(every=1)(network())
    sizes = []
    for step in range(40):
        watch.step(step)
        if step in (12, 36):
            gc.collect()
            arrays = [o for o in gc.get_objects() if isinstance(o, np.ndarray) and o.base is None]
            sizes.append(sum(a.nbytes for a in arrays if a.shape[-2:] == (PROBE, PROBE)))
    assert sizes[0] == sizes[1]


def test_without_labels_all_but_alignment_is_measured() -> None:
    x, _ = samples()
    watch = Watch(network(), x[:PROBE], overhead=None)
    for step in range(3):
        watch.step(step)
    data = watch.dataset()
    assert np.isnan(data["alignment"]).all()
    assert np.isnan(data["label_projection"]).all()
    assert np.isfinite(data["velocity"].values[0, :2]).all()


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_network_that_diverged_does_not_end_the_training(
    value: float, first: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At whichever kernel; it is said once, also by an alarm, and in the figure there is none."""
    model, heard = network(), []
    state = {name: each.clone() for name, each in model.state_dict().items()}
    watch = make_watch(store=tmp_path / "k.zarr", every=1)(model)
    watch.alarm(rate=0.01, on_alarm=heard.append)
    for step in range(5):
        if step == first:
            with torch.no_grad():
                model[0].weight.fill_(value)
                model[5].weight.fill_(value)
        values = watch.step(step, loss=value)
        assert values is not None
        assert ("ntk/trace" in values) == (step < first)
        assert values.get("ntk/alarm/velocity", 0) == (step == first)
    assert [(each.step, each.p) for each in heard] == [(first, 0.0)]
    assert caplog.text.count(f"step {first}: the kernel is not finite") == 1
    assert watch.dataset()["diverged_step"].values.tolist() == [first]
    if first == 0 and np.isnan(value):
        watch.plot()
    model.load_state_dict(state)  # and on, from before
    values = watch.step(5)
    assert values is not None
    assert values["ntk/trace"] > 0
    assert caplog.text.count("step 5: the kernel is finite again") == 1
    assert np.isnan(watch.dataset()["trace"].values[0, first:]).all()
    assert f"the table is NaN from step {first} on" in str(watch)
    watch.close()
    again = make_watch(store=tmp_path / "k.zarr", every=1)(model)
    alarm = again.alarm(rate=0.01, on_alarm=heard.append)
    assert again.resume() == 5
    assert [each.step for each in alarm.raised] == [first]
    assert len(heard) == 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("can't allocate memory")],
)
@pytest.mark.parametrize("first", [0, 2])
def test_a_kernel_without_memory_is_left_out(
    first: int, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = network()
    watch = make_watch(every=1)(model)

    def full(_: Any) -> None:
        raise error

    for step in range(6):
        with monkeypatch.context() as patched:
            if first <= step < first + 3:
                patched.setattr(ProbeKernel, "compute", full)
            assert (watch.step(step) is None) == (first <= step < first + 3)
            if step == 4:
                watch.boundary(5)
            if step == 3:
                watch.boundary()
    assert steps_of(watch) == [step for step in range(6) if not first <= step < first + 3]
    assert watch.dataset().attrs["boundaries"].tolist() == [3 if first == 0 else 1, 5]
    assert caplog.text.count(f"no kernel of step {first}") == 1


def test_a_model_that_has_no_kernel_any_more_ends_no_training(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the first step it is an error, before work is wasted."""
    model = network()
    watch = make_watch(every=1)(model)
    watch.step(0)
    model.requires_grad_(False)
    assert watch.step(1) is None
    model.requires_grad_(True)
    assert watch.step(2) is not None
    assert caplog.text.count("no kernel of step 1") == 1


def test_a_new_head_is_planned_anew_and_layers_that_change_are_refused() -> None:
    model = network()
    watch = make_watch()(model)
    watch.step(0)
    model[5] = nn.Linear(64, 5)
    assert watch.step(1) is not None
    model.append(nn.Linear(5, 2))
    with pytest.raises(WatchError, match="have changed: 6"):
        watch.step(2)


def test_a_store_in_another_precision_is_not_gone_on_with(tmp_path: Path) -> None:
    watched(4, store=tmp_path / "k.zarr").flush()
    x, y = samples()
    double = Watch(network().double(), x[:PROBE].double(), y[:PROBE], store=tmp_path / "k.zarr")
    with pytest.raises(WatchError, match=r"probe_digest|float64"):
        double.step(4)


def test_dict_inputs_outputs_by_name_and_some_parameters() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Embedding(9, 6), nn.Linear(6, 2)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            hidden = (self.body(ids) * mask[..., None]).mean(1)
            return {"logits": self.head(torch.tanh(hidden))}

    ids = torch.arange(24).reshape(6, 4) % 9
    probe = {"ids": ids, "mask": torch.ones(6, 4)}
    one_hot = torch.eye(2)[torch.arange(6) % 2]
    watch = Watch(Model(), probe, one_hot, output="logits", parameters="head", overhead=None)
    watch.step(0)
    assert watch.dataset()["layer"].values.tolist() == ["head"]
    assert watch.dataset()["alignment"].values.shape == (1, 1)


def test_what_cannot_be_watched_is_said_at_once() -> None:
    (x, y), model = samples(), network()
    for given, word in (
        ({"probe": x[:3]}, "4 samples"),
        ({"probe": "x"}, "no tensor"),
        ({"probe": {"a": x[:5], "b": x[:6]}}, "a: 5, b: 6"),
        ({"probe": x[:6] / 0}, "not finite"),
        ({"labels": y[:5]}, r"shape \(5,\)"),
        ({"labels": torch.zeros(PROBE)}, "one class"),
        ({"labels": torch.rand(PROBE)}, "no classes"),
        ({"labels": torch.rand(PROBE, 3)}, r"shape \(12, 3\)"),
        ({"every": 0}, "every = 0"),
        ({"dt": 1.5}, "dt = 1.5"),
        ({"overhead": 5}, "overhead = 5"),
    ):
        options = {"probe": x[:PROBE], "labels": y[:PROBE], **given}
        with pytest.raises(WatchError, match=word):
            Watch(model, **options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not a torch module"):
        Watch(torch.relu, x[:PROBE])  # type: ignore[arg-type]
    watch = Watch(model, x[:PROBE])
    with pytest.raises(WatchError, match="no kernel was computed yet"):
        watch.dataset()
    with pytest.raises(WatchError, match="boundary at step"):
        watch.boundary()
    watch.step(4)
    with pytest.raises(WatchError, match="step 4 after step 4"):
        watch.step(4)
    with pytest.raises(WatchError, match="the run is at step 4"):
        watch.boundary(3)


def test_labels_may_be_given_in_any_form() -> None:
    (x, y), found = samples(), []
    classes = y[:PROBE]
    for labels in (classes, classes.tolist(), classes[:, None], torch.eye(3)[classes]):
        watch = Watch(network(), x[:PROBE], labels)
        watch.step(0)
        found.append(watch.dataset()["alignment"].item())
    assert len(set(found)) == 1
    assert Watch(network(), x[:PROBE], list("abc" * 4))._probe.labels.tolist() == [0, 1, 2] * 4  # type: ignore[union-attr]


def test_the_figure_has_a_panel_for_all_that_is_known(tmp_path: Path) -> None:
    watch = watched()
    figure = watch.plot(tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000
    assert len(figure.axes) == 5 * 3
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert sum("velocity" in label for label in labels) == 3
    x, _ = samples()
    bare = Watch(network(), x[:PROBE], by_layer=False)
    bare.step(0)
    bare.step(1)
    assert len(bare.plot().axes) == 3  # without loss, labels, layers and boundaries
