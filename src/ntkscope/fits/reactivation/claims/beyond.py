"""Claims of our own: the true lazy limit, what explains reactivation, and what it predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ntkscope.config.analyses import ANALYSES, TABLE
from ntkscope.fits.cells import seeds_of
from ntkscope.fits.exponents import shared_slopes
from ntkscope.fits.findings.claim import OURS, Claim, less_than, more_than, within
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.forgetting_prediction import BETWEEN, WITHIN, forgetting_prediction
from ntkscope.fits.reactivation.claims.task_shifts import NOTICEABLE
from ntkscope.fits.reactivation.comparisons import GRADUAL, WIDTHS
from ntkscope.fits.reactivation.detection import KERNEL, RATE, SIGNALS
from ntkscope.fits.reactivation.detection import WITHIN as HIT
from ntkscope.fits.results import Result, of_seeds


def _slower_vanishing(evidence: Evidence) -> list[Result]:
    """Exponent of the drop in the lazy regime − in the regime ntk, paired by seed.

    At the widths that both have.
    """
    pair = [evidence.exponents("reactivation", "norm_drop", regime_role=r) for r in ("lazy", "ntk")]
    return [_difference(evidence, lazy, ntk) for lazy, ntk in zip(*pair, strict=False)]


def _difference(evidence: Evidence, lazy: Result, ntk: Result) -> Result:
    y = pd.concat([_by_width(evidence, each) for each in (lazy, ntk)], axis=1)
    first, second = np.split(y.to_numpy(float).T, 2)
    slopes = shared_slopes(y.index.to_numpy(float), first, second)
    return of_seeds(
        slopes[0] - slopes[1],
        evidence.confidence("reactivation"),
        statistic="difference",
        quantity="norm_drop",
        against="exponents, lazy − ntk",
        units="1",
        at={},
        boundary=lazy.boundary,
        note="; ".join(dict.fromkeys(filter(None, (lazy.note, ntk.note)))),
        lacking="; ".join(
            f"{regime}: {each.lacking}"
            for regime, each in (("lazy", lazy), ("ntk", ntk))
            if each.lacking
        ),
    )


def _by_width(evidence: Evidence, exponent: Result) -> pd.DataFrame:
    """What an exponent is of: a row for each width, a column for each seed."""
    about: dict[str, Any] = {"quantity": exponent.quantity, "boundary": exponent.boundary}
    for axis, value in exponent.at.items():
        about[str(axis)] = pd.isna if pd.isna(value) else value
    rows = evidence.cells("reactivation", **about).set_index("width")
    return rows[seeds_of(rows)]


def _relabelled(evidence: Evidence) -> list[Result]:
    """Spikes of the controls that are no new classes − that of new classes."""
    spikes = evidence.cells("controls", quantity="spike")
    names = ("labels_shifted", "labels_permuted", "new_inputs")
    return [
        difference
        for name in names
        for difference in evidence.differences(
            evidence.cells("controls", quantity="spike", variant_role=name),
            spikes[spikes["variant_role"] == "new_classes"] if len(spikes) else spikes,
            ("variant",),
            f"{name} − new_classes",
        )
    ]


def _prediction(evidence: Evidence, against: str) -> list[Result]:
    """The correlation over the runs of all experiments of analyses that take part."""
    tables = [
        evidence.table(name)
        for name, fits in evidence.fits.items()
        if ANALYSES.get(str(fits.attrs["analysis"]), ANALYSES[TABLE]).forgetting
    ]
    widest = max(float(fits.attrs["confidence"]) for fits in evidence.fits.values())
    lost = sum(_without_drop(table) for table in tables)
    more = f"; {lost} more without data" if lost else ""
    return [
        result._replace(note=result.note + more)
        for result in forgetting_prediction(tables, widest)
        if result.against == against
    ]


def _without_drop(table: pd.DataFrame) -> int:
    """Runs' boundaries of which no seed has a norm drop."""
    drops = table[table["quantity"] == "norm_drop"]
    return int(drops[seeds_of(drops)].isna().all(axis=1).sum())


_SEQUENCES = {
    "relabelled": "many tasks that relabel the same inputs",
    "five_by_two": "5 tasks of 2 new classes",
    "ten_by_one": "10 tasks of 1 new class",
}


def _decaying(variant: str, quantity: str) -> Claim:
    word = {"log_velocity": "log velocity at the boundary", "norm_drop": "norm drop"}[quantity]
    return Claim(
        f"{quantity}_decays_{variant}",
        f"Reactivation decays along {_SEQUENCES[variant]} (opposite: it accumulates): {word}",
        OURS,
        "sequence",
        f"slope of the {word} against the boundary's number",
        less_than(0.0),
        lambda evidence: evidence.results(
            "sequence", statistic="slope", quantity=quantity, variant_role=variant
        ),
    )


def _explained(quantity: str) -> Claim:
    word = {"spike": "spike", "norm_drop": "norm drop"}[quantity]
    return Claim(
        f"loss_jump_explains_{quantity}",
        f"The jump of the loss at the boundary explains most of the {word}",
        OURS,
        "controls",
        f"R² of {word} on loss jump over abrupt controls and seeds",
        more_than(0.5, other=0.5),
        lambda evidence: evidence.of_cells(
            evidence.results("controls", statistic="r2_of_loss_jump", quantity=quantity),
            "controls",
            quantity=(quantity, "loss_jump"),
            variant_role=lambda role: role not in (WIDTHS, GRADUAL),
        ),
    )


def _of_detectors(evidence: Evidence, **where: str) -> list[Result]:
    """Of the streams that have data; a run that failed has no norm drop either."""
    found = evidence.results("detection", **where)
    return evidence.of_cells(found, "detection", quantity="norm_drop", boundary=1)


def _sooner(signal: str) -> Claim:
    return Claim(
        f"velocity_tells_sooner_than_{signal}",
        f"A detector on the velocity tells of a shift sooner than one on the {SIGNALS[signal]}",
        OURS,
        "detection",
        f"difference of the steps to the first alarm (at most {HIT}), mean over kinds of shift",
        less_than(0.0),
        lambda evidence: _of_detectors(evidence, statistic="delay_difference", against=signal),
    )


CLAIMS = [
    Claim(
        "ntk_drop_vanishes",
        "In the true lazy limit (regime ntk) the norm drop vanishes with width",
        OURS,
        "reactivation",
        "exponent of the norm drop in width, regime ntk",
        less_than(0.0),
        lambda evidence: evidence.exponents("reactivation", "norm_drop", regime_role="ntk"),
    ),
    Claim(
        "ntk_velocity_vanishes",
        "In the true lazy limit (regime ntk) velocity at the boundary vanishes with width",
        OURS,
        "reactivation",
        "exponent of the velocity at the boundary in width, regime ntk",
        less_than(0.0),
        lambda evidence: evidence.exponents("reactivation", "log_velocity", regime_role="ntk"),
    ),
    Claim(
        "lazy_is_not_the_limit",
        "With a rate ∝ 1/width (regime lazy) the drop vanishes more slowly, if at all",
        OURS,
        "reactivation",
        "difference of exponents of the norm drop in width, lazy − ntk",
        more_than(0.0),
        _slower_vanishing,
    ),
    Claim(
        "relabelling_reactivates",
        "Other labels on old inputs, or new inputs under old labels, reactivate as new classes do",
        OURS,
        "controls",
        "difference of spikes, each control − new classes",
        within(NOTICEABLE, "between ±log 2"),
        _relabelled,
    ),
    Claim(
        "spike_needs_abruptness",
        "New classes that come gradually give no spike",
        OURS,
        "controls",
        "spike, classes fading from old to new over the task",
        less_than(NOTICEABLE, "< log 2"),
        lambda evidence: evidence.effects("controls", quantity="spike", variant_role="gradual"),
    ),
    Claim(
        "drop_needs_no_abruptness",
        "New classes that come gradually do make the norm drop",
        OURS,
        "controls",
        "norm drop, classes fading from old to new over the task",
        more_than(0.05),
        lambda evidence: evidence.effects("controls", quantity="norm_drop", variant_role="gradual"),
    ),
    Claim(
        "frequency_spikes_when_abrupt",
        "Class ratios that change at once spike more than those that change gradually",
        OURS,
        "frequency",
        "difference of spikes, α stepped − ramped, at every ε > 0",
        more_than(0.0),
        lambda evidence: evidence.results(
            "frequency",
            statistic="difference",
            quantity="spike",
            against="stepped − ramped",
            epsilon=lambda epsilon: epsilon > 0,
        ),
    ),
    _explained("spike"),
    _explained("norm_drop"),
    Claim(
        "drop_predicts_forgetting_between",
        "Runs whose norm drops more forget more",
        OURS,
        "",
        "correlation of norm drop and forgetting between the means of runs, frequency left out",
        more_than(0.0),
        lambda evidence: _prediction(evidence, BETWEEN),
    ),
    Claim(
        "drop_predicts_forgetting_within",
        "Of one run, the seeds whose norm drops more forget more",
        OURS,
        "",
        "correlation of norm drop and forgetting within runs, jackknife over seeds",
        more_than(0.0),
        lambda evidence: _prediction(evidence, WITHIN),
    ),
    *(
        _decaying(variant, quantity)
        for variant in _SEQUENCES
        for quantity in ("log_velocity", "norm_drop")
    ),
    *(_sooner(signal) for signal in ("batch_loss", "gradient_norm")),
    Claim(
        "false_alarms_as_stated",
        "A detector on the velocity alarms falsely at most as often as its rule states",
        OURS,
        "detection",
        "false alarms of the twins a step, each kind of stream",
        less_than(RATE, f"< {RATE:g}, the rate stated"),
        lambda evidence: _of_detectors(evidence, statistic="false_alarms", quantity=KERNEL),
    ),
]
