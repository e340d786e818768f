"""Captions: filled from the tables, strict about what nobody knows."""

from pathlib import Path

import numpy as np
import pytest
from docutils.core import publish_parts

from ntkscope.errors import ConfigError
from ntkscope.figures.captions import fill_caption, fill_template, number_in_words
from tests.unit.figures.made_up import read, tables

REPORT = Path(__file__).parents[3] / "workflow/report"
POINTS = [{"regime": r, "width": w} for r in ("feature", "lazy") for w in (8, 16)]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    def diverged(axes):
        return {1: 25} if axes == POINTS[2] else None

    folder = tmp_path_factory.mktemp("captions")
    return read(tables(folder, POINTS, "reactivation", diverged=diverged))


def filled(experiment, folder, text, **more):
    template = folder / "template.rst"
    template.write_text(text, encoding="utf-8")
    return fill_caption(template, *experiment, {"lazy": "Lazy"}, more)


def test_numbers_come_from_the_tables(experiment, tmp_path):
    said = filled(experiment, tmp_path, "$seeds|$n|$confidence|$width|$widest|$window|$dt|$$")
    assert said == "5|4 to 5|95%|8, 16|16|5|1|$"


def test_what_there_is_not_is_not_told(experiment, tmp_path):
    text = "Widths.[if exponents: Exponents are\nslopes.] [if left_out: Lost: $left_out.]"
    whole = filled(experiment, tmp_path, text, exponents="norm_drop")
    assert whole == "Widths.Exponents are\nslopes. Lost: 1 of 5 (Lazy, width 8)."
    none = filled(experiment, tmp_path, "Widths.\n[if exponents: Slopes.]", exponents="")
    assert none == "Widths."
    assert fill_template("a [if x: b $x] c", {"x": "none"}) == "a c"
    with pytest.raises(ConfigError, match="cannot be filled"):
        fill_template("[if unheard: of]", {})


def test_exponents_are_told_where_there_are_some(experiment, tmp_path):
    metrics, fits = experiment
    assert filled(experiment, tmp_path, "[if exponents: $exponents]") == ""  # of two widths
    fitted = fits.assign(exponent=fits["exponent"].fillna(0.5))
    assert "norm_drop" in filled((metrics, fitted), tmp_path, "[if exponents: $exponents]")


@pytest.mark.parametrize("file", sorted(REPORT.glob("*.rst")), ids=lambda file: file.stem)
def test_captions_are_of_samples_and_say_none_of_nothing(file):
    text = file.read_text(encoding="utf-8")
    assert "$samples images" not in " ".join(text.split())  # vectors are none
    for name in ("left_out", "flags"):
        assert text.count(f"${name}") == text.count(f"[if {name}:")


def test_few_seeds_are_said_to_have_no_interval():
    template = "Mean over $seeds seeds with its interval.\n"
    assert fill_template(template, {"seeds": "3"}) == template.replace("$seeds", "3")
    assert "There are 2 seeds: curves and effects have no" in fill_template(
        template, {"seeds": "2"}
    )
    assert fill_template(template, {"seeds": "1"}).endswith("no interval of anything.**\n")


def test_what_is_before_a_boundary_is_said_as_it_is_computed(experiment, tmp_path):
    said = filled(experiment, tmp_path, "$before")
    assert said == "the 5 steps up to and including the boundary's"
    assert experiment[1].attrs["norm_before"].startswith(f"mean over {said}")


def test_seeds_left_out_are_named_by_their_point(experiment, tmp_path):
    assert filled(experiment, tmp_path, "$left_out") == "1 of 5 (Lazy, width 8)"


def test_the_kernel_is_said_with_its_normalisation(experiment, tmp_path):
    metrics, fits = experiment
    metrics = metrics.assign_attrs(normalisation="Θ = (1/K) Σ_k J_k J_kᵀ: mean over outputs")
    said = filled((metrics, fits), tmp_path, "$kernel")
    assert said == "trace NTK, ``Θ = (1/K) Σ_k J_k J_kᵀ``, mean over outputs"
    assert publish_parts(said, settings_overrides={"halt_level": 2})


@pytest.mark.parametrize("text", ["$unheard", "costs 5 $"])
def test_what_nobody_knows_is_refused(experiment, tmp_path, text):
    with pytest.raises(ConfigError, match="cannot be filled"):
        filled(experiment, tmp_path, text)


def test_more_placeholders(experiment, tmp_path):
    assert filled(experiment, tmp_path, "$laws", laws="κ") == "κ"


def test_numbers_have_their_ends():
    assert number_in_words(-1.23456, -2.0, np.inf) == "−1.23 [−2, ∞]"
    assert number_in_words(0.5, np.nan, np.nan) == "0.5"
    assert number_in_words(np.nan, np.nan, np.nan) == "unknown"
