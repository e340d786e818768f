"""The figure: complete, the same to the byte, honest about seeds that are missing."""

import hashlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import draw_figure
from ntkscope.figures.curves import draw_band, seed_band
from ntkscope.figures.reactivation.reactivation import ROWS
from ntkscope.figures.reactivation.reactivation import draw as draw_reactivation
from ntkscope.figures.style import themed
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
