"""Figures of learning curves: drawn from every table that can come, and what a reader sees."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from docutils.core import publish_parts
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ntkscope.config.analyses import ANALYSES, OF_CURVES, OF_STREAMS
from ntkscope.config.sections import FigureStyle
from ntkscope.errors import StoreError
from ntkscope.figures import draw_figure
from ntkscope.figures.curve_captions import fill_curve_caption, flags_in_words
from ntkscope.figures.draw import figure_of
from ntkscope.figures.limitations.reading import parts_of, together
from ntkscope.figures.style import themed
from ntkscope.fits.limitations.curves import fit
from ntkscope.stores import write_netcdf
from tests.unit.figures.limitations.cases import CASES, LONG, tables
from tests.unit.fits.limitations.synthetic_curves import learning_curves

REPORT = Path(__file__).parents[4] / "workflow/report"
STYLE = FigureStyle(dpi=72)
ATTRS = {"currency": '"zero_one"', "test": "4000"}
KINDS = ("pdf", "png", "rst")
FEW = ("whole", "nothing")
"""Cases that are looked at each time; others where there is time."""
RARE = tuple(case for case in CASES if case not in FEW)


@pytest.fixture(autouse=True)
def looks() -> Iterator[None]:
    with themed(STYLE), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@cache
def drawn(analysis: str, case: str = "whole", style: FigureStyle = STYLE) -> Figure:
    """A figure, laid out; drawn once for all tests."""
    figure: Figure = figure_of(analysis).draw(*tables(analysis, case), style, {})
    figure.draw_without_rendering()
    return figure


def caption(analysis: str, case: str = "whole") -> str:
    both = tables(analysis, case)
    module = figure_of(analysis)
    more = module.words(both[1]) if hasattr(module, "words") else {}
    return fill_curve_caption(REPORT / f"{analysis}.rst", *both, {}, more)


def written(figure: Figure) -> list[str]:
    """The exponents that are written in the panels, in the order of their curves."""
    legends = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for each in legends if each for text in each.get_texts()]


def test_analyses_of_curves_are_not_offered_to_streams() -> None:
    assert set(OF_CURVES) == {
        *("after_kernel", "hyperparameters", "kernel_spectra", "scaling"),
        *("time_dynamics", "width"),
    }
    assert not set(OF_CURVES) & set(OF_STREAMS)
    assert all(ANALYSES[name].paper == "limitations" for name in OF_CURVES)


@pytest.mark.parametrize("analysis", OF_CURVES)
@pytest.mark.parametrize("case", RARE)
@pytest.mark.slow
def test_every_table_that_can_come_is_drawn(analysis: str, case: str) -> None:
    assert drawn(analysis, case).axes


@pytest.mark.parametrize("analysis", OF_CURVES)
def test_without_a_finite_number_a_figure_says_so(analysis: str) -> None:
    said = [text.get_text() for axes in drawn(analysis, "nothing").axes for text in axes.texts]
    assert {"no finite errors", "no fits"} & {*said}


@pytest.mark.parametrize("analysis", OF_CURVES)
def test_a_legend_names_every_curve_once(analysis: str) -> None:
    figure = drawn(analysis)
    names = [text.get_text() for each in figure.legends for text in each.get_texts()]
    counts = Counter(name for name in names if name)
    assert set(counts.values()) == {1}
    labels = [axes.get_legend() for axes in figure.axes]
    titles = {each.get_title().get_text() for each in labels if each}
    assert titles <= {"exponent α", "exponent in m", "layer"}


@pytest.mark.parametrize("case", [*FEW, *(pytest.param(c, marks=pytest.mark.slow) for c in RARE)])
@pytest.mark.parametrize("analysis", OF_CURVES)
def test_a_caption_is_whole_and_valid(analysis: str, case: str) -> None:
    said = caption(analysis, case)
    assert not re.search(r"\$|\bnan\b|\{|\}", said)
    publish_parts(said, settings_overrides={"halt_level": 2})


@pytest.mark.parametrize("analysis", OF_CURVES)
def test_a_caption_says_convention_ridge_seeds_samples_and_range(analysis: str) -> None:
    said = caption(analysis)
    for words in ("trace NTKs of the one output", "leave-one-out", "5", "4000 test samples"):
        assert words in said.replace("\n", " ")
    assert ("500 to 4000" in said) == (analysis != "width")


def test_a_caption_says_grid_criterion_and_deviations_of_the_kernels() -> None:
    curves, fits = tables("width")
    common = {"criterion": "zero_one", "ridges": [1e-6, 0.1, 100.0], "leave_one_out_most": 1000}
    limit = common | {"weight_std": 2**0.5, "bias_std": 0.1}
    facts = json.dumps({"ntk": {"infinite": limit, "initial": common | {"ensemble": 1}}})
    both = curves.assign_attrs(facts=facts), fits
    assert fill_curve_caption("$kernels|$ridge", *both, {}, {}) == (
        "empirical kernels are trace NTKs of the one output, Θ = J Jᵀ, in the network's own "
        "parametrisation; K_∞ is the infinite network's NTK in the NTK parametrisation with "
        "W_std = 1.41, b_std = 0.1|leave-one-out by 0–1 error (ties: squared error) over 1e-06 to "
        "100 (3 values) of the kernel's mean diagonal, from n = 1000 on the ridge chosen there; at "
        f"the grid's lowest in 0 and at its highest in {(curves['ridge_edge'] > 0).sum().item()} "
        f"of {np.isfinite(curves['ridge_edge']).sum().item()}"
    )


def test_a_caption_says_which_systems_were_solved_by_conjugate_gradients() -> None:
    curves, fits = tables("time_dynamics")
    kernels = curves["curve"] != "network"
    large = kernels & (curves["n"] == curves["n"].where(kernels).max())
    residual = xr.where(large, 8e-7, 0.0) * xr.ones_like(curves["ridge"])
    said = fill_curve_caption("$ridge", curves.assign(residual=residual), fits, {}, {})
    n, count = int(curves["n"].where(large).max()), int((residual > 0).sum())
    assert said.endswith(
        f"; {count} systems (n = {n}), which memory did not hold, by conjugate gradients to a "
        "relative residual of 8e-07 or less"
    )
    none = curves.assign(residual=xr.zeros_like(residual))
    assert "conjugate" not in fill_curve_caption("$ridge", none, fits, {}, {})


def test_a_scaling_figure_writes_the_fitted_exponents() -> None:
    figure, (_, fits) = drawn("scaling"), tables("scaling")
    plain = fits.isel(curve_row=(fits["part"] == "parity") & (fits["curve"] == "infinite"))
    ends = [float(plain[f"exponent{end}"][0]) for end in ("", "_low", "_high")]
    assert f"{ends[0]:.2f} ± {(ends[2] - ends[1]) / 2:.2f}" in written(figure)[5]


def test_points_outside_the_fit_are_open() -> None:
    figure = drawn("scaling")
    network = [each for each in figure.axes[0].lines if each.get_marker() == "o"]
    fillings = {each.get_markerfacecolor() for each in network}
    assert "white" in fillings and len(fillings) == 2
    opened = [line for line in network if line.get_markerfacecolor() == "white"]
    assert [x for line in opened for x in line.get_xdata()] == [250, 8000]


def test_diverged_networks_are_counted_over_their_samples() -> None:
    figure = drawn("scaling", "diverged")
    counts = [text.get_text() for text in figure.axes[0].texts]
    assert counts == ["1/5", "1/5", "1/5", "1/5", "5/5", "5/5"]


def test_a_network_that_diverged_counts_once_whatever_its_steps() -> None:
    curves = CASES["diverged"]("time_dynamics")
    lost = curves.sel(row=(curves["curve"] == "network") & (curves["step"] < 0))["diverged"] > 0
    assert flags_in_words(curves).startswith(f"{int(lost.sum())} networks diverged (n = 250")
    assert int(lost.sum()) < int((curves["diverged"] > 0).sum())


def test_a_curve_at_chance_has_no_exponent() -> None:
    assert set(written(drawn("time_dynamics", "at chance"))) == {"no fit"}


def test_one_seed_has_no_interval() -> None:
    assert "±" not in "".join(written(drawn("time_dynamics", "one seed")))


def test_an_offset_that_is_identified_and_disagrees_replaces_the_exponent() -> None:
    curves, fits = tables("time_dynamics")
    there = xr.zeros_like(fits["exponent"])
    told = {"offset_exponent": 0.9, "offset_exponent_low": 0.8, "offset_exponent_high": 1.0}
    for identified in (False, True):
        told |= {"offset_identified": identified}
        found = fits.assign({name: there + value for name, value in told.items()})
        texts = written(figure_of("time_dynamics").draw(curves, found, STYLE, {}))
        assert ("0.90 ± 0.10 †" in texts) == identified


@pytest.mark.parametrize("analysis", [pytest.param("scaling", marks=pytest.mark.slow), "width"])
def test_panels_fit_one_column(analysis: str) -> None:
    style = FigureStyle(width_mm=85, dpi=72)
    with themed(style):
        figure = drawn(analysis, style=style)
        box, width = figure.get_tightbbox(), figure.get_figwidth()
    assert -0.02 * width < box.x0 and box.x1 < 1.02 * width


def test_of_several_widths_the_largest_is_drawn_and_the_caption_says_so() -> None:
    figure = drawn("time_dynamics", "two widths")
    assert len([line for line in figure.axes[0].lines if line.get_marker() == "o"]) == 1
    assert "(MLP, width 64, 128, of which 128 is drawn)" in caption("time_dynamics", "two widths")


def test_parts_of_one_task_are_drawn_together() -> None:
    curves, _ = tables("time_dynamics")
    halves = []
    for number, part in enumerate(("time", "curves")):
        rows = (curves["curve"].values != "during") | (curves["step"].values % 200 == 0)
        chosen = curves.isel(row=rows if number else curves["n"].values <= 1000)
        names = ("row", np.full(chosen.sizes["row"], part))
        halves.append(chosen.drop_dims("layer_row").assign_coords(part=names, label=names))
    both = xr.concat(halves, "row").assign(layer_error=curves["layer_error"])
    texts = {name: f'{{"time": {each}, "curves": {each}}}' for name, each in ATTRS.items()}
    both = both.assign_attrs(curves.attrs | texts)
    made = fit(both, (500, 4000), 0.4, 0.95, "time_dynamics")
    figure = figure_of("time_dynamics").draw(both, made, STYLE, {})
    assert len(figure.axes) == 3
    assert len(written(figure)) == 2 + 4


def test_intervals_wider_than_the_errors_do_not_set_the_scale() -> None:
    figure = drawn("width", "few and noisy")
    assert figure.axes[0].get_ylim()[0] > 0.03


@pytest.mark.slow
def test_long_names_stay_apart() -> None:
    figure = drawn("scaling", "long names")
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:4]]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert LONG[:10] in figure.axes[0].get_title()


def test_values_are_written_clear_of_the_curves() -> None:
    figure = drawn("after_kernel")
    axes = figure.axes[2]
    top = axes.transAxes.inverted().transform(axes.get_legend().get_window_extent().max)[1]
    lines = [line for line in axes.lines if line.get_transform() == axes.transData]
    lowest = min(np.nanmin(line.get_ydata()) for line in lines if len(line.get_ydata()))
    assert axes.transAxes.inverted().transform(axes.transData.transform([500, lowest]))[1] > top


def test_files_are_the_same_when_drawn_again(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.nc" for name in ("curves", "fits")]
    for data, file, kind in zip(
        tables("width"), files, ("learning_curves", "curve_fits"), strict=True
    ):
        write_netcdf(data.drop_attrs().assign_attrs(data.attrs), file, kind, {})
    how = {"template": REPORT / "width.rst", "style": STYLE, "labels": {"ntk": "Lazy"}}
    made = []
    for number in "12":
        to = {kind: tmp_path / f"{number}.{kind}" for kind in ("pdf", "png")}
        draw_figure("width", *files, caption=tmp_path / f"{number}.rst", **to, **how)
        made.append([(tmp_path / f"{number}.{kind}").read_bytes() for kind in KINDS])
    assert made[0] == made[1]
    assert b"digit pairs (MLP, width 8 to 512): fixed rate, scaled rate, Lazy" in made[0][2]
    plt.close("all")
    with pytest.raises(StoreError, match="not of 'learning_curves'"):
        draw_figure("width", *files[::-1], caption=tmp_path / "3.rst", **to, **how)


@pytest.mark.parametrize("label", [r"$\nope$", "50% $x", "one\n\ntwo", r"$\alpha = 3$"])
def test_any_label_is_drawn_and_told_on_one_line(label: str) -> None:
    curves, fits = tables("scaling", "whole")
    labels = dict.fromkeys(curves["part"].values.tolist(), label)
    figure_of("scaling").draw(curves, fits, STYLE, labels).draw_without_rendering()
    more = figure_of("scaling").words(fits)
    assert " ".join(label.split()) in fill_curve_caption(
        REPORT / "scaling.rst", curves, fits, labels, more
    )


def test_parts_of_other_networks_are_not_drawn_as_one() -> None:
    (part, *_) = parts_of(*tables("time_dynamics", "whole"), {})
    curves = tuple(
        replace(each, rows=each.rows.assign(error=each.rows["error"] * 0.9)) for each in part.curves
    )
    other = replace(part, keys=("other",), curves=curves)
    assert len(together([part, other])) == 2
    assert len(together([part, replace(part, keys=("again",))])) == 1


def names_above(figure: Figure) -> list[str]:
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


@pytest.mark.parametrize("analysis", ["scaling", "width", "kernel_spectra"])
def test_the_line_of_chance_is_in_the_legend(analysis: str) -> None:
    lines = {line.get_label() for axes in drawn(analysis).axes for line in axes.lines}
    assert ("chance" in lines) == ("chance" in names_above(drawn(analysis)))


def test_what_is_not_there_has_no_panel() -> None:
    whole, alone = drawn("scaling"), drawn("scaling", "networks alone")
    assert len(whole.axes) - len(alone.axes) == 3
    assert not [text for axes in alone.axes for text in axes.texts]
    assert "ast panel" in caption("scaling") and "ast panel" not in caption(
        "scaling", "networks alone"
    )


def test_one_part_without_other_kernels_stands_beside_its_differences() -> None:
    curves, _ = tables("scaling")
    plain = (curves["part"] == "parity") & curves["curve"].isin(["network", "infinite", "initial"])
    one = curves.isel(row=plain.values)
    axes = (
        figure_of("scaling").draw(one, fit(one, (500, 4000), 0.4, 0.95, "scaling"), STYLE, {}).axes
    )
    assert len(axes) == 2
    assert {each.get_subplotspec().rowspan.start for each in axes} == {0}


def test_a_way_of_training_is_named_once_and_as_in_its_panel() -> None:
    curves, fits = tables("hyperparameters")
    labels = {"high_rate": "three times the rate"}
    figure = figure_of("hyperparameters").draw(curves, fits, STYLE, labels)
    titles = [axes.get_title() for axes in figure.axes]
    rows = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
    assert "three times the rate" in titles
    assert [" ".join(title.split()) for title in titles[: len(rows)]] == [
        " ".join(row.split()) for row in rows
    ]


def test_shades_are_explained_where_they_are() -> None:
    said = [text.get_text() for axes in drawn("kernel_spectra").axes for text in axes.texts]
    assert "darker: larger m and t" in said


def test_exponents_are_read_on_intervals_that_go_below_the_panel() -> None:
    curves = learning_curves("scaling", seeds=3)
    curves = curves.assign(error=curves["error"] * (0.2 + 0.8 * curves["seed"]))
    both = curves, fit(curves, (500, 4000), 0.4, 0.95, "scaling")
    figure = figure_of("scaling").draw(*both, STYLE, {})
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert any(each.get_frame_on() for each in legends)
    assert not any(each.get_legend().get_frame_on() for each in drawn("scaling").axes[:4])


def test_of_two_seeds_there_are_points_and_no_intervals() -> None:
    axes = drawn("width", "few and noisy").axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert dots and len(dots) % 2 == 0
    bars = [path for each in axes.collections for path in each.get_paths()]
    assert all(np.ptp(path.vertices[:, 1]) == 0 for path in bars if len(path.vertices) == 2)
    assert "There are 2 seeds: curves and effects have no interval" in caption(
        "width", "few and noisy"
    )
