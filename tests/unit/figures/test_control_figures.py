"""The figures of sequences, data sets and controls: complete, legible, honest."""

from pathlib import Path

import numpy as np
import pytest
from docutils.core import publish_parts

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.captions import fill_caption
from ntkscope.figures.panels import every_point
from ntkscope.figures.reactivation.controls import draw as draw_controls
from ntkscope.figures.reactivation.controls import twin_alone
from ntkscope.figures.reactivation.datasets import draw as draw_datasets
from ntkscope.figures.reactivation.datasets import split
from ntkscope.figures.reactivation.mechanism import words as mechanism_words
from ntkscope.figures.reactivation.sequence import draw as draw_sequence
from ntkscope.figures.style import themed
from ntkscope.fits import collect_metrics, fit_experiment, t_interval
from tests.unit.figures.made_up import check_layout, curves, read, tables, texts
from tests.unit.fits.conftest import metrics_table

SHIFTS = ("new_classes", "gradual", "labels_shifted", "labels_permuted", "new_inputs")
KINDS = [{"regime": "feature", "width": 16, "variant": name} for name in SHIFTS]
WIDTHS = [
    {"regime": regime, "width": width, "variant": "widths"}
    for regime in ("feature", "lazy", "ntk")
    for width in (8, 16, 32)
]
TITLES = {"digits": "digits", "fashion_mnist": "Fashion-MNIST"}
SETS = [
    {"regime": "feature", "width": 4 if model == "cnn" else 16, "variant": f"{name}_{model}"}
    for name in TITLES
    for model in ("mlp", "cnn")
]


def about(axes):
    """Facts of the variants of `SETS`."""
    name, _, model = axes["variant"].rpartition("_")
    return {"dataset": name, "title": TITLES[name], "model": model}


def size(axes):
    kind = SHIFTS.index(axes["variant"]) if axes["variant"] in SHIFTS else 0
    return (1 + 0.1 * kind) * 8 / axes["width"]


def controls(folder, points, diverged=lambda axes: None):
    return read(tables(folder, points, "controls", size, diverged))


def drawn(draw, data, labels=None):
    figure = draw(*data, FigureStyle(), labels or {})
    check_layout(figure)
    return figure, texts(figure)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return controls(tmp_path_factory.mktemp("whole"), KINDS + WIDTHS)


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Two kinds of shift, of which the gradual one has a seed that diverged."""
    folder = tmp_path_factory.mktemp("failed")
    return controls(folder, KINDS[:2], lambda axes: {2: 25} if axes == KINDS[1] else None)


@pytest.mark.parametrize(
    ("variants", "panels", "said"),
    [
        (
            (*SHIFTS, "widths"),
            2 * 5 + 4 + 4,
            ["labels permuted", "no shift (twin)", "exponent", "R^2"],
        ),
        (SHIFTS[:2], 2 * 2 + 4 + 2, ["gradual", "no shift (twin)"]),
        (("widths",), 2, ["exponent of width", "ntk"]),
    ],
)
def test_controls_have_their_panels(whole, variants, panels, said):
    chosen = [table.sel(variant=list(variants)) for table in whole]
    with themed(FigureStyle()):
        figure, words = drawn(draw_controls, chosen)
        assert len(figure.axes) == panels
        assert all(text in words for text in said)
        assert "left out" not in words
        assert "nan" not in words


def test_a_control_with_a_diverged_seed_says_so(failed):
    with themed(FigureStyle()):
        assert "gradual, 1 of 5 seeds left out" in drawn(draw_controls, failed)[1]


def test_no_shift_is_the_twin_by_itself(failed):
    point = every_point(*failed)[0]
    alone = twin_alone(point, 0.95).sel(quantity="norm_drop")
    seeds = point.fits["per_arm"].sel(arm="twin", quantity="norm_drop").values
    expected = t_interval(seeds, 0.95)
    np.testing.assert_array_equal(alone[["low", "high"]].to_array(), [expected.low, expected.high])


@pytest.mark.parametrize("points", [SETS, SETS[:1]])
def test_every_data_set_has_a_column_and_every_run_a_row(tmp_path, points):
    with themed(FigureStyle()):
        figure, words = drawn(
            draw_datasets, read(tables(tmp_path, points, "datasets", about=about))
        )
    assert len(figure.axes) == 2 * -(-len(points) // 2) + 4
    assert "digits MLP" in words
    assert ("Fashion-MNIST CNN" in words) == (len(points) > 1)


def test_variants_are_called_by_data_set_and_model_whatever_their_name(tmp_path):
    points = [SETS[0] | {"variant": name} for name in ("fashion_mnist", "mine")]
    facts = {"fashion_mnist": ("Fashion-MNIST", "mlp"), "mine": ("CIFAR-10", "myrtle5")}

    def of_run(axes):
        return dict(zip(("title", "model"), facts[axes["variant"]], strict=True))

    found = every_point(*read(tables(tmp_path, points, "datasets", about=of_run)))
    assert [split(point) for point in found] == [("Fashion-MNIST", "MLP"), ("CIFAR-10", "myrtle5")]


def test_controls_go_by_roles_not_by_names(tmp_path):
    """Widths and a gradual shift under names of their own."""
    named = {"new_classes": "a", "gradual": "b", "widths": "c"}
    roles = {name: role for role, name in named.items()}
    points = [p | {"variant": named[p["variant"]]} for p in KINDS[:2] + WIDTHS]
    role_of = lambda axes: {"role": roles[axes["variant"]]}  # noqa: E731
    with themed(FigureStyle()):
        data = read(tables(tmp_path, points, "controls", about=role_of))
        figure, words = drawn(draw_controls, data)
        assert len(figure.axes) == 2 * 2 + 4 + 4
        assert "exponent of width" in words


def sequences(folder, tasks, diverged=None):
    """Sequences of so many tasks, by name; effects are the same at each boundary."""
    cells = []
    for name, count in tasks.items():
        steps = np.arange(20 * count + 1)
        boundaries = tuple(range(20, 20 * count, 20))
        paths = [folder / f"{name}-{arm}.nc" for arm in ("run", "twin")]
        for path, effect in zip(paths, (1.0, 0.0), strict=True):
            whole = curves(np.where(steps < 40, steps, 20 + steps % 20), 20, effect, NOISE)
            del whole["accuracy"], whole["loss"]
            failures = diverged if effect and name == "two" else None
            metrics_table(path, steps=steps, boundaries=boundaries, diverged=failures, **whole)
        axes = {"regime": "feature", "width": 8, "variant": name}
        cells.append({"axes": axes, "run": paths[0], "twin": paths[1]})
    files = [folder / name for name in ("metrics.nc", "fits.nc", "table.csv")]
    collect_metrics(cells, files[0], {})
    how = {"analysis": "sequence", "classes": 5, "record": {}}
    fit_experiment(*files, window=5, confidence=0.95, **how)
    return read((files[0], files[1]))


NOISE = np.exp(0.1 * np.random.default_rng(0).standard_normal((5, 1)))


@pytest.mark.parametrize("tasks", [{"one": 3, "two": 6}, {"one": 4}])
def test_every_boundary_of_a_sequence_is_marked(tmp_path, tasks):
    with themed(FigureStyle()):
        figure, words = drawn(draw_sequence, sequences(tmp_path, tasks))
        for axes, count in zip(figure.axes, tasks.values(), strict=False):
            marks = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
            assert len(marks) == count - 1
    assert "slope per boundary" in words


def test_a_sequence_with_a_diverged_seed_says_so(tmp_path):
    with themed(FigureStyle()):
        failed = sequences(tmp_path, {"one": 3, "two": 4}, {3: 70})
        assert "two, 1 of 5 seeds left out" in drawn(draw_sequence, failed)[1]


@pytest.mark.parametrize("name", ["controls", "datasets", "mechanism", "sequence"])
def test_captions_are_filled(failed, name):
    more = mechanism_words(failed[1]) if name == "mechanism" else {}
    said = fill_caption(Path(f"workflow/report/{name}.rst"), *failed, {}, more)
    assert publish_parts(said, settings_overrides={"halt_level": 2})
