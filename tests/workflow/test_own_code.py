"""A network of the user's own: a file in the working folder and a line of configuration."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from ntkscope.config import expand, load_files
from ntkscope.models import load_tensors
from ntkscope.models.zoo import define
from ntkscope.stores import read_store
from tests.oracles.ntk import ntk
from tests.workflow.project import Project

NETS = """
import os
from torch import nn

def net(shape, outputs, width):
    os.system("echo made")
    return nn.Sequential(nn.Conv2d(shape[0], width, 3), nn.ReLU(), nn.Flatten(),
                         nn.Linear(36 * width, outputs))
"""


def test_a_network_at_fault_is_told_of_before_any_job_runs(project: Project) -> None:
    text = NETS.replace("outputs))", "outputs + 1))")
    (project.root / "nets_of_mine.py").write_text(text, encoding="utf-8")
    model = {"kind": "module", "function": "nets_of_mine:net", "arguments": {"width": [2, 3]}}
    project.change("experiments.reactivation.model", model)
    done = project.snakemake("figures/reactivation.pdf")
    assert done.returncode != 0
    assert done.stdout.count("for inputs [2, 1, 8, 8] is [2, 11], not [2, 10]") == 1
    assert f"where: nets_of_mine:net, {project.root}/nets_of_mine.py" in done.stdout
    assert "(called with width=2)" in done.stdout
    assert "(nothing was run)" in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) < 12


def test_a_network_from_the_working_folder_is_trained_and_has_kernels(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "nets_of_mine.py").write_text(NETS, encoding="utf-8")
    model = {"kind": "module", "function": "nets_of_mine:net", "arguments": {"width": [2, 3]}}
    project.change("experiments.reactivation.model", model)
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "path", list(sys.path))
    cell = expand(load_files(project.root / "config/config.yaml"), "reactivation")[-1]
    run = cell.run.parent
    assert run
    target = f"results/runs/{run.id}/kernels-{cell.kernel.id}.zarr"
    project.build(target)
    snapshots = read_store(f"results/runs/{run.id}/snapshots.zarr", "snapshots", "parameters")
    index = {"seed": 1, "snapshot": -1}
    network = define(run.model, (8, 8, 1), 10).build().double()
    load_tensors(
        network, {str(n): torch.from_numpy(v.isel(index).values) for n, v in snapshots.items()}
    )
    images = read_store("results/data/digits.zarr", "images")
    found = read_store(target, "kernels").isel(index)
    pixels = images["image"].values[images["split"].values == 0][found["image"].values]
    mean, std = images.attrs["mean"][0], images.attrs["std"][0]
    probe = torch.from_numpy((np.moveaxis(pixels, -1, 1) / images.attrs["white"] - mean) / std)
    expected = ntk(network, probe, probe, "trace").numpy()
    np.testing.assert_allclose(found["ntk"].values, expected, rtol=1e-4, atol=1e-5 * expected.max())
