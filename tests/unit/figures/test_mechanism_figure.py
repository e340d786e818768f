"""The figure of the mechanism: works for every sweep, and says what the numbers say."""

import hashlib

import numpy as np
import pytest

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.panels import every_point
from ntkscope.figures.reactivation.forgetting import correlations_in_words, runs_of
from ntkscope.figures.reactivation.mechanism import MOST, layers_of, representative, words
from ntkscope.figures.reactivation.mechanism import draw as draw_mechanism
from ntkscope.figures.style import save, themed
from tests.unit.figures.made_up import check_layout, read, tables, texts, without_values
from tests.unit.figures.spectra import with_spectra

WIDTHS = [{"regime": r, "width": w} for r in ("feature", "lazy") for w in (8, 16, 32)]
RATES = [{"regime": "feature", "width": 8, "learning_rate": rate} for rate in (0.1, 0.3, 1.0)]
SETS = [
    {"regime": "feature", "width": width, "variant": f"{name}_{model}"}
    for name in ("digits", "other")
    for model, width in (("mlp", 16), ("cnn", 4))
]


def size(axes):
    return 8 / axes["width"] + axes.get("learning_rate", 0.0)


def read_with_spectra(folder, points, analysis="reactivation", diverged=lambda axes: None):
    metrics, fits = read(tables(folder, points, analysis, size, diverged))
    return with_spectra(metrics), fits


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    return read_with_spectra(tmp_path_factory.mktemp("rates"), RATES, "learning_rate")


def drawn(data):
    return draw_mechanism(*data, FigureStyle(), {"feature": "Feature"})


@pytest.mark.parametrize(
    ("points", "analysis", "columns", "said"),
    [
        (WIDTHS, "reactivation", 4, ["Feature", "lazy", "width 8", "width 32", "readout"]),
        (SETS, "datasets", MOST, ["digits mlp", "other cnn", "layer 2"]),
        (WIDTHS[:1], "reactivation", 1, ["Feature", "layer 1 (input)"]),
    ],
)
def test_every_sweep_has_its_columns(tmp_path, points, analysis, columns, said):
    with themed(FigureStyle()):
        figure = drawn(read_with_spectra(tmp_path, points, analysis))
        check_layout(figure)
        assert len(figure.axes) == 4 * columns + 1
        assert all(name in texts(figure) for name in said)
        assert "left out" not in texts(figure)


def test_seeds_that_diverged_are_counted(tmp_path):
    failed = read_with_spectra(
        tmp_path, RATES, "learning_rate", lambda a: {1: 25} if a["learning_rate"] == 1 else None
    )
    with themed(FigureStyle()):
        figure = drawn(failed)
        check_layout(figure)
        assert texts(figure).count("1 of 5 seeds left out") == 1


def test_points_without_seeds_are_not_drawn(tmp_path):
    failed = read_with_spectra(
        tmp_path,
        RATES,
        "learning_rate",
        lambda a: dict.fromkeys(range(4), 25) if a["learning_rate"] == 1 else None,
    )
    shown = representative(every_point(*failed))
    assert [point.at["learning_rate"] for point in shown] == [0.1, 0.3]


def test_tables_without_layers_lack_the_row(rates):
    metrics, fits = rates
    with themed(FigureStyle()):
        figure = drawn((metrics.drop_vars("layer_share"), fits))
        assert len(figure.axes) == 3 * 2 + 1
        assert "readout" not in texts(figure)


def test_the_readout_is_the_last_layer(tmp_path):
    points = every_point(*read_with_spectra(tmp_path, SETS[:2], "datasets"))
    assert [layers_of(point.metrics) for point in points] == [
        ["hidden1", "readout"],
        ["conv1", "conv2", "readout"],
    ]


def test_runs_are_paired_and_correlated(rates):
    _, fits = rates
    points = every_point(fits, fits)
    for point, run in zip(points, runs_of(fits), strict=True):
        cell = fits.sel(**point.at, boundary=1)
        expected = cell["per_seed"].sel(quantity=["norm_drop", "forgetting"])
        np.testing.assert_array_equal(run, expected)
    assert "between 3 runs: " in correlations_in_words(fits)[1]
    assert words(fits)["analysis"] == "learning_rate"


def test_drawn_again_it_is_the_same_to_the_byte(tmp_path, rates):
    data = [table.isel(learning_rate=[0]) for table in rates]
    digests = []
    for _ in range(2):
        with themed(FigureStyle()):
            save(drawn(data), tmp_path / "a.pdf", tmp_path / "a.png", 72)
        digests.append(
            [
                hashlib.sha256((tmp_path / f"a.{kind}").read_bytes()).digest()
                for kind in ["pdf", "png"]
            ]
        )
    assert digests[0] == digests[1]


def test_forgetting_is_not_asked_where_test_images_have_all_classes(tmp_path):
    points = [{"regime": "feature", "width": 16, "epsilon": each} for each in (0.1, 0.5)]
    _, fits = read_with_spectra(tmp_path, points, "frequency")
    said = "not computed, as its test samples have all classes alike"
    assert correlations_in_words(fits)[1:] == [said]
    assert words(fits)["correlations"] == said


def test_one_seed_is_not_enough_and_no_error(rates):
    alone = [table.isel(seed=[0]) for table in rates]
    with themed(FigureStyle()):
        figure = drawn(alone)
        check_layout(figure)
        assert texts(figure).strip().startswith("needs 2 seeds")
    assert words(alone[1])["analysis"] == "learning_rate"


def test_rows_without_a_finite_value_say_so(rates):
    with themed(FigureStyle()):
        figure = drawn((without_values(rates[0]), rates[1]))
        check_layout(figure)
        assert texts(figure).count("no finite values") == 4 * 2
