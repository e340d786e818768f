"""The stage: each kernel's regressions in their place, whatever happens on the way."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from ntkscope.data.tasks import load_task
from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.models import build_network, load_tensors
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk, infinite_ntk
from ntkscope.ntk.regression import RidgeWarning
from ntkscope.regression import regress_kernels
from ntkscope.regression import unit as unit_module
from ntkscope.regression.job import RegressionJob
from ntkscope.regression.kernel_pair import KernelPair, is_usable
from ntkscope.regression.memory_needs import (
    predicted_bytes,
    predicted_bytes_by_tiles,
    samples_in_memory,
)
from ntkscope.stores import ZarrStore, read_store
from tests.unit.regression.conftest import (
    MODEL,
    NETWORKS,
    RIDGES,
    SHAPE,
    random_numbers,
    spec,
    task_at,
    write_networks,
)

SPLITS = {"own": "train", "fresh": "fresh"}


def regressed(regression, task, folder, networks=None, **more):
    output = folder / f"{regression.id}.zarr"
    regress_kernels(regression, task, networks, output, state=folder / "state", stage="", **more)
    return read_store(output, "regression")


def inputs(task, split, seed, n):
    pixels = read_store(task, "scalar_task")[f"{split}_sample"].values[seed, :n]
    return torch.from_numpy(pixels / 255.0).movedim(-1, 1)


def targets(task, split, seed, n):
    return read_store(task, "scalar_task")[f"{split}_target"].values[seed, :n].astype("f8")


def brute_leave_one_out(K, y, f0, ridge):
    """Predictions of each sample by a fit of all others, the ridge being fixed in size."""
    shift, out = ridge * K.diagonal().mean(), np.empty(len(y))
    for i in range(len(y)):
        keep = np.arange(len(y)) != i
        inner = K[np.ix_(keep, keep)] + shift * np.eye(keep.sum())
        out[i] = f0[i] + K[i, keep] @ np.linalg.solve(inner, (y - f0)[keep])
    return out


def brute(K, cross, y, f0, test_f0, criterion, most, n):
    """Ridge by brute-force leave-one-out on at most so many samples, and its prediction."""
    m = min(n, most)
    errors = []
    for ridge in RIDGES:
        left_out = brute_leave_one_out(K[:m, :m], y[:m], f0[:m], ridge)
        squared = ((left_out - y[:m]) ** 2).mean()
        wrong = (np.sign(left_out) != np.sign(y[:m])).mean()
        errors.append((wrong, squared) if criterion == "zero_one" else (squared, squared))
    best = min(range(len(RIDGES)), key=lambda k: errors[k])
    K_n = K[:n, :n]
    shifted = K_n + RIDGES[best] * K_n.diagonal().mean() * np.eye(n)
    return (
        RIDGES[best],
        errors[best][0],
        cross[:, :n] @ np.linalg.solve(shifted, (y - f0)[:n]) + test_f0,
    )


def network(numbers):
    found = build_network(architecture(MODEL, SHAPE, 1)).double()
    load_tensors(found, {k: torch.from_numpy(v) for k, v in numbers.items()})
    return found


def kernels(model, x, test):
    return empirical_ntk(model, x).numpy(), empirical_ntk(model, test, x).numpy()


@pytest.mark.parametrize("criterion", ["zero_one", "squared"])
@pytest.mark.parametrize("offset", ["ignore", "subtract"])
def test_initial_kernels_are_regressed_as_by_brute_force(task_path, tmp_path, criterion, offset):
    found = regressed(spec(criterion=criterion, offset=offset), task_path, tmp_path)
    assert found["trained_on"].values.tolist() == [0]
    assert found["width"].values.tolist() == [8]
    for seed, number in enumerate((0, 3)):
        model = build_network(architecture(MODEL, SHAPE, 1), number).double()
        x, test = (inputs(task_path, s, seed, n) for s, n in (("train", 32), ("test", 30)))
        y, y_test = (targets(task_path, s, seed, n) for s, n in (("train", 32), ("test", 30)))
        with torch.no_grad():
            f0, test_f0 = (model(each)[:, 0].numpy() * (offset == "subtract") for each in (x, test))
        K, cross = kernels(model, x, test)
        for at, n in enumerate((8, 16, 32)):
            here = found.isel(seed=seed, source=0, fit=0, n=at)
            ridge, loo, prediction = brute(K, cross, y, f0, test_f0, criterion, 16, n)
            assert here["ridge"] == ridge
            assert here["ridge_from"] == min(n, 16)
            np.testing.assert_allclose(here["prediction"], prediction, rtol=1e-5, atol=1e-6)
            assert here["error"] == pytest.approx((np.sign(prediction) != y_test).mean())
            assert here["squared_error"] == pytest.approx(((prediction - y_test) ** 2).mean())
            assert not here["undefined"]
            if n <= 16:
                assert here["loo_error"] == pytest.approx(loo, rel=1e-9)
            else:
                assert np.isnan(here["loo_error"])


def test_infinite_kernels_are_of_the_ntk_parametrisation(task_path, tmp_path):
    regression = spec("infinite")
    found = regressed(regression, task_path, tmp_path)
    assert found["width"].values.tolist() == [0]
    limit = regression.model.model_copy(update={"parametrisation": "ntk"})
    layers = architecture(limit, SHAPE, 1)
    x, test = (inputs(task_path, s, 1, n) for s, n in (("train", 32), ("test", 30)))
    K, cross = infinite_ntk(layers, x).numpy(), infinite_ntk(layers, test, x).numpy()
    y, zeros = targets(task_path, "train", 1, 32), np.zeros(32)
    for at, n in enumerate((8, 16, 32)):
        _, _, prediction = brute(K, cross, y, zeros, np.zeros(30), "zero_one", 16, n)
        here = found["prediction"].isel(seed=1, source=0, fit=0, n=at)
        np.testing.assert_allclose(here, prediction, rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_kernels_and_begins_with_the_networks_own(
    task_path, tmp_path, monkeypatch
):
    blocks, made = [], unit_module.empirical_block

    def kept(members, memory):
        blocks.append((made(members, memory), [made([each], memory) for each in members]))
        return blocks[-1][0]

    monkeypatch.setattr(unit_module, "empirical_block", kept)
    regressed(spec(ensemble=3), task_path, tmp_path)
    whole, members = blocks[0]
    assert len(members) == 3
    x, test = inputs(task_path, "train", 0, 32), inputs(task_path, "test", 0, 30)
    for samples in ((x, None), (test, x)):
        mean = torch.stack([each(*samples) for each in members]).mean(0)
        torch.testing.assert_close(whole(*samples), mean)
    own = build_network(architecture(MODEL, SHAPE, 1), 0).double()
    torch.testing.assert_close(members[0](x, None), empirical_ntk(own, x))
    assert not torch.allclose(members[1](x, None), members[2](x, None))


def test_after_kernels_are_of_each_network_and_fit(task_path, networks_path, tmp_path):
    regression = spec("after", trained_on=(8, 32), fits=("own", "fresh"), by_layer=True)
    found = regressed(regression, task_path, tmp_path, networks_path)
    assert found["trained_on"].values.tolist() == [8, 32]
    assert found["fit"].values.tolist() == ["own", "fresh"]
    for source, number in ((0, 1), (1, 3)):
        model = network(random_numbers(3, number))
        for at, fit in enumerate(("own", "fresh")):
            x, test = (inputs(task_path, s, 1, n) for s, n in ((SPLITS[fit], 32), ("test", 30)))
            K, cross = kernels(model, x, test)
            y = targets(task_path, SPLITS[fit], 1, 32)
            _, _, prediction = brute(K, cross, y, np.zeros(32), np.zeros(30), "zero_one", 16, 8)
            here = found["prediction"].isel(seed=1, source=source, fit=at, n=0)
            np.testing.assert_allclose(here, prediction, rtol=1e-4, atol=1e-5)
    undefined = found["undefined"].isel(seed=0)
    assert undefined.values[0].tolist() == [[False, True, True], [False, False, False]]
    assert not undefined.values[1].any()
    assert np.isnan(found["error"].values).tolist() == found["undefined"].values.tolist()
    whole = found["layer_error"]
    assert found["layer"].values.tolist() == ["hidden1", "hidden2", "readout"]
    assert found["layer_n"].values.tolist() == [32, 32]
    assert np.isfinite(whole.values).all()
    readout = features(network(random_numbers(0, 3)), inputs(task_path, "fresh", 0, 32))
    test_readout = features(network(random_numbers(0, 3)), inputs(task_path, "test", 0, 30))
    K, cross = readout @ readout.T + 1, test_readout @ readout.T + 1
    y, y_test = targets(task_path, "fresh", 0, 32), targets(task_path, "test", 0, 30)
    _, _, prediction = brute(K, cross, y, np.zeros(32), np.zeros(30), "zero_one", 16, 32)
    expected = (np.sign(prediction) != y_test).mean()
    assert whole.isel(seed=0, source=1, layer=2) == pytest.approx(expected)


def features(model, x):
    with torch.no_grad():
        return model[:-1](x).numpy()


def test_kernels_during_training_have_their_steps(task_path, networks_path, tmp_path):
    regression = spec("during", fits=("own", "fresh"), steps=(10,))
    found = regressed(regression, task_path, tmp_path, networks_path)
    assert found["step"].values.tolist() == [10]
    assert found["trained_on"].values.tolist() == [32]
    assert not found["undefined"].values.any()
    assert np.isfinite(found["error"].values).all()
    own, test = inputs(task_path, "train", 0, 32), inputs(task_path, "test", 0, 30)
    K, cross = kernels(network(random_numbers(0, 2)), own, test)
    y = targets(task_path, "train", 0, 32)
    _, _, prediction = brute(K, cross, y, np.zeros(32), np.zeros(30), "zero_one", 16, 32)
    here = found["prediction"].isel(seed=0, source=0, fit=0, n=2)
    np.testing.assert_allclose(here, prediction, rtol=1e-4, atol=1e-5)


def test_real_targets_are_chosen_by_squared_error_and_normalised(real_path, tmp_path):
    found = regressed(spec(criterion="zero_one"), real_path, tmp_path)
    assert found.attrs["criterion"] == "squared"
    y_test = targets(real_path, "test", 0, 30)
    here = found.isel(seed=0, source=0, fit=0)
    expected = here["squared_error"].values / y_test.var()
    np.testing.assert_allclose(here["error"], expected, rtol=1e-12)


def test_parameters_that_are_not_finite_are_no_sign_of_divergence(task_path, tmp_path):
    path = write_networks(tmp_path / "n.zarr", NETWORKS, random_numbers)
    store = ZarrStore.resume(path, "networks")
    weights = store.read("best/readout.weight")
    weights[1, 2, 0, 3] = np.nan
    store.write("best/readout.weight", ..., weights)
    regression = spec("after", trained_on=(16, 32), fits=("fresh",))
    with pytest.raises(StoreError, match="did not diverge"):
        regressed(regression, task_path, tmp_path, path)


def test_a_network_that_diverged_has_no_kernel_and_no_error_of_zero(task_path, tmp_path):
    path = write_networks(tmp_path / "n.zarr", NETWORKS, random_numbers)
    store = ZarrStore.resume(path, "networks")
    flags = store.read("diverged")
    flags[1, 2] = True
    store.write("diverged", ..., flags)
    regression = spec("after", trained_on=(16, 32), fits=("fresh",))
    found = regressed(regression, task_path, tmp_path, path)
    assert found["undefined"].values[1, 1].all()
    for name in ("error", "squared_error", "prediction", "ridge", "alignment", "eigenvalue"):
        values = found[name].values
        assert np.isnan(values[1, 1]).all()
        assert np.isfinite(values[0]).all()
        assert np.isfinite(values[1, 0]).all()
    assert not found["undefined"].values[0].any()


def test_a_kernel_that_overflows_is_undefined(task_path, tmp_path):
    path = write_networks(tmp_path / "n.zarr", NETWORKS, random_numbers)
    store = ZarrStore.resume(path, "networks")
    for name in ("hidden1.weight", "hidden2.weight"):
        weights = store.read(f"best/{name}")
        weights[0, 0] *= 1e30
        store.write(f"best/{name}", ..., weights)
    regression = spec("after", trained_on=(8,), fits=("fresh",), precision="float32")
    found = regressed(regression, task_path, tmp_path, path)
    assert found["undefined"].values[0].all()
    assert np.isnan(found["error"].values[0]).all()
    assert not found["undefined"].values[1].any()


def test_layers_behind_dead_units_have_no_error_and_kernels_of_nothing_are_undefined(
    task_path, tmp_path
):
    path = write_networks(tmp_path / "n.zarr", NETWORKS, random_numbers)
    store = ZarrStore.resume(path, "networks")
    for name, value in (("hidden2.weight", 0.0), ("hidden2.bias", -1.0)):
        dead = store.read(f"best/{name}")
        dead[0, 0] = value
        store.write(f"best/{name}", ..., dead)
    regression = spec("after", trained_on=(8, 16), fits=("fresh",), by_layer=True)
    found = regressed(regression, task_path, tmp_path, path)
    assert not found["undefined"].values.any()
    assert np.isnan(found["layer_error"].values[0, 0]).tolist() == [True, True, False]
    assert np.isfinite(found["layer_error"].values[0, 1]).all()
    none = KernelPair(torch.zeros(3, 3), torch.zeros(2, 3))
    assert not is_usable(none)


def test_nested_sizes_are_those_of_kernels_of_their_own(task_path, networks_path, tmp_path):
    arguments = {"trained_on": (32,), "fits": ("own", "fresh"), "leave_one_out_most": 32}
    whole = regressed(spec("after", **arguments), task_path, tmp_path, networks_path)
    for at, n in enumerate((8, 16, 32)):
        alone = spec("after", sizes=(n,), **arguments)
        single = regressed(alone, task_path, tmp_path, networks_path)
        np.testing.assert_allclose(
            whole["prediction"].isel(n=at), single["prediction"].isel(n=0), rtol=1e-5, atol=1e-6
        )
        assert (
            whole["ridge"].isel(n=at).values.tolist() == single["ridge"].isel(n=0).values.tolist()
        )


def test_a_kernels_spectrum_is_there(task_path, tmp_path):
    found = regressed(spec(), task_path, tmp_path)
    eigenvalues, power = found["eigenvalue"].values, found["target_power"].values
    assert eigenvalues.shape == (2, 1, 32)
    np.testing.assert_allclose(eigenvalues.sum(-1), 1.0)
    np.testing.assert_allclose(power.sum(-1), 1.0)
    assert (np.diff(eigenvalues) <= 0).all()
    assert ((found["alignment"] > 0) & (found["alignment"] < 1)).all()
    assert (found["kernel_seconds"] > 0).all()
    assert (found["regression_seconds"] > 0).all()


def test_edges_of_the_grid_are_flagged(task_path, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RidgeWarning)
        high = regressed(spec(ridges=(1e-9, 1e-8)), task_path, tmp_path)
        low = regressed(spec(ridges=(1e4, 1e5), criterion="squared"), task_path, tmp_path)
    assert set(np.unique(high["ridge_edge"])) <= {0, 1}
    assert (low["ridge_edge"] == -1).any()


def test_what_memory_does_not_hold_is_refused_before_work(task_path, tmp_path):
    with pytest.raises(NtkscopeError, match="which do for 0"):
        regressed(spec(), task_path, tmp_path, memory=5 * 10**8)
    assert not (tmp_path / "state").exists()
    large = spec("infinite", sizes=(500, 400000), test=4000, precision="float32")
    job = RegressionJob(large, load_task(task_path), None, torch.device("cpu"))
    with pytest.raises(NtkscopeError, match="which do for") as caught:
        samples_in_memory(job, 3 * 10**9)
    most = int(re.search(r"which do for (\d+)", caught.value.what).group(1))
    taken = [predicted_bytes_by_tiles(job, each) for each in (most, most + 1)]
    assert taken[0] <= 3 * 10**9 < taken[1]
    assert 30000 < most < 60000


def test_the_most_samples_that_memory_holds_are_solved_directly(task_path):
    sizes = (500, 5000, 10000, 20000, 40000)
    large = spec("infinite", sizes=sizes, test=4000, precision="float32", leave_one_out_most=2000)
    job = RegressionJob(large, load_task(task_path), None, torch.device("cpu"))
    found = {gb: samples_in_memory(job, int(gb * 10**9)) for gb in (2.8, 3, 8, 22)}
    assert found == {2.8: 10000, 3: 10000, 8: 20000, 22: 40000}
    assert predicted_bytes(job, 40000) < 22e9


def test_fresh_samples_that_a_network_has_learnt_are_refused(networks_path, tmp_path):
    after = spec("after", trained_on=(8, 32), fits=("own", "fresh"))
    for most in (None, 64):  # 32 + 32
        task = task_at(tmp_path / f"{most}.zarr", train_and_fresh=most)
        regressed(after, task, tmp_path / str(most), networks_path)
    few = task_at(tmp_path / "few.zarr", train_and_fresh=63)
    with pytest.raises(StoreError, match="of 63 samples 32 were learnt"):
        regressed(after, few, tmp_path, networks_path)
    regressed(spec("after", trained_on=(8, 32)), few, tmp_path, networks_path)  # own


def test_stores_that_lack_what_is_asked_for_are_refused(task_path, networks_path, tmp_path):
    with pytest.raises(StoreError, match="the task has 48"):
        regressed(spec(sizes=(8, 64)), task_path, tmp_path)
    with pytest.raises(StoreError, match="no size 64"):
        regressed(spec("after", trained_on=(64,)), task_path, tmp_path, networks_path)
    with pytest.raises(StoreError, match="need trained networks"):
        regressed(spec("after", trained_on=(8,)), task_path, tmp_path)
    task = spec().task.model_copy(update={"seeds": (0, 1)})
    with pytest.raises(StoreError, match="seeds"):
        regressed(spec(task=task), task_path, tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from ntkscope.config.curve_specs import RegressionSpec
from ntkscope.regression import stage, unit
pair = unit.whole_pair
def slow(*arguments):
    time.sleep(0.4)
    return pair(*arguments)
unit.whole_pair = slow
regression, task, networks, output, state = sys.argv[1:]
stage.regress_kernels(RegressionSpec.model_validate_json(regression), Path(task), Path(networks),
                      Path(output), state=Path(state), stage="")
"""


def test_killed_by_sigkill_it_ends_with_the_same_bits(
    task_path, networks_path, tmp_path, monkeypatch
):
    regression = spec("after", trained_on=(8, 16), fits=("own", "fresh"), by_layer=True)
    whole = regressed(regression, task_path, tmp_path, networks_path)
    output, state = tmp_path / "cut.zarr", tmp_path / "killed"
    paths = [str(p) for p in (task_path, networks_path, output, state)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, regression.model_dump_json(), *paths])
    while not (state / "store.zarr" / "complete" / "c" / "0").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = ZarrStore.resume(state / "store.zarr", "regression").mask
    assert done.any()
    assert not done.all()
    calls, pair = [], unit_module.whole_pair
    monkeypatch.setattr(unit_module, "whole_pair", lambda *a: calls.append(1) or pair(*a))
    regress_kernels(regression, task_path, networks_path, output, state=state, stage="")
    assert len(calls) == 2 * int((~done).sum())
    resumed = read_store(output, "regression")
    for name in set(whole) - {"kernel_seconds", "regression_seconds"}:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name
    assert not state.exists()
