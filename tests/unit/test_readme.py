"""The README's Python, run as it stands: the library's, and the notebook's on made-up tables."""

from __future__ import annotations

import ast
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import ntkscope
from ntkscope.metrics.observers import OBSERVERS
from tests.unit.fits.conftest import STEPS, metrics_table

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SNIPPETS = [block.split("```")[0] for block in TEXT.split("```python\n")[1:]]
RESULTS = ("results/", "open_kernels")  # what needs results of the workflow
NOTEBOOK = [code for code in SNIPPETS if any(word in code for word in RESULTS)]
LIBRARY = [code for code in SNIPPETS if code not in NOTEBOOK]


def test_only_the_face_is_imported() -> None:
    imported = [
        alias.name
        for code in SNIPPETS
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ntkscope")
        for alias in node.names
        if node.module == "ntkscope" or pytest.fail(f"not the face: {node.module}")
    ]
    assert imported
    assert set(imported) <= set(ntkscope.__all__)


def test_the_library_part_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in LIBRARY:
        exec(code, names)
    kernel, layers = names["kernel"], names["layers"]
    assert kernel.shape == (100, 100)  # type: ignore[attr-defined]
    whole = sum(layers.values())  # type: ignore[attr-defined]
    np.testing.assert_allclose(whole, kernel, rtol=1e-4, atol=1e-4)  # type: ignore[call-overload]
    assert ntkscope.read_store(tmp_path / "kernel.zarr", "kernels").ntk.shape == (100, 100)


def test_the_notebooks_line_is_whole_and_its_label_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    table = tmp_path / "results/experiments/reactivation/metrics.nc"
    table.parent.mkdir(parents=True)
    curve = np.where(np.arange(len(STEPS)) % 3, 1.0, np.nan)  # as of snapshots in pairs
    metrics = metrics_table(velocity=curve)
    (meaning,) = (each.metadata["velocity"] for each in OBSERVERS if "velocity" in each.metadata)
    metrics["velocity"].attrs = meaning.attributes()
    metrics = metrics.expand_dims(regime=["lazy"], width=[256], arm=["shift"])
    metrics.to_netcdf(table, engine="h5netcdf")
    monkeypatch.chdir(tmp_path)
    exec(NOTEBOOK[0], {})
    (line,) = plt.gca().lines
    assert np.isfinite(line.get_ydata()).all()  # type: ignore[arg-type]
    assert len(line.get_ydata()) > 5  # type: ignore[arg-type]
    assert len(plt.gca().get_ylabel()) < 40
    plt.close("all")
