"""The figures of sweeps: complete, legible, and honest about seeds that are missing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from docutils.core import publish_parts

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import draw_figure
from ntkscope.figures.captions import fill_caption
from ntkscope.figures.draw import figure_of
from ntkscope.figures.reactivation.frequency import epsilon_axis
from ntkscope.figures.reactivation.similarity import similarity
from ntkscope.figures.style import themed
from tests.unit.figures.made_up import STEPS, check_layout, read, tables, texts

TEMPLATES = Path("workflow/report")
REGIMES = ("feature", "lazy")


def similarity_points(regimes):
    return [
        {"regime": regime, "width": 16, "new_classes": new, "protocol": protocol}
        for regime in regimes
        for protocol in ("swap", "add")
        for new in range(4)
    ]


def frequency_points(regimes, conceptual=True):
    mixed = [
        {"variant": "frequency", "regime": r, "width": 16, "epsilon": epsilon, "alpha": alpha}
        for r in regimes
        for epsilon in (0.5, 0.1, 0.01, 0.0)
        for alpha in ("stepped", "ramped")
    ]
    new = [
        {"variant": "conceptual", "regime": r, "width": 16, "change": change}
        for r in regimes
        for change in ("abrupt", "gradual")
    ]
    return mixed + (new if conceptual else [])


def rate_points(regimes):
    return [
        {"regime": regime, "width": 16, "learning_rate": rate}
        for regime in regimes
        for rate in (0.01, 0.1, 0.3, 1.0)
    ]


def duration_points(regimes):
    return [
        {"regime": regime, "width": 16, "steps": steps}
        for regime in regimes
        for steps in (20, 40, 80)
    ]


def size_of(axes):
    """Effects of every sweep: more for more new classes, rarer ones, higher rates."""
    if "new_classes" in axes:
        return 1 - np.exp(-axes["new_classes"])
    if "epsilon" in axes:
        return (1 - axes["epsilon"]) * (1.0 if axes["alpha"] == "stepped" else 0.1)
    return 1 + 0.1 * np.log(axes.get("learning_rate", 1.0))


def steps_of(axes):
    """Tasks of the given length, or of 20 steps."""
    length = axes.get("steps", 20)
    return np.arange(length - 20, length + 21), length


POINTS = {
    "similarity": similarity_points,
    "frequency": frequency_points,
    "learning_rate": rate_points,
    "duration": duration_points,
}
BROKEN = {"similarity": ("new_classes", 3), "frequency": ("epsilon", 0.0)} | {
    "learning_rate": ("learning_rate", 1.0),
    "duration": ("steps", 80),
}


def diverged_at(analysis, seeds):
    axis, value = BROKEN[analysis]
    step = 81 if analysis == "duration" else int(STEPS[25])
    return lambda axes: dict.fromkeys(seeds, step) if axes.get(axis) == value else None


def sweep(folder, analysis, regimes=REGIMES[:1], seeds=()):
    points = POINTS[analysis](regimes)
    return tables(folder, points, analysis, size_of, diverged_at(analysis, seeds), steps_of)


def drawn(analysis, files):
    metrics, fits = read(files)
    return figure_of(analysis).draw(metrics, fits, FigureStyle(), {"lazy": "lazy (rate ∝ 1/width)"})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Metrics and fits of each sweep, of one regime and with a seed that diverged."""
    folders = {analysis: tmp_path_factory.mktemp(analysis) for analysis in POINTS}
    return {analysis: sweep(folder, analysis, seeds=(2,)) for analysis, folder in folders.items()}


@pytest.mark.parametrize("analysis", POINTS)
def test_a_figure_is_legible_and_marks_seeds_that_diverged(made, analysis):
    with themed(FigureStyle()):
        figure = drawn(analysis, made[analysis])
        check_layout(figure)
        for axes in figure.axes:
            assert [line for line in axes.lines if len(line.get_xdata()) > 2]
        expected = {"similarity": "2/10", "frequency": "2/10"}.get(analysis, "1/5")
        assert expected in texts(figure)


@pytest.mark.parametrize("analysis", POINTS)
def test_a_caption_is_whole(made, analysis):
    metrics, fits = read(made[analysis])
    module = figure_of(analysis)
    words = module.words(fits) if hasattr(module, "words") else {}
    caption = fill_caption(TEMPLATES / f"{analysis}.rst", metrics, fits, {}, words)
    publish_parts(caption, settings_overrides={"halt_level": 2})
    assert "1 of 5 (" in caption
    assert "nan" not in caption.split()


def test_files_are_the_same_to_the_byte(made, tmp_path):
    digests = []
    for name in ("first", "second"):
        files = {"pdf": "a.pdf", "png": "a.png", "caption": "a.rst"}
        outputs = {kind: tmp_path / name / file for kind, file in files.items()}
        common = {"template": TEMPLATES / "duration.rst", "style": FigureStyle(dpi=72)}
        draw_figure("duration", *made["duration"], **outputs, **common, labels={})
        digests.append([hashlib.sha256(o.read_bytes()).hexdigest() for o in outputs.values()])
    assert digests[0] == digests[1]


@pytest.mark.slow
@pytest.mark.parametrize("analysis", POINTS)
def test_two_regimes_and_a_point_without_seeds(tmp_path, analysis):
    with themed(FigureStyle()):
        figure = drawn(analysis, sweep(tmp_path, analysis, REGIMES, seeds=range(5)))
        check_layout(figure)
        assert "lazy" in texts(figure)


@pytest.mark.slow
def test_frequencies_without_new_classes(tmp_path):
    files = tables(tmp_path, frequency_points(REGIMES[:1], False), "frequency", size_of)
    with themed(FigureStyle()):
        figure = drawn("frequency", files)
        check_layout(figure)
        assert "new classes" not in texts(figure)


def test_similarity_is_of_sets_of_classes():
    for new in range(6):
        first, swapped = set(range(5)), set(range(new, 5 + new))
        added = first | set(range(5, 5 + new))
        for second, protocol in ((swapped, "swap"), (added, "add")):
            expected = len(first & second) / len(first | second)
            assert similarity(np.asarray(float(new)), 5, protocol) == expected


def test_no_frequency_stands_apart():
    places = epsilon_axis([0.5, 0.1, 0.01, 0.0])
    np.testing.assert_allclose(places[1:3], [1.0, 2.0])
    assert places[3] > 2.5
