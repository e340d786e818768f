"""The figure: complete, the same to the byte, honest about seeds that are missing."""

import hashlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import draw_figure
from ntkscope.figures.curves import draw_band, seed_band
from ntkscope.figures.panels import (
    VELOCITY,
    draw_trajectories,
    share_limits,
    steps_from_boundary,
)
from ntkscope.figures.reactivation.reactivation import ROWS
from ntkscope.figures.reactivation.reactivation import draw as draw_reactivation
from ntkscope.figures.style import themed
from ntkscope.fits import fit_experiment
from ntkscope.stores import write_netcdf
from tests.unit.figures.made_up import check_layout, read, tables, texts, without_values

TEMPLATE = Path("workflow/report/reactivation.rst")
WIDTHS, REGIMES = (8, 16, 32), ("feature", "lazy")


def sweep(folder, diverged=lambda axes: None, regimes=REGIMES):
    """Effects that shrink with width."""
    points = [{"regime": r, "width": w} for r in regimes for w in WIDTHS]
    return tables(folder, points, "reactivation", lambda axes: 8 / axes["width"], diverged)


def drawn(files):
    return draw_reactivation(*read(files), FigureStyle(), {"feature": "Feature"})


def test_files_are_the_same_to_the_byte_when_made_again(tmp_path):
    """Whatever the user's matplotlibrc says."""
    files = sweep(tmp_path)
    own = {"axes.unicode_minus": False, "savefig.bbox": "tight", "pdf.compression": 0}
    digests = []
    for name, settings in (("first", {}), ("second", own)):
        made = {"pdf": "a.pdf", "png": "a.png", "caption": "a.rst"}
        outputs = {kind: tmp_path / name / file for kind, file in made.items()}
        common = {"template": TEMPLATE, "style": FigureStyle(), "labels": {}}
        with mpl.rc_context(settings):
            draw_figure("reactivation", *files, **outputs, **common)
        digests.append([hashlib.sha256(o.read_bytes()).hexdigest() for o in outputs.values()])
        assert {f.name for f in (tmp_path / name).iterdir()} == set(made.values())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("regimes", [REGIMES, REGIMES[:1]])
def test_every_row_regime_and_width_is_there(tmp_path, regimes):
    with themed(FigureStyle()):
        figure = drawn(sweep(tmp_path, regimes=regimes))
        check_layout(figure)
        assert len(figure.axes) == len(ROWS) * (len(regimes) + 1)
        for axes in figure.axes:
            assert [line for line in axes.lines if len(line.get_xdata()) > 2]
        said = texts(figure)
        assert "Feature" in said
        assert ("lazy" in said) == ("lazy" in regimes)
        assert all(str(width) in said for width in WIDTHS)
        assert "left out" not in said


def test_seeds_that_diverged_are_named_and_left_out(tmp_path):
    files = sweep(tmp_path, lambda axes: {2: 25} if axes["width"] == 8 else None)
    with themed(FigureStyle()):
        said = texts(drawn(files))
    assert "seeds left out" in said
    assert "width 8: 1" in said
    assert "width 16" not in said


@pytest.mark.parametrize("regimes", [REGIMES, REGIMES[:1]])  # without values: all, or one of two
def test_kernels_without_a_finite_value_are_said_to_be_so(tmp_path, regimes):
    metrics, fits = read(sweep(tmp_path))
    gone = metrics["regime"].isin(regimes)
    spoilt = [without_values(metrics, gone), without_values(fits, gone)]
    with themed(FigureStyle()):
        figure = draw_reactivation(*spoilt, FigureStyle(), {})
        check_layout(figure)
        assert texts(figure).count("no finite values") == len(ROWS) * len(regimes)


@pytest.mark.parametrize("log", [True, False])
def test_bands_are_t_intervals(log):
    values = np.exp(np.random.default_rng(0).standard_normal((5, 3)))
    middle, low, high = seed_band(values, 0.95, log)
    data = np.log(values) if log else values
    half = 2.7764451051977987 * data.std(axis=0, ddof=1) / 5**0.5
    expected = (data.mean(0), data.mean(0) - half, data.mean(0) + half)
    for found, wanted in zip((middle, low, high), expected, strict=True):
        np.testing.assert_allclose(found, np.exp(wanted) if log else wanted)


def test_few_seeds_are_lines_and_bands_end_where_the_quantity_does() -> None:
    x, values = np.arange(3.0), np.asarray([[0.1, 0.5, 0.9], [0.3, 0.6, 0.7], [0.2, 0.4, 1.0]])
    with themed(FigureStyle()):
        few, many = plt.figure().add_subplot(), plt.figure().add_subplot()
        draw_band(few, x, values[:2], 0.95, False, "red", bounds=(0, 1))
        draw_band(many, x, values, 0.95, False, "red", bounds=(0, 1))
        assert (len(few.lines), len(few.collections)) == (3, 0)
        np.testing.assert_array_equal(few.lines[0].get_ydata(), values[0])
        ends = many.collections[0].get_paths()[0].vertices[:, 1]
        assert (len(many.lines), ends.min(), ends.max()) == (1, 0, 1)


@pytest.mark.parametrize(("spread", "lines"), [(1.0, 1), (5.0, 4)])
def test_a_band_that_would_cover_the_panel_is_its_seeds_and_sets_no_scale(
    spread: float, lines: int
) -> None:
    x = np.arange(10.0)
    values = np.exp(spread * np.asarray([-1.0, 0.0, 1.0]))[:, None] * np.ones(10)
    with themed(FigureStyle()):
        axes = plt.figure().add_subplot()
        draw_band(axes, x, values, 0.95, True, "red")
        assert (len(axes.lines), len(axes.collections)) == (lines, int(lines == 1))
        axes.set_yscale("log")
        share_limits([axes], VELOCITY, 1)
        assert max(axes.get_ylim()) <= 1000


def test_of_two_seeds_effects_are_points_on_the_axes_of_many(tmp_path: Path) -> None:
    metrics, _ = read(sweep(tmp_path))
    two = tmp_path / "two.nc"
    few = metrics.isel(seed=[0, 1])
    write_netcdf(few.drop_attrs().assign_attrs(few.attrs), two, "experiment", {})
    made = [tmp_path / name for name in ("two_fits.nc", "two.csv")]
    how = {"analysis": "reactivation", "classes": 5, "record": {}}
    fit_experiment(two, *made, window=5, confidence=0.95, **how)
    with themed(FigureStyle()):
        many, figure = (drawn(files) for files in (sweep(tmp_path), (two, made[0])))
        for one, other in zip(many.axes, figure.axes, strict=True):
            assert one.get_yscale() == other.get_yscale()
        right = [axes for axes in figure.axes if axes.get_subplotspec().is_last_col()]
        assert any(line.get_marker() == "." for line in right[0].lines)
        ends = [path for each in right[0].collections for path in each.get_paths()]
        assert all(np.ptp(path.vertices[:, 1]) == 0 for path in ends if len(path.vertices) == 2)


def test_runs_that_part_at_the_boundary_are_drawn_once_before_it(tmp_path: Path) -> None:
    metrics, fits = read(sweep(tmp_path))
    cell = metrics.isel(regime=0, width=0)
    x = steps_from_boundary(cell)
    later = xr.DataArray(x >= 0, dims="snapshot")
    other = cell.assign(velocity=xr.where(later, 2 * cell["velocity"], cell["velocity"]))
    unlike = cell.assign(velocity=3 * cell["velocity"])
    with themed(FigureStyle()):
        axes = plt.figure().add_subplot()
        cells = [(cell, "red"), (other, "green"), (unlike, "blue")]
        draw_trajectories(axes, cells, VELOCITY, int(fits.attrs["window"]), 0.95)
        starts = {line.get_color(): line.get_xdata()[0] for line in axes.lines}
    assert starts["red"] == starts["blue"] == x[0]
    assert starts["green"] == x[x < 0][-1]
