"""The figure: complete, the same to the byte, honest about seeds that are missing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import draw_figure
from ntkscope.figures.curves import seed_band
from ntkscope.figures.reactivation import ROWS, draw_reactivation
from ntkscope.figures.style import themed
from ntkscope.fits import collect_metrics, fit_experiment
from ntkscope.stores import read_netcdf
from tests.unit.fits.conftest import STEPS, metrics_table

TEMPLATE = Path("workflow/report/reactivation.rst")
WIDTHS, REGIMES = (8, 16, 32), ("feature", "lazy")


def tables(folder, diverged=None):
    """An experiment of two regimes and three widths whose effects shrink with width."""
    generator = np.random.default_rng(0)
    after, cells = STEPS > 20, []
    for regime in REGIMES:
        for width in WIDTHS:
            noise = np.exp(0.1 * generator.standard_normal((5, 1)))
            run, twin = (folder / f"{regime}{width}-{arm}.nc" for arm in ("run", "twin"))
            common = {"distance_from_start": 0.1}
            metrics_table(
                run,
                velocity=np.where(STEPS == 20, 1e-2 * noise, 1e-5 * noise),
                spectral_norm=np.where(after & (STEPS < 30), 1 - 4 * noise / width, 1.0),
                alignment=0.5 + np.where(after, 0.1 * noise, 0.0),
                distance_from_boundary=np.where(after, noise / width, 0.0),
                diverged=diverged if width == WIDTHS[0] else None,
                **common,
            )
            metrics_table(twin, velocity=1e-5 * noise, alignment=0.5, **common)
            cells.append({"axes": {"regime": regime, "width": width}, "run": run, "twin": twin})
    collect_metrics(cells, folder / "metrics.nc", {})
    files = [folder / name for name in ("metrics.nc", "fits.nc", "table.csv")]
    fit_experiment(*files, window=5, confidence=0.95, record={})
    return files[:2]


def drawn(files):
    metrics, fits = read_netcdf(files[0], "experiment"), read_netcdf(files[1], "fits")
    return draw_reactivation(metrics, fits, FigureStyle(), {"feature": "Feature"})


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(plt.Text))


def test_files_are_the_same_to_the_byte_when_made_again(tmp_path):
    files = tables(tmp_path)
    digests = []
    for name in ("first", "second"):
        made = {"pdf": "a.pdf", "png": "a.png", "caption": "a.rst"}
        outputs = {kind: tmp_path / name / file for kind, file in made.items()}
        common = {"template": TEMPLATE, "style": FigureStyle(), "labels": {}}
        draw_figure("reactivation", *files, **outputs, **common)
        digests.append([hashlib.sha256(o.read_bytes()).hexdigest() for o in outputs.values()])
        assert {f.name for f in (tmp_path / name).iterdir()} == set(made.values())
    assert digests[0] == digests[1]


def test_every_row_regime_and_width_is_there(tmp_path):
    with themed(FigureStyle()):
        figure = drawn(tables(tmp_path))
        figure.canvas.draw()
        assert len(figure.axes) == len(ROWS) * (len(REGIMES) + 1)
        for axes in figure.axes:
            assert [line for line in axes.lines if len(line.get_xdata()) > 2]
        said = texts(figure)
        assert "Feature" in said
        assert "lazy" in said
        assert all(str(width) in said for width in WIDTHS)
        assert "left out" not in said


def visible_texts(figure):
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


def test_no_text_lies_on_another(tmp_path):
    with themed(FigureStyle()):
        figure = drawn(tables(tmp_path))
        figure.canvas.draw()
        found = {(t.get_text(), *t.get_window_extent().bounds): t for t in visible_texts(figure)}
        boxes = [(t.get_text(), t.get_window_extent()) for t in found.values()]
    assert len(boxes) > 60
    for i, (first, a) in enumerate(boxes):
        assert a.x0 > -1, first
        for second, b in boxes[i + 1 :]:
            assert not a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)), (first, second)


def test_seeds_that_diverged_are_named_and_left_out(tmp_path):
    with themed(FigureStyle()):
        said = texts(drawn(tables(tmp_path, diverged={2: 25})))
    assert "seeds left out" in said
    assert "width 8: 1" in said
    assert "width 16" not in said


@pytest.mark.parametrize("log", [True, False])
def test_bands_are_t_intervals(log):
    values = np.exp(np.random.default_rng(0).standard_normal((5, 3)))
    middle, low, high = seed_band(values, 0.95, log)
    data = np.log(values) if log else values
    half = 2.7764451051977987 * data.std(axis=0, ddof=1) / 5**0.5
    expected = (data.mean(0), data.mean(0) - half, data.mean(0) + half)
    for found, wanted in zip((middle, low, high), expected, strict=True):
        np.testing.assert_allclose(found, np.exp(wanted) if log else wanted)
