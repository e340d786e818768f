"""Verdicts on the paper's claims, in a made-up world and without data; exponents as tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope.fits.findings import Finding, find, write_findings
from ntkscope.fits.findings.claim import OURS
from ntkscope.fits.limitations.claims import CLAIMS
from ntkscope.fits.limitations.claims.lookups import PAPER
from ntkscope.fits.limitations.curve_fit import CURVED
from ntkscope.fits.limitations.curves import fit
from ntkscope.fits.limitations.exponents import write_exponents
from ntkscope.stores import write_netcdf
from tests.unit.fits.limitations.synthetic_curves import ANALYSES, curve_fits, learning_curves


@pytest.fixture(scope="module")
def world() -> dict[str, xr.Dataset]:
    return {analysis: curve_fits(analysis) for analysis in ANALYSES}


@pytest.fixture(scope="module")
def found(world: dict[str, xr.Dataset]) -> dict[str, Finding]:
    return {each.claim_id: each for each in find(world, "limitations", "figures", 0.95)}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("network_beats_initial_claim", "supported"),
        ("network_beats_infinite_claim", "supported"),
        ("network_beats_infinite_plain", "opposite"),
        ("network_beats_infinite_positive", "supported"),
        ("network_no_better_than_infinite_negative", "supported"),
        ("infinite_beats_initial", "supported"),
        ("finite_beats_infinite", "supported"),
        ("initial_improves_with_width", "supported"),
        ("initial_reaches_infinite", "not supported"),
        ("width_best_between_scaled_rate", "supported"),
        ("width_best_between_ntk", "not supported"),
        ("gap_holds_low_rate", "supported"),
        ("gap_holds_full_batch", "supported"),
        ("after_kernel_improves", "supported"),
        ("after_kernel_equals_network_fresh", "opposite"),
        ("fixed_after_kernel_lags", "supported"),
        ("kernel_improves_throughout", "not supported"),
        ("kernel_does_not_slow", "opposite"),
        ("network_beats_kernels_during", "supported"),
        ("spectrum_predicts_after", "opposite"),
    ],
)
def test_verdicts_in_a_made_up_world(found: dict[str, Finding], claim: str, verdict: str) -> None:
    assert found[claim].verdict == verdict, found[claim]


def test_every_claim_is_judged_with_threshold_interval_and_seeds(
    found: dict[str, Finding],
) -> None:
    for claim in CLAIMS:
        finding = found[claim.id]
        assert finding.verdict != "not tested" or claim.id == "widths_scale_alike", claim.id
        assert finding.low <= finding.estimate <= finding.high
        assert finding.n == 5
        assert claim.claimed.words in finding.statistic
        assert claim.source == OURS or PAPER in claim.source
        assert finding.figure == f"figures/{claim.analysis}.pdf"
    assert "resolution ±" in found["network_beats_infinite_claim"].note


def test_claims_without_data_are_not_tested(world: dict[str, xr.Dataset]) -> None:
    nothing = {each.claim_id: each for each in find({}, "limitations", "figures", 0.95)}
    assert {nothing[claim.id].verdict for claim in CLAIMS} == {"not tested"}
    fits = world["scaling"]
    alone = fits.isel(pair=[], change=[])
    lost = {
        each.claim_id: each for each in find({"scaling": alone}, "limitations", "figures", 0.95)
    }
    assert lost["network_beats_infinite_claim"].note == "this configuration has no data for it"


def lost(analysis: str, **where: Any) -> dict[str, Finding]:
    """Findings where all seeds of some networks diverged."""
    data = learning_curves(analysis)
    rows = np.all([np.isin(data[name].values, value) for name, value in where.items()], axis=0)
    assert rows.any()
    data["error"] = data["error"].where(~xr.DataArray(rows, dims="row"))
    data["reason"].values[rows] = "diverged"
    fits = fit(data, (500, 4000), 0.4, 0.95, analysis)
    return {each.claim_id: each for each in find({analysis: fits}, "limitations", "", 0.95)}


@pytest.mark.parametrize(
    ("claim", "where", "told"),
    [
        (
            "after_kernel_improves",
            {"curve": "after", "trained_on": 4000},
            "without data: m 4000 (all seeds diverged)",
        ),
        (
            "network_beats_kernels_during",
            {"curve": "network", "n": 4000},
            "network, width 64 without data at n = 4000",
        ),
        (
            "initial_improves_with_width",
            {"curve": "initial", "width": 512, "part": "ntk"},
            "1 of 7 without data: width 512 (all seeds diverged)",
        ),
        (
            "width_best_between_scaled_rate",
            {"curve": "network", "width": 512, "part": "scaled_rate"},
            "1 of 7 without data: width 512 (all seeds diverged)",
        ),
        (
            "initial_improves_with_width",
            {"curve": "initial", "part": "ntk"},
            "1 more without data: part ntk",
        ),
    ],
)
def test_what_has_no_data_keeps_a_claim_from_being_supported(
    claim: str, where: dict[str, Any], told: str, found: dict[str, Finding]
) -> None:
    assert found[claim].verdict == "supported"
    analysis = next(each.analysis for each in CLAIMS if each.id == claim)
    finding = lost(analysis, **where)[claim]
    assert finding.verdict == "not resolved", finding
    assert told in finding.note, finding


def test_a_difference_of_curves_that_bend_says_so(world: dict[str, xr.Dataset]) -> None:
    flags = ["" if kind != "infinite" else CURVED for kind in world["scaling"]["curve"].values]
    fits = world["scaling"].assign(flags=("curve_row", flags))
    bent = {each.claim_id: each for each in find({"scaling": fits}, "limitations", "figures", 0.95)}
    assert bent["network_beats_infinite_claim"].note.endswith("; no pure power law: K_∞")
    assert "pure" not in bent["network_beats_initial_claim"].note


def test_numbers_that_parts_share_count_once(world: dict[str, xr.Dataset]) -> None:
    fits = world["width"]
    twice = xr.concat([fits, fits], "change", data_vars="minimal")
    for claim in ("initial_improves_with_width", "initial_reaches_infinite"):
        one, two = (
            {f.claim_id: f for f in find({"width": each}, "limitations", "figures", 0.95)}[claim]
            for each in (fits, twice)
        )
        assert one == two


def test_a_role_is_asked_by_its_name(world: dict[str, xr.Dataset]) -> None:
    fits = world["scaling"].copy(deep=True)
    fits["role"] = ("curve_row", ["plain"] * fits.sizes["curve_row"])
    lost = {each.claim_id: each for each in find({"scaling": fits}, "limitations", "figures", 0.95)}
    assert lost["network_beats_infinite_claim"].verdict == "not tested"


@pytest.fixture(scope="module")
def files(
    world: dict[str, xr.Dataset], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fits")
    for name, fits in world.items():
        write_netcdf(fits, folder / f"{name}.nc", "curve_fits", {})
    return {name: folder / f"{name}.nc" for name in world}


def test_the_claims_of_one_paper_are_in_its_table(files: dict[str, Path], tmp_path: Path) -> None:
    paths = [tmp_path / f"findings.{kind}" for kind in ("csv", "md", "tex")]
    how: dict[str, Any] = {"paper": "limitations", "figures": "figures", "confidence": 0.95}
    write_findings(files, *paths, **how, record={})
    text = paths[1].read_text()
    assert f"## {PAPER}, Figure 1A" in text
    assert "arXiv 2507.16039" not in text


def test_exponents_are_written_for_machines_and_readers(
    files: dict[str, Path], tmp_path: Path
) -> None:
    paths = [tmp_path / f"exponents.{kind}" for kind in ("csv", "md", "tex")]
    write_exponents(files, *paths)
    with paths[0].open() as stream:
        rows = list(csv.DictReader(stream))
    first = rows[0]
    assert (first["experiment"], first["statistic"]) == ("scaling", "exponent")
    assert float(first["low"]) < float(first["estimate"]) < float(first["high"])
    assert {row["experiment"] for row in rows} == set(ANALYSES)
    markdown = paths[1].read_text()
    assert "| pairs | K_∞ | 0.2" in markdown
    assert "network, width 64 − K_∞" in markdown
    tex = paths[2].read_text()
    assert r"$K_{\infty}$" in tex
    assert "^{F_" not in tex
    assert tex.count(r"\begin{longtable}") == tex.count(r"\end{longtable}") == 2
    assert tex.isascii(), sorted({letter for letter in tex if not letter.isascii()})


def test_without_learning_curves_there_are_empty_tables(tmp_path: Path) -> None:
    paths = [tmp_path / f"exponents.{kind}" for kind in ("csv", "md", "tex")]
    write_exponents({}, *paths)
    assert paths[0].read_text().startswith("experiment,statistic")
