"""The stage: every snapshot's kernel, in its place, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from ntkscope.config.specs import KernelSpec, ModelSpec
from ntkscope.data.images import load_samples
from ntkscope.data.inputs import to_inputs
from ntkscope.kernels import compute_kernels, snapshot_blocks
from ntkscope.models import build_network
from ntkscope.models.zoo import architecture
from ntkscope.stores import ZarrStore, read_store
from ntkscope.training import train_task
from tests.oracles.ntk import ntk

KERNEL = KernelSpec(samples=6, classes=(0, 1), labels=(0, 1), precision="float64")


def trained(run, images_path, folder):
    """Snapshots of a run's first task."""
    output = folder / "snapshots.zarr"
    train_task(run, images_path, None, output, state=folder / "train", stage="")
    return output


def taken(run, kernel, images_path, snapshots, folder):
    output = folder / f"{kernel.id}.zarr"
    compute_kernels(run, kernel, images_path, snapshots, output, state=folder / "state", stage="")
    return output


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("kind", ["trace", "full", "pseudo"])
def test_every_snapshot_has_the_kernel_of_its_network(run, images_path, tmp_path, kind, model):
    spec = ModelSpec(kind=model, depth=1, width=3)
    run = run.parent.model_copy(update={"precision": "float64", "model": spec})
    kernel = KERNEL.model_copy(update={"kind": kind, "by_layer": kind == "trace"})
    snapshots = trained(run, images_path, tmp_path)
    found = read_store(taken(run, kernel, images_path, snapshots, tmp_path), "kernels")
    images = load_samples(images_path)
    assert found["label"].values.tolist() == [0, 0, 0, 1, 1, 1]
    assert (images.train_labels[found["image"].values] == found["label"].values).all()
    probe = to_inputs(
        images, images.train[found["image"].values], torch.device("cpu"), torch.float64
    )
    parameters = read_store(snapshots, "snapshots", group="parameters")
    network = build_network(architecture(run.model, (4, 4, 1), 4)).double()
    for seed, snapshot in ((0, 0), (2, 4), (1, 8)):
        values = {
            str(n): torch.from_numpy(v.isel(seed=seed, snapshot=snapshot).values)
            for n, v in parameters.items()
        }
        network.load_state_dict(values)
        expected = ntk(network, probe, probe, kind).numpy()
        kernel_found = found["ntk"].isel(seed=seed, snapshot=snapshot).values
        np.testing.assert_allclose(kernel_found, expected, rtol=1e-10, atol=1e-12)
    if kind == "trace":
        whole = found["layer_ntk"].sum("layer")
        np.testing.assert_allclose(whole.values, found["ntk"].values, rtol=1e-12)
        assert found["layer"].values.tolist()[-1] == "readout"
    assert found["step"].values.tolist() == [0, 1, 2, 3, 4, 9, 10, 11, 12]
    assert "mean over the K outputs" in found.attrs["normalisation"] or kind != "trace"


def test_a_diverged_seed_has_nan_kernels_and_no_other(run, images_path, tmp_path):
    snapshots = trained(run.parent, images_path, tmp_path)
    store = ZarrStore.resume(snapshots, "snapshots")
    values = store.read("parameters/readout.weight")
    values[1, 5:] = np.nan
    store.write("parameters/readout.weight", ..., values)
    found = read_store(taken(run.parent, KERNEL, images_path, snapshots, tmp_path), "kernels")
    bad = np.isnan(found["ntk"].values).any((2, 3))
    assert bad[1, 5:].all()
    assert not np.delete(bad, 1, axis=0).any()
    assert not bad[1, :5].any()


KILLED = """
import sys, time
from pathlib import Path
from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.kernels import snapshot_blocks, stage
compute = snapshot_blocks.empirical_ntk
def slow(*arguments, **options):
    time.sleep(0.05)
    return compute(*arguments, **options)
snapshot_blocks.empirical_ntk, snapshot_blocks.block_size = slow, lambda *_: 2
run, kernel, images, snapshots, output, state = sys.argv[1:]
stage.compute_kernels(RunSpec.model_validate_json(run), KernelSpec.model_validate_json(kernel),
                   Path(images), Path(snapshots), Path(output), state=Path(state), stage="")
"""


def test_killed_by_sigkill_it_ends_with_the_same_bits(run, images_path, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_blocks, "block_size", lambda *_: 2)
    snapshots = trained(run.parent, images_path, tmp_path)
    whole = taken(run.parent, KERNEL, images_path, snapshots, tmp_path)
    output, state = tmp_path / "cut.zarr", tmp_path / "killed"
    specs = [run.parent.model_dump_json(), KERNEL.model_dump_json()]
    paths = [str(p) for p in (images_path, snapshots, output, state)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *specs, *paths])

    def progress():
        mask = state / "store.zarr" / "complete" / "c" / "0"
        return mask.exists()

    while not progress():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = ZarrStore.resume(state / "store.zarr", "kernels").mask
    assert done.any()
    assert not done.all()
    calls = []
    compute = snapshot_blocks.empirical_ntk
    count = lambda *a, **k: calls.append(1) or compute(*a, **k)  # noqa: E731
    monkeypatch.setattr(snapshot_blocks, "empirical_ntk", count)
    arguments = (run.parent, KERNEL, images_path, snapshots, output)
    compute_kernels(*arguments, state=state, stage="")
    assert len(calls) == len(run.parent.seeds) * int((~done).sum())
    for name in ("ntk", "layer_ntk"):
        first, second = (read_store(p, "kernels")[name].values for p in (whole, output))
        assert first.tobytes() == second.tobytes()
    assert not state.exists()
