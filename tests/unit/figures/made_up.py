"""Experiments of made-up runs, and what a reader sees of a figure of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ntkscope.fits import collect_metrics, fit_experiment
from ntkscope.stores import read_netcdf
from tests.unit.fits.conftest import metrics_table

STEPS, BOUNDARY, WINDOW = np.arange(41), 20, 5
SIZES = {"spike": 100.0, "drop": 0.5, "noise": 0.1}


def tables(
    folder: Path,
    points: Iterable[Mapping[str, Any]],
    analysis: str,
    size: Any = lambda axes: 1.0,
    diverged: Any = lambda axes: None,
    steps: Any = lambda axes: (STEPS, BOUNDARY),
    about: Any = lambda axes: {},
) -> tuple[Path, Path]:
    """Paths of the metrics and fits of a sweep whose effects are `size` of the axes at each point.

    Args:
        folder: where the files go.
        points: the axes of each cell.
        analysis: of the experiment.
        size: axes → factor of spike, drop, distance and deflection.
        diverged: axes → {seed: step}, or None.
        steps: axes → steps of the snapshots and the boundary's.
        about: axes → facts of the variant; its role is its name unless they say otherwise.
    """
    generator = np.random.default_rng(0)
    cells = []
    for number, axes in enumerate(points):
        run, twin = (folder / f"{number}-{arm}.nc" for arm in ("run", "twin"))
        noise = np.exp(SIZES["noise"] * generator.standard_normal((5, 1)))
        at, boundary = steps(axes)
        common = {"steps": at, "boundaries": (boundary,), "distance_from_start": 0.1}
        shifted = curves(at, boundary, float(size(axes)), noise)
        metrics_table(run, **shifted, diverged=diverged(axes), **common)
        metrics_table(twin, **curves(at, boundary, 0.0, noise), **common)
        facts = {"variant": {"role": axes["variant"], **about(axes)}} if "variant" in axes else {}
        cells.append({"axes": dict(axes), "facts": facts, "run": run, "twin": twin})
    files = [folder / name for name in ("metrics.nc", "fits.nc", "table.csv")]
    collect_metrics(cells, files[0], {})
    how = {"analysis": analysis, "classes": 5, "record": {}}
    fit_experiment(*files, window=WINDOW, confidence=0.95, **how)
    return files[0], files[1]


def curves(steps: np.ndarray, boundary: int, size: float, noise: np.ndarray) -> dict[str, Any]:
    """A spike, a checkmark, a deflection and forgetting of a given size, with noise by seed."""
    since = np.where(steps > boundary, steps - boundary, 0)
    after = (since > 0) * np.exp(-since / 10.0)
    dip = SIZES["drop"] * size * (since > 0) * np.exp(-((since - 5) ** 2) / 50.0)
    spike = SIZES["spike"] * size * np.where(steps == boundary, 1.0, after / 3)
    gone = np.minimum(0.9, size * since / (1.0 + steps.max() - boundary))
    accuracy = np.stack([1 - gone, gone], axis=-1)
    return {
        "velocity": 1e-5 * noise * (1 + spike * noise),
        "spectral_norm": 1 - np.minimum(dip * noise, 0.95),
        "alignment": 0.5 + 0.1 * size * after * noise,
        "distance_from_boundary": 0.2 * size * (since > 0) * noise,
        "accuracy": accuracy[None],
        "loss": np.where(np.arange(2) == 1, 1 + size, 1.0),
    }


def read(files: tuple[Path, Path]) -> tuple[xr.Dataset, xr.Dataset]:
    """Metrics and fits."""
    return read_netcdf(files[0], "experiment"), read_netcdf(files[1], "fits")


def without_values(data: xr.Dataset, at: Any = True) -> xr.Dataset:
    """A table whose numbers are NaN at some points of its sweep, as of kernels that are."""
    floats = {name: each for name, each in data.data_vars.items() if each.dtype.kind == "f"}
    return data.assign({name: xr.where(at, np.nan, each) for name, each in floats.items()})


def texts(figure: Figure) -> str:
    """All that is written, one after another."""
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))


def visible_texts(figure: Figure) -> list[plt.Text]:
    """All that a reader sees: labels, titles, legends, and the labels of ticks in view."""
    ticks, in_view = set(), set()
    for axes in figure.axes:
        for axis, number in ((axes.xaxis, 0), (axes.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            labels = axis.get_ticklabels(which="both")
            ticks |= set(labels)
            in_view |= {t for t in labels if low <= t.get_position()[number] <= high}
    shown = (t for t in figure.findobj(plt.Text) if t.get_text().strip() and t.get_visible())
    return [t for t in shown if t not in ticks or t in in_view]


def check_layout(figure: Figure) -> None:
    """Assert that no text lies on another, none is outside the page, and no panel is empty."""
    figure.canvas.draw()
    found = {(t.get_text(), *t.get_window_extent().bounds): t for t in visible_texts(figure)}
    boxes = [(text.get_text(), text.get_window_extent()) for text in found.values()]
    for i, (first, a) in enumerate(boxes):
        assert a.x0 > -1, first
        assert a.y0 > -1, first
        assert a.x1 < figure.bbox.x1 + 1, first
        assert a.y1 < figure.bbox.y1 + 1, first
        for second, b in boxes[i + 1 :]:
            assert not a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)), (first, second)
    for number, axes in enumerate(figure.axes):
        assert axes.lines or axes.collections or axes.texts, number
