"""The figures of sweeps: complete, legible, and honest about seeds that are missing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import draw_figure
from ntkscope.figures.draw import FIGURES
from ntkscope.figures.frequency import epsilon_axis
from ntkscope.figures.similarity import similarity
from ntkscope.figures.style import themed
from tests.unit.figures.made_up import STEPS, check_layout, read, tables, texts

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
    return FIGURES[analysis](metrics, fits, FigureStyle(), {"lazy": "lazy (rate ∝ 1/width)"})


@pytest.mark.parametrize("analysis", POINTS)
def test_a_figure_is_legible_and_marks_seeds_that_diverged(tmp_path, analysis):
    with themed(FigureStyle()):
        figure = drawn(analysis, sweep(tmp_path, analysis, seeds=(2,)))
        check_layout(figure)
        for axes in figure.axes:
            assert [line for line in axes.lines if len(line.get_xdata()) > 2]
        expected = {"similarity": "2/10", "frequency": "2/10"}.get(analysis, "1/5")
        assert expected in texts(figure)


@pytest.mark.parametrize("analysis", POINTS)
def test_two_regimes_and_a_point_without_seeds(tmp_path, analysis):
    with themed(FigureStyle()):
        figure = drawn(analysis, sweep(tmp_path, analysis, REGIMES, seeds=range(5)))
        check_layout(figure)
        assert "lazy" in texts(figure)


def test_frequencies_without_new_classes(tmp_path):
    files = tables(tmp_path, frequency_points(REGIMES[:1], False), "frequency", size_of)
    with themed(FigureStyle()):
        figure = drawn("frequency", files)
        check_layout(figure)
        assert "new classes" not in texts(figure)


@pytest.mark.parametrize("analysis", POINTS)
def test_files_are_the_same_to_the_byte_and_the_caption_is_whole(tmp_path, analysis):
    files, digests = sweep(tmp_path, analysis, seeds=(2,)), []
    for name in ("first", "second"):
        made = {"pdf": "a.pdf", "png": "a.png", "caption": "a.rst"}
        outputs = {kind: tmp_path / name / file for kind, file in made.items()}
        template = Path(f"workflow/report/{analysis}.rst")
        style = FigureStyle(dpi=72)
        draw_figure(analysis, *files, **outputs, template=template, style=style, labels={})
        digests.append([hashlib.sha256(o.read_bytes()).hexdigest() for o in outputs.values()])
    caption = outputs["caption"].read_text(encoding="utf-8")
    assert digests[0] == digests[1]
    assert "$" not in caption
    assert "1 of 5 (" in caption


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
