"""Kernels that memory does not hold: the same regressions from tiles, by conjugate gradients."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from ntkscope.ntk.regression import KernelRidge, NotConvergedError
from ntkscope.regression import kernel_tiles, regress_kernels, ridge, stage, unit
from ntkscope.regression.kernel_tiles import write_tiles
from ntkscope.regression.ridge import TOLERANCE, Choice, Ridges, with_ridge
from ntkscope.stores import read_store
from tests.unit.regression.conftest import SHAPE, spec, write_task

SECONDS = {"kernel_seconds", "regression_seconds"}


def nothing():
    pass


def gaussian(x1, x2=None):
    """A kernel of numerical rank well below the samples, [N, M]."""
    far = torch.cdist(x1, x1 if x2 is None else x2, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.exp(-(far**2) / 8)


def points(n, seed=0, dtype=np.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 3)).astype(dtype))


@pytest.mark.parametrize("n", [7, 20, 24])
def test_tiles_are_the_kernel(n, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_tiles, "SIDE", 8)
    x, test, v = points(n), points(9, 1), np.random.default_rng(2).standard_normal((n, 2))
    K, C = gaussian(x).numpy(), gaussian(test, x).numpy()
    kernel = write_tiles(tmp_path / "k", gaussian, x, None, 6, nothing)
    cross = write_tiles(tmp_path / "c", gaussian, test, x, 6, nothing)
    np.testing.assert_array_equal(kernel.dense(), K)
    np.testing.assert_array_equal(kernel.diagonal(), K.diagonal())
    np.testing.assert_array_equal(kernel[:6, :6], K[:6, :6])
    for m in (7, n):
        assert kernel[:m, :m].shape == (m, m)
        np.testing.assert_allclose(kernel[:m, :m] @ v[:m], K[:m, :m] @ v[:m], rtol=1e-12)
        np.testing.assert_allclose(cross[:, :m] @ v[:m, 0], C[:, :m] @ v[:m, 0], rtol=1e-12)


@pytest.mark.parametrize(("dtype", "relative"), [(np.float32, 1e-4), (np.float64, 1e-6)])
def test_an_ill_conditioned_kernel_is_solved_as_by_cholesky(dtype, relative, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_tiles, "SIDE", 400)
    x, test = points(1000, dtype=dtype), points(200, 1, dtype)
    tiles = write_tiles(tmp_path / "k", gaussian, x, None, 10, nothing)
    K, C = (np.asarray(each, np.float64) for each in (tiles.dense(), gaussian(test, x)))
    y = np.sin(x.numpy().astype(np.float64) @ np.random.default_rng(3).standard_normal((3, 4)))
    shifted = K + relative * K.diagonal().mean() * np.eye(len(K))
    assert np.linalg.cond(shifted) > 100 / relative
    expected = C @ np.linalg.solve(shifted, y)
    fit = KernelRidge(relative, method="cg", tolerance=1e-7).fit(tiles, y)
    assert (fit.residual_norms < 1e-7).all()
    error = np.linalg.norm(fit.predict(C) - expected, axis=0) / np.linalg.norm(expected, axis=0)
    assert (error < 1e-6).all()
    assert KernelRidge(relative).fit(K, y).residual_norms is None


def test_interrupted_it_goes_on_with_the_tiles_that_are_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_tiles, "SIDE", 8)
    x, made = points(24), []

    def block(x1, x2=None):
        made.append(1)
        return gaussian(x1, x2)

    def ended():
        if len(made) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tiles(tmp_path / "k", block, x, None, 6, ended)
    chunk = tmp_path / "k" / "ntk" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[::-1])
    made.clear()
    kernel = write_tiles(tmp_path / "k", block, x, None, 6, nothing)
    assert len(made) == 3  # of six: those after the fourth, and the damaged one
    np.testing.assert_array_equal(kernel.dense(), gaussian(x).numpy())


def test_no_convergence_is_an_error_and_no_larger_ridge(tmp_path, monkeypatch):
    monkeypatch.setattr(ridge, "_MOST_STEPS", 2)
    monkeypatch.setattr(ridge, "_RANK", 2)
    tiles = write_tiles(tmp_path / "k", gaussian, points(60), None, 6, nothing)
    with pytest.raises(
        NotConvergedError,
        match=r"after 2 steps(.|\n)*resources.mem_mb, so that a Cholesky .* nothing else",
    ):
        with_ridge(
            tiles,
            np.sin(np.arange(60.0)),
            np.zeros(60),
            Choice(1e-6, 0, 0.0, 10),
            Ridges((1e-6, 1e2), "squared", 10),
        )


def regressed(regression, task, folder, networks=None):
    output = folder / f"{regression.id}.zarr"
    regress_kernels(regression, task, networks, output, state=folder / "state", stage="")
    assert not (folder / "state").exists()
    return read_store(output, "regression")


@pytest.fixture
def little_memory(monkeypatch):
    """Kernels of more than 16 samples are in tiles of 6."""
    monkeypatch.setattr(kernel_tiles, "SIDE", 6)
    monkeypatch.setattr(unit, "SPECTRUM_SAMPLES", 12)
    monkeypatch.setattr(stage, "samples_in_memory", lambda job, memory: 16)


@pytest.mark.parametrize(
    "regression",
    [
        spec(ensemble=3, offset="subtract"),
        spec("infinite"),
        spec("after", trained_on=(8, 32), fits=("own", "fresh"), by_layer=True),
    ],
    ids=lambda each: each.source,
)
def test_regressions_by_tiles_are_those_in_memory(
    regression, task_path, networks_path, tmp_path, request, monkeypatch
):
    networks = networks_path if regression.source == "after" else None
    monkeypatch.setattr(unit, "SPECTRUM_SAMPLES", 12)
    whole = regressed(regression, task_path, tmp_path / "whole", networks)
    request.getfixturevalue("little_memory")
    tiled = regressed(regression, task_path, tmp_path / "tiled", networks)
    assert (whole.attrs["samples_in_memory"], tiled.attrs["samples_in_memory"]) == (32, 16)
    there = ~tiled["undefined"].values
    residual = tiled["residual"].values
    large = there & (tiled["n"].values == 32)
    assert (residual[large] > 0).all()
    assert (residual[large] <= TOLERANCE).all()
    assert (residual[there & ~large] == 0).all()
    assert (whole["residual"].values[there] == 0).all()
    for name in set(whole) - SECONDS - {"residual"}:
        np.testing.assert_allclose(tiled[name], whole[name], rtol=2e-5, atol=1e-9, err_msg=name)


def test_a_killed_job_goes_on_with_its_tiles(task_path, tmp_path, little_memory, monkeypatch):
    block, made, ends = unit.infinite_block, [], [10**9]

    def counted(layers):
        def tile(x1, x2=None):
            if len(made) == ends[0]:
                raise KeyboardInterrupt
            made.append(1)
            return block(layers)(x1, x2)

        return tile

    monkeypatch.setattr(unit, "infinite_block", counted)
    whole = regressed(spec("infinite"), task_path, tmp_path / "whole")
    tiles = len(made)
    made.clear()
    ends[0] = tiles - 3
    with pytest.raises(KeyboardInterrupt):
        regressed(spec("infinite"), task_path, tmp_path)
    folder = tmp_path / "state" / "tiles"
    assert [each.name for each in folder.iterdir()] == ["1-0-own"]  # that of seed 0 is done
    made.clear()
    ends[0] = 3
    resumed = regressed(spec("infinite"), task_path, tmp_path)
    for name in set(whole) - SECONDS:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name


def test_a_kernel_that_is_not_finite_is_undefined_by_tiles(
    task_path, tmp_path, little_memory, monkeypatch
):
    block = unit.infinite_block

    def spoilt(layers):
        def tile(x1, x2=None):
            found = block(layers)(x1, x2)
            if x2 is not None:
                found[0, -1] = torch.nan
            return found

        return tile

    removed = []
    monkeypatch.setattr(unit, "infinite_block", spoilt)
    monkeypatch.setattr(unit, "remove", lambda folder: removed.append(folder.exists()))
    found = regressed(spec("infinite"), task_path, tmp_path)
    assert found["undefined"].values.all()
    assert np.isnan(found["error"]).all()
    assert removed
    assert all(removed)


PEAK = """
import json, sys
from pathlib import Path
import torch
from ntkscope.config.curve_specs import RegressionSpec
from ntkscope.data.tasks import load_task
from ntkscope.regression import regress_kernels
from ntkscope.regression.job import RegressionJob
from ntkscope.regression.memory_needs import predicted_bytes, predicted_bytes_by_tiles
text, task, output, state = sys.argv[1:]
spec = RegressionSpec.model_validate_json(text)
job = RegressionJob(spec, load_task(Path(task)), None, torch.device("cpu"))
by_tiles, whole = (f(job, spec.sizes[-1]) for f in (predicted_bytes_by_tiles, predicted_bytes))
regress_kernels(spec, Path(task), None, Path(output), state=Path(state), stage="",
                memory=by_tiles + 10**8)
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with that of the parent
peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
print(json.dumps([peak, by_tiles, whole]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("source", ["infinite", "initial"])
def test_memory_is_bounded_as_predicted(source, tmp_path):
    generator, counts = np.random.default_rng(0), {"train": 12000, "test": 500}
    samples = {
        s: generator.integers(0, 256, (1, n, *SHAPE)).astype("u1") for s, n in counts.items()
    }
    targets = {s: np.sign(x[..., 0, 0, 0] / 255.0 - 0.5) for s, x in samples.items()}
    task = write_task(tmp_path / "task.zarr", samples, targets, seeds=(0,))
    one = spec().task.model_copy(update={"seeds": (0,)})
    regression = spec(
        source,
        task=one,
        sizes=(500, 12000),
        test=500,
        precision="float32",
        leave_one_out_most=1000,
    )
    paths = [str(tmp_path / name) for name in ("task.zarr", "out.zarr", "state")]
    found = subprocess.run(
        [sys.executable, "-c", PEAK, regression.model_dump_json(), *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    peak, by_tiles, whole = json.loads(found.stdout.splitlines()[-1])
    assert peak < by_tiles < whole
    assert task.exists()
