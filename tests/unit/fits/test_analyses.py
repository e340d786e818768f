"""What is asked of a sweep, on sweeps whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ntkscope.config.analyses import ANALYSES, Analysis
from ntkscope.errors import ConfigError
from ntkscope.fits import results_of
from ntkscope.fits.laws import sweep_results
from ntkscope.statistics.paired import FloatArray
from tests.unit.fits.sweeps import OFFSETS, SEEDS, sweep


def results(values: xr.Dataset, analysis: str) -> pd.DataFrame:
    found = values.merge(sweep_results(values, analysis, 5, 0.95))
    return results_of(found)


def one(frame: pd.DataFrame, **where: Any) -> pd.Series:
    rows = frame.loc[np.logical_and.reduce([frame[key] == v for key, v in where.items()])]
    assert len(rows) == 1, rows
    return rows.iloc[0]


@pytest.fixture(scope="module")
def similarity() -> pd.DataFrame:
    cells = [
        {"regime": regime, "new_classes": n, "protocol": protocol}
        for regime in ("feature", "lazy")
        for n in range(6)
        for protocol in ("swap", "add")
    ]

    def drop(boundary: int, regime: str, new_classes: int, protocol: str) -> Any:
        rate = 0.5 if regime == "feature" else 0.0
        shape = new_classes if rate == 0 else (1 - np.exp(-rate * new_classes)) / rate
        return (0.2 + OFFSETS) * shape

    return results(sweep(cells, norm_drop=drop), "similarity")


def test_a_saturating_sweep_is_told_from_a_straight_one(similarity: pd.DataFrame) -> None:
    at = {"quantity": "norm_drop", "against": "new_classes", "protocol": "swap"}
    bent, straight = ({**at, "regime": regime} for regime in ("feature", "lazy"))
    assert one(similarity, statistic="kendall_tau", **bent)["estimate"] == 1
    np.testing.assert_allclose(one(similarity, statistic="slope", **straight)["estimate"], 0.2)
    rate = one(similarity, statistic="saturation_rate", **bent)
    np.testing.assert_allclose(rate["estimate"], 0.5, rtol=1e-6)
    half = one(similarity, statistic="half_saturation", **bent)
    np.testing.assert_allclose(half["estimate"], np.log(2) / 0.5, rtol=1e-6)
    assert one(similarity, statistic="saturation_aicc", **bent)["estimate"] > 100
    assert one(similarity, statistic="bend", **bent)["high"] < 0
    np.testing.assert_allclose(
        one(similarity, statistic="bend", **straight)["estimate"], 0, atol=1e-9
    )
    share = one(similarity, statistic="first_share", **straight)
    np.testing.assert_allclose(share["estimate"], 0.2)
    assert share["note"] == "in proportion it would be 0.2"
    zero = one(similarity, statistic="half_saturation", **straight)
    assert zero["high"] > 1e6


def test_dissimilarity_is_that_of_the_sets_of_classes(similarity: pd.DataFrame) -> None:
    """Added classes n of 5 + n: the drop 0.2 n against n / (5 + n), by hand."""
    at = {"quantity": "norm_drop", "against": "dissimilarity", "regime": "lazy"}
    for protocol, gone in (("add", 0), ("swap", 1)):
        n = np.arange(6)
        x = 1 - (5 - gone * n) / (5 + n)
        expected = np.polyfit(x, 0.2 * n, 1)[0]
        row = one(similarity, statistic="slope", protocol=protocol, **at)
        np.testing.assert_allclose(row["estimate"], expected)


def test_a_seed_that_lacks_a_point_does_not_lose_the_others() -> None:
    rates = [0.01, 0.1, 0.3, 1.0]
    cells = [{"regime": "rates", "learning_rate": rate} for rate in rates]

    def drop(boundary: int, regime: str, learning_rate: float) -> Any:
        lost = np.where((np.arange(SEEDS) > 2) & (learning_rate == 1), np.nan, 0)
        return 0.3 * np.log(learning_rate) + OFFSETS + lost

    row = one(
        results(sweep(cells, norm_drop=drop), "learning_rate"),
        statistic="slope",
        quantity="norm_drop",
    )
    np.testing.assert_allclose(row["estimate"], 0.3)
    assert (row["n"], row["note"]) == (5, "without learning_rate 1, which not every seed has")
    assert row["against"] == "log learning_rate"


def test_the_rate_that_recovers_fastest_is_found_beside_one_that_never_does() -> None:
    rates = np.exp([-3.0, -2.0, -1.0, 0.0, 1.0])
    cells = [{"learning_rate": float(rate)} for rate in rates]

    def steps(boundary: int, learning_rate: float) -> Any:
        return np.full(5, np.inf if learning_rate > 2 else 10 + (np.log(learning_rate) + 1.3) ** 2)

    found = results(sweep(cells, half_recovery_step=steps), "learning_rate")
    row = one(found, statistic="lowest_at", quantity="half_recovery_step")
    np.testing.assert_allclose(row["estimate"], -1.3)
    tau = one(found, statistic="kendall_tau", quantity="half_recovery_step")
    assert "longest" in tau["note"]


def test_frequencies_are_compared_with_a_conceptual_shift_as_abrupt() -> None:
    cells: list[dict[str, Any]] = [
        {"variant": "frequency", "epsilon": e, "alpha": a, "change": None}
        for e in (0.5, 0.1, 0.0)
        for a in ("stepped", "ramped")
    ] + [
        {"variant": "conceptual", "epsilon": None, "alpha": None, "change": c}
        for c in ("abrupt", "gradual")
    ]

    def spike(boundary: int, variant: str, epsilon: Any, alpha: Any, change: Any) -> Any:
        if variant == "conceptual":
            return (5.0 if change == "abrupt" else 1.0) + OFFSETS
        return (3.0 if alpha == "stepped" else 0.0) - epsilon + OFFSETS**2

    found = results(sweep(cells, spike=spike), "frequency")
    at = {"statistic": "difference", "quantity": "spike"}
    stepped = found[(found["against"] == "stepped − ramped") & (found["quantity"] == "spike")]
    assert stepped["epsilon"].tolist() == [0.5, 0.1, 0.0]
    np.testing.assert_allclose(stepped["estimate"], 3)
    kept = {**at, "against": "frequency − conceptual", "epsilon": 0.1}
    row = one(found, alpha="stepped", **kept)
    np.testing.assert_allclose(row["per_seed"], 3 - 0.1 + OFFSETS**2 - 5 - OFFSETS)
    np.testing.assert_allclose(one(found, alpha="ramped", **kept)["estimate"], -1.1, atol=1e-3)
    assert one(found, against="abrupt − gradual", **at)["estimate"] == 4


def test_controls_are_compared_in_pairs_and_the_loss_jump_explains_them() -> None:
    jumps = {"new_classes": 3.0, "labels_shifted": 5.0, "labels_permuted": 2.0, "gradual": 9.0}
    cells: list[dict[str, Any]] = [{"variant": name, "width": 256} for name in jumps]
    cells.append({"variant": "widths", "width": 64})
    noise = np.random.default_rng(0).standard_normal

    def jump(boundary: int, variant: str, width: int) -> Any:
        return jumps.get(variant, np.nan) + 0.1 * np.random.default_rng(len(variant)).random(5)

    def spike(boundary: int, variant: str, width: int) -> Any:
        return 2 * jump(1, variant, width) + 1e-3 * noise(5)

    found = results(sweep(cells, spike=spike, loss_jump=jump, norm_drop=spike), "controls")
    row = one(found, statistic="difference", quantity="loss_jump", against="new_classes − gradual")
    np.testing.assert_allclose(row["estimate"], -6, atol=0.1)
    assert not found["against"].str.contains("widths").any()
    for name, value in (("slope", 2), ("adjusted_slope", 2), ("r2", 1), ("partial_r2", 1)):
        row = one(found, statistic=f"{name}_of_loss_jump", quantity="spike")
        np.testing.assert_allclose(row["estimate"], value, rtol=0.05)
    assert row["note"] == "of these 3 controls, no sample of shifts, and 5 seeds"


def test_reactivation_along_a_sequence_accumulates_or_decays() -> None:
    values = sweep(
        [{"variant": "long"}, {"variant": "short"}],
        6,
        spike=lambda b, variant: 4 - 0.5 * b + OFFSETS,
    )
    values["boundary_step"][1, 2:] = -1
    found = results(values, "sequence")
    row = one(found, statistic="slope", quantity="spike")
    np.testing.assert_allclose(row["estimate"], -0.5)
    assert (row["variant"], row["boundary"], row["against"]) == ("long", -1, "boundary")


def test_a_law_of_what_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for of, statistics in (("nrom_drop", "slope"), ("norm_drop", "slpoe")):
        law = {"along": "width", "of": of, "statistics": statistics}
        monkeypatch.setitem(ANALYSES, "mine", Analysis.model_validate({"laws": [law]}))
        with pytest.raises(ConfigError, match=r"asks for (nrom_drop|slpoe)"):
            results(of_widths(), "mine")


def of_widths() -> xr.Dataset:
    def drop(b: int, width: int) -> FloatArray:
        return width + OFFSETS

    cells = [{"width": w} for w in (1, 2, 4, 8)]
    return sweep(cells, spike=drop, norm_drop=drop, forgetting=drop)


def test_shifts_of_frequency_are_not_asked_what_was_forgotten() -> None:
    assert len(results(of_widths(), "frequency")) == 0


@pytest.mark.parametrize("analysis", ["reactivation", "table", "unheard_of"])
def test_other_analyses_ask_for_correlations_alone(analysis: str) -> None:
    found = results(of_widths(), analysis)
    assert list(found["statistic"]) == ["correlation"] * 2
    np.testing.assert_allclose(found["estimate"], 1)
    assert list(found["n"]) == [4, 5]
