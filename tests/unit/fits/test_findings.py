"""Verdicts: on intervals, on a made-up world in which the paper is right, and as tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from ntkscope.fits.findings import Claim, Claimed, claims, find, judge, write_findings
from ntkscope.fits.findings.claim import (
    Finding,
    between,
    compared,
    less_than,
    more_than,
    some,
    within,
)
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.findings.write import tex_escaped
from ntkscope.stores import write_netcdf
from tests.unit.fits.sweeps import OFFSETS, fitted, sweep

NOISE = OFFSETS[::-1]
CLAIMS = claims("reactivation")


@pytest.mark.parametrize(
    ("claimed", "low", "high", "verdict"),
    [
        (more_than(0.5), 0.6, 0.9, "supported"),
        (more_than(0.5), 0.4, 0.9, "not supported"),
        (more_than(0.5), 0.1, 0.3, "not supported"),
        (more_than(0.5), -0.9, -0.1, "opposite"),
        (more_than(0.5, other=0.5), 0.1, 0.3, "opposite"),
        (less_than(0.1), -1.0, 0.05, "supported"),
        (less_than(0.1), 0.2, 0.3, "opposite"),
        (within(0.7), -0.1, 0.2, "supported"),
        (within(0.7), 0.6, 0.8, "not supported"),
        (within(0.7), -0.9, -0.8, "opposite"),
        (between(0, 1), 0.2, 0.9, "supported"),
        (some(), -0.3, -0.1, "supported"),
        (some(), -0.3, 0.1, "not supported"),
    ],
)
def test_verdicts(claimed: Claimed, low: float, high: float, verdict: str) -> None:
    assert claimed.verdict(low, high) == verdict


def reactivation() -> xr.Dataset:
    """Larger spikes in feature; in ntk all shrinks like 1/width."""
    sizes = {"lazy": 1.0, "feature": 2.0, "ntk": 0.5}
    cells = [{"regime": r, "width": w} for r in sizes for w in (64, 256, 1024)]

    def scale(regime: str, width: int) -> float:
        return sizes[regime] * (64 / width if regime == "ntk" else 1)

    return sweep(
        cells,
        spike=lambda b, regime, width: 3 + scale(regime, width) + OFFSETS,
        log_velocity=lambda b, regime, width: np.log(scale(regime, width)) + OFFSETS,
        norm_drop=lambda b, regime, width: 0.3 * scale(regime, width) * np.exp(OFFSETS),
        checkmark=lambda b, regime, width: 0.2 * scale(regime, width) * np.exp(OFFSETS),
        deflection=lambda b, regime, width: (0.2 if width > 64 else -0.2) + OFFSETS,
        forgetting=lambda b, regime, width: 0.5 * scale(regime, width) + OFFSETS,
    )


def similarity() -> xr.Dataset:
    cells = [{"new_classes": n, "protocol": p} for n in range(6) for p in ("swap", "add")]

    def size(b: int, new_classes: int, protocol: str) -> Any:
        return (1 - np.exp(-0.5 * new_classes)) * (1 + OFFSETS)

    return sweep(
        cells,
        norm_drop=size,
        spike=size,
        spike_over_baseline=size,
        forgetting=size,
    )


def frequency() -> xr.Dataset:
    cells: list[dict[str, Any]] = [
        {"variant": "frequency", "epsilon": e, "alpha": a, "change": None}
        for e, a in itertools.product((0.5, 0.01, 0.0), ("stepped", "ramped"))
    ]
    cells += [
        {"variant": "conceptual", "epsilon": None, "alpha": None, "change": c}
        for c in ("abrupt", "gradual")
    ]

    def spike(b: int, variant: str, epsilon: Any, alpha: Any, change: Any) -> Any:
        if variant == "conceptual":
            return (6 if change == "abrupt" else 1) + OFFSETS
        return (4 if alpha == "stepped" else 0.1) + NOISE + (epsilon == 0) * 9

    return sweep(cells, spike=spike, peak_velocity=spike, norm_drop=spike)


@pytest.fixture(scope="module")
def world() -> dict[str, xr.Dataset]:
    rates = [0.01, 0.03, 0.1, 0.2, 0.5, 1.0]
    late = {0.01: np.inf, 0.03: 30.0, 0.1: 9.0, 0.2: 10.0, 0.5: 20.0, 1.0: 40.0}
    learning = sweep(
        [{"learning_rate": rate} for rate in rates],
        half_recovery_step=lambda b, learning_rate: late[learning_rate] * np.exp(OFFSETS),
        minimum_step=lambda b, learning_rate: 20 + OFFSETS,
        norm_drop=lambda b, learning_rate: 0.5 + 0.1 * np.log(learning_rate) + OFFSETS,
        checkmark=lambda b, learning_rate: 0.1 + 0.1 * OFFSETS * np.log(learning_rate),
    )
    long = sweep(
        [{"variant": "relabelled"}],
        6,
        spike=lambda b, variant: 4 + OFFSETS,
        log_velocity=lambda b, variant: 4 - b / 9 + OFFSETS,
        norm_drop=lambda b, variant: 0.2 + b / 99 + OFFSETS,
    )
    made = {
        "reactivation": reactivation(),
        "similarity": similarity(),
        "frequency": frequency(),
        "learning_rate": learning,
        "sequence": long,
        "datasets": sweep([{"variant": "digits_mlp"}], spike=lambda b, variant: 3 + OFFSETS),
    }
    return {f"{name}_here": fitted(values, name) for name, values in made.items()}


@pytest.fixture(scope="module")
def verdicts(world: dict[str, xr.Dataset]) -> pd.DataFrame:
    return pd.DataFrame(find(world, "reactivation", "figures", 0.95)).set_index("claim_id")


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("velocity_spikes_lazy", "supported"),
        ("larger_spike_in_feature", "supported"),
        ("checkmark_feature", "supported"),
        ("alignment_deflects_lazy", "supported"),
        ("conceptual_maximal_norm_drop", "supported"),
        ("conceptual_medium_spike", "supported"),
        ("monotone_norm_drop", "supported"),
        ("diminishing_returns_norm_drop", "supported"),
        ("concave_norm_drop", "supported"),
        ("saturating_norm_drop", "supported"),
        ("no_shift_no_spike", "supported"),
        ("frequency_ramped_smooth", "supported"),
        ("frequency_stepped_smooth", "opposite"),
        ("frequency_below_conceptual_spike", "supported"),
        ("high_rate_deeper", "not supported"),
        ("low_rate_slower", "supported"),
        ("high_rate_slower", "supported"),
        ("low_rate_first_steps", "opposite"),
        ("checkmark_every_rate", "supported"),
        ("checkmark_every_duration", "not tested"),
        ("spike_every_boundary", "supported"),
        ("imagenet100_spike", "not tested"),
        ("ntk_drop_vanishes", "supported"),
        ("ntk_velocity_vanishes", "supported"),
        ("lazy_is_not_the_limit", "supported"),
        ("relabelling_reactivates", "not tested"),
        ("frequency_spikes_when_abrupt", "supported"),
        ("drop_predicts_forgetting_between", "supported"),
        ("log_velocity_decays_relabelled", "supported"),
        ("norm_drop_decays_relabelled", "opposite"),
    ],
)
def test_claims_are_judged_right(claim: str, verdict: str, verdicts: pd.DataFrame) -> None:
    assert verdicts.loc[claim, "verdict"] == verdict, verdicts.loc[claim]


def test_a_family_is_judged_by_its_least_favourable_member_at_its_confidence(
    verdicts: pd.DataFrame,
) -> None:
    row = verdicts.loc["frequency_below_conceptual_spike"]
    difference = 4 + NOISE - 6 - OFFSETS
    half = stats.t.ppf(1 - 0.025 / 2, 4) * difference.std(ddof=1) / np.sqrt(5)
    np.testing.assert_allclose([row["estimate"], row["high"]], [-2, -2 + half])
    assert row["note"].startswith("least favourable of 2: epsilon")
    assert "2 of 2 supported" in row["note"]
    assert (row["confidence"], row["n"]) == (0.95, 5)
    assert row["figure"] == "figures/frequency_here.pdf"


def test_a_run_of_both_regimes_is_no_evidence_of_their_difference() -> None:
    def spike(b: int, regime: str, width: int) -> Any:
        return 3 + OFFSETS + (0 if regime == "lazy" else np.log2(width / 128) * (1 + NOISE))

    cells = [{"regime": r, "width": w} for r in ("feature", "lazy") for w in (64, 128, 256, 512)]
    fits = fitted(sweep(cells, spike=spike), "reactivation")
    claim = next(c for c in CLAIMS if c.id == "larger_spike_in_feature")
    found = judge(claim, Evidence({"reactivation": fits}, ""), 0.95)
    assert found.verdict == "supported"
    assert "least favourable of 2: width 256" in found.note
    assert "one at width 128" in found.note


def test_claims_go_by_roles_whatever_regimes_and_variants_are_called(
    world: dict[str, xr.Dataset],
) -> None:
    regimes = reactivation().assign_coords(regime=["a", "b", "c"])
    parts = frequency().assign_coords(variant=["d", "e"])
    named = {"reactivation": regimes, "frequency": parts}
    found = find(
        {name: fitted(values, name) for name, values in named.items()}, "reactivation", "", 0.95
    )
    verdicts = {finding.claim_id: finding.verdict for finding in found}
    expected = find({name: world[f"{name}_here"] for name in named}, "reactivation", "", 0.95)
    assert verdicts == {finding.claim_id: finding.verdict for finding in expected}
    assert verdicts["ntk_drop_vanishes"] == verdicts["larger_spike_in_feature"] == "supported"


def test_imagenet_is_known_by_its_data_set_whatever_its_variant_is_called() -> None:
    values = sweep([{"variant": "mine"}], spike=lambda b, variant: 3 + OFFSETS)
    for dataset, verdict in (("imagenet100", "supported"), ("cifar10", "not tested")):
        fits = values.assign_coords(variant_dataset=("variant", [dataset]))
        found = find({"datasets": fitted(fits, "datasets")}, "reactivation", "", 0.95)
        assert {f.claim_id: f.verdict for f in found}["imagenet100_spike"] == verdict


def test_times_not_reached_are_said(verdicts: pd.DataFrame) -> None:
    assert "of its times 5 and of the middle third's 0" in verdicts.loc["low_rate_slower", "note"]


def test_a_run_that_two_experiments_share_is_correlated_once(
    world: dict[str, xr.Dataset],
) -> None:
    twice = world | {"again": world["reactivation_here"].assign_attrs(analysis="controls")}
    claim = next(c for c in CLAIMS if c.id == "drop_predicts_forgetting_between")
    first, second = (judge(claim, Evidence(w, ""), 0.95) for w in (world, twice))
    assert first.n == second.n == 2 + 3 + 5  # equal values count as one run
    assert first.estimate == second.estimate


def test_without_any_experiment_nothing_is_tested() -> None:
    found = find({}, "reactivation", "figures", 0.95)
    assert {f.verdict for f in found} == {"not tested"}
    assert len({f.claim_id for f in found}) == len(found) == len(CLAIMS)


def test_members_without_seeds_are_counted(world: dict[str, xr.Dataset]) -> None:
    lost = world["learning_rate_here"].copy(deep=True)
    lost["per_seed"].loc[{"learning_rate": 1.0}] = np.nan
    claim = next(c for c in CLAIMS if c.id == "checkmark_every_rate")
    found = judge(claim, Evidence({"learning_rate": lost}, ""), 0.95)
    assert "least favourable of 5" in found.note
    assert "1 more without data" in found.note
    lost["per_seed"][:] = np.nan
    found = judge(claim, Evidence({"learning_rate": lost}, ""), 0.95)
    assert (found.verdict, found.note[:11]) == ("not tested", "no interval")


def test_the_three_tables_are_written(
    tmp_path: Path, world: dict[str, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {}
    for name, fits in world.items():
        paths[name] = tmp_path / f"{name}.nc"
        write_netcdf(fits, paths[name], "fits", {})
    files = [Path(f"results/small/findings.{kind}") for kind in ("csv", "md", "tex")]
    how = {
        "paper": "reactivation",
        "figures": "figures/small",
        "confidence": 0.95,
        "record": {"commit": "abc"},
    }
    write_findings(paths, *files, **how)
    table, markdown, tex = pd.read_csv(files[0]), files[1].read_text(), files[2].read_text()
    assert table["claim_id"].tolist() == [claim.id for claim in CLAIMS]
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert all(line.count(" | ") == 6 for line in rows)
    assert "[sequence_here](../../figures/small/sequence_here.pdf)" in markdown
    assert "commit abc" in markdown
    assert tex.isascii()
    assert tex.count(" \\\\") == 1 + len(CLAIMS)


def test_tex_is_escaped() -> None:
    assert tex_escaped("50% of a_b & {c} < α²") == (r"50\% of a\_b \& \{c\} $<$ $\alpha$$^2$")


def test_ids_are_unique_and_claims_are_complete() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert all(isinstance(claim, Claim) and claim.statistic and claim.source for claim in CLAIMS)


def test_a_verdict_that_hangs_on_rounding_is_not_resolved() -> None:
    about = ("id", "claim", "source", "experiment", "statistic")
    one = Finding(*about, 0.3, 0.1, 0.5, 0.95, 5, "supported", "least favourable of 2", "figure")
    other = one._replace(estimate=0.2, low=-0.1, verdict="not supported")
    same = compared(one, one)
    assert (same.verdict, same.repeated, same.note) == ("supported", "supported", one.note)
    differs = compared(one, other)
    assert (differs.verdict, differs.repeated) == ("not resolved", "not supported")
    assert differs.note == (
        "supported; with other rounding 0.2 [-0.1, 0.5], not supported; least favourable of 2"
    )
    assert (differs.estimate, differs.low, differs.high) == (0.3, 0.1, 0.5)


def widths_of_regimes(*lost: dict[str, Any]) -> xr.Dataset:
    """Drops ∝ width^-.3 (lazy), ^-.1 (feature) and ^-.8 (ntk), half as large again at 512."""
    falls = {"lazy": 0.3, "feature": 0.1, "ntk": 0.8}

    def drop(b: int, regime: str, width: int) -> Any:
        size = 0.5 * (64 / width) ** falls[regime] * (1.5 if width == 512 else 1)
        return size * np.exp(OFFSETS * (width / 64) ** 0.2)

    cells = [{"regime": r, "width": w} for r in falls for w in (64, 128, 256, 512)]
    values = sweep(cells, norm_drop=drop)
    values["left_out"] = values["end_step"] * 0
    for where in lost:
        values["per_seed"].loc[where] = np.nan
        values["left_out"].loc[where] = values.sizes["seed"]
    return fitted(values, "reactivation")


def verdict(fits: xr.Dataset, analysis: str, claim: str) -> Finding:
    judged = next(c for c in CLAIMS if c.id == claim)
    return judge(judged, Evidence({analysis: fits}, ""), 0.95)


def test_a_claim_of_every_width_is_not_resolved_where_a_width_has_no_data() -> None:
    whole = verdict(widths_of_regimes(), "reactivation", "norm_drops_lazy")
    assert (whole.verdict, "data" in whole.note) == ("supported", False)
    fits = widths_of_regimes({"regime": "lazy", "width": 512})
    lost = verdict(fits, "reactivation", "norm_drops_lazy")
    assert lost.verdict == "not resolved"
    assert lost.note.startswith("supported by what has data; least favourable of 3: width 256")
    assert lost.note.endswith("1 more without data: width 512 (all seeds diverged or died)")
    assert verdict(fits, "reactivation", "norm_drops_feature").verdict == "supported"


def test_a_counterexample_needs_no_other_data() -> None:
    spikes = {0.0: 0.1, 0.5: 9.0, 0.01: 9.0}
    values = sweep(
        [{"variant": "frequency", "epsilon": e, "alpha": "stepped"} for e in spikes],
        spike=lambda b, variant, epsilon, alpha: spikes[epsilon] + OFFSETS,
    )
    values["per_seed"].loc[{"epsilon": 0.01}] = np.nan
    found = verdict(fitted(values, "frequency"), "frequency", "frequency_stepped_smooth")
    assert (found.verdict, "1 more without data" in found.note) == ("opposite", True)


@pytest.mark.parametrize("lost", ["lazy", "ntk"])
def test_exponents_are_compared_at_the_widths_that_both_have(lost: str) -> None:
    fits = widths_of_regimes({"regime": lost, "width": 512})
    differences = fits.sel(law="norm_drop").squeeze("boundary")
    np.testing.assert_allclose(differences["exponent_difference"], [-0.2, 0.5, 0.7])
    told = differences["exponent_difference_without"]
    assert told.sel(contrast="lazy - ntk") == "without width 512, which one of the two lacks"
    assert (told == "").sum() == 1
    assert differences["exponent_without"].sel(regime=lost) == (
        "without width 512, which no seed has"
    )
    found = verdict(fits, "reactivation", "lazy_is_not_the_limit")
    np.testing.assert_allclose(found.estimate, 0.5)
    assert found.verdict == "not resolved"
    why = f"{lost}: 1 of 4 without data: width 512 (all seeds diverged or died)"
    assert why in found.note
    alone = verdict(fits, "reactivation", "ntk_drop_vanishes")
    assert alone.verdict == ("not resolved" if lost == "ntk" else "supported")


def test_along_an_axis_a_point_without_data_is_told(world: dict[str, xr.Dataset]) -> None:
    def found(fits: xr.Dataset, lost: tuple[float, ...], claim: str) -> Finding:
        values = fits.copy(deep=True)
        values["per_seed"].loc[{"learning_rate": list(lost)}] = np.nan
        kept = values[["per_seed", "present", "per_arm", "boundary_step", "end_step"]]
        return verdict(fitted(kept, "learning_rate"), "learning_rate", claim)

    fits = world["learning_rate_here"]
    assert found(fits, (), "low_rate_slower").verdict == "supported"
    assert found(fits, (1.0,), "low_rate_slower").verdict == "supported"  # of no such rate
    slower = found(fits, (0.03,), "low_rate_slower")
    assert slower.verdict == "not resolved"
    assert "1 of 4 without data: learning_rate 0.03" in slower.note
    deeper = found(fits, (1.0,), "high_rate_deeper")
    assert "1 of 6 without data: learning_rate 1.0" in deeper.note


def test_the_first_class_is_compared_with_the_classes_that_the_share_is_of() -> None:
    values = similarity()
    one_seed = {"new_classes": 5, "seed": 0}
    values["per_seed"].loc[one_seed] = np.nan  # and so 5 new classes are in no line
    found = verdict(fitted(values, "similarity"), "similarity", "diminishing_returns_norm_drop")
    share = (1 - np.exp(-0.5)) / (1 - np.exp(-2.0))
    np.testing.assert_allclose(found.estimate, share - 1 / 4)
    values = similarity()
    values["per_seed"].loc[{"new_classes": 5, "protocol": "add"}] = np.nan
    found = verdict(fitted(values, "similarity"), "similarity", "diminishing_returns_norm_drop")
    assert (found.verdict, "1 of 6 without data" in found.note) == ("not resolved", True)


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("loss_jump_explains_norm_drop", "2 of 16 without data: variant new_inputs, regime lazy"),
        ("relabelling_reactivates", "1 more without data: regime lazy, new_inputs − new_classes"),
    ],
)
def test_a_control_without_data_leaves_its_claims_open(claim: str, told: str) -> None:
    jump = {"new_classes": 1, "labels_shifted": 2, "labels_permuted": 3, "new_inputs": 4}
    values = sweep(
        [{"variant": v, "regime": r} for v in jump for r in ("lazy", "feature")],
        loss_jump=lambda b, variant, regime: jump[variant] + OFFSETS,
        norm_drop=lambda b, variant, regime: (jump[variant] + OFFSETS) / 10,
        spike=lambda b, variant, regime: 3 + OFFSETS,
    )
    assert verdict(fitted(values, "controls"), "controls", claim).verdict == "supported"
    values["per_seed"].loc[{"variant": "new_inputs", "regime": "lazy"}] = np.nan
    found = verdict(fitted(values, "controls"), "controls", claim)
    assert found.verdict == "not resolved"
    assert told in found.note


@pytest.mark.parametrize(
    ("spikes", "expected", "told"),
    [
        ({"lazy": 0.0}, "by construction", "0 by construction: every seed is its twin to the bit"),
        ({"lazy": 0.0, "feature": 0.1}, "supported", "1 more 0 by construction"),
        ({"lazy": 0.0, "feature": 3.0}, "opposite", "1 more 0 by construction"),
        ({"lazy": 0.0, "feature": np.nan}, "by construction", "1 more without data"),
        ({"lazy": 0.1}, "supported", ""),
    ],
)
def test_what_is_zero_by_construction_supports_nothing(
    spikes: dict[str, float], expected: str, told: str
) -> None:
    def spike(b: int, variant: str, regime: str) -> Any:
        return spikes[regime] + OFFSETS * (spikes[regime] != 0)

    cells = [{"variant": "gradual", "regime": regime} for regime in spikes]
    fits = fitted(sweep(cells, spike=spike), "controls")
    found = verdict(fits, "controls", "spike_needs_abruptness")
    assert (found.verdict, told in found.note) == (expected, True), found


def test_a_spike_of_zero_by_construction_still_contradicts_a_spike() -> None:
    fits = fitted(sweep([{"variant": "digits"}], spike=lambda b, variant: 0 * OFFSETS), "datasets")
    claim = next(c for c in CLAIMS if c.id == "spike_every_dataset")
    found = judge(claim, Evidence({"datasets": fits}, ""), 0.95)
    assert (found.verdict, found.estimate, found.high) == ("not supported", 0, 0)
