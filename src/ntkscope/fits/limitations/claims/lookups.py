"""What claims ask of the fits of learning curves: differences of exponents, and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.limitations.changes import SPECTRAL, in_words
from ntkscope.fits.limitations.claims.gaps import gaps_along, gaps_of_fit, parts_without
from ntkscope.fits.limitations.curve import ABOUT
from ntkscope.fits.limitations.curve_fit import CURVED
from ntkscope.fits.limitations.rows import curve_name
from ntkscope.fits.results import Result, of_seeds
from ntkscope.statistics.paired import FloatArray, Interval

PAPER = "arXiv 2206.10012"
TEN_PERCENT = float(np.log(1.1))

OF_WIDTH = ("width", "width slope", "best width", "limit")
ALONG = ("trained_on", "trained_on slope", "step", *SPECTRAL, *OF_WIDTH)
"""Kinds of changes that are of several curves at once, of different widths, m or steps."""

Wanted = Mapping[str, Any]

_PLACE = ("part", "curve", "width", "fit", "layer")


def pairs(evidence: Evidence, analysis: str, first: Wanted, second: Wanted) -> list[Result]:
    """Exponent of one curve − that of another, positive where the first falls faster.

    Args:
        evidence: fits of all experiments.
        analysis: of the experiment.
        first, second: values that the curves have of `ABOUT`; a tuple: one of them.
    """
    fits = evidence.curves(analysis)
    if fits is None:
        return []
    about = abouts(fits)
    found = []
    for place in range(fits.sizes["pair"]):
        one = fits.isel(pair=place)
        ends = [int(one[f"pair_{end}"]) for end in ("first", "second")]
        falls, less = (about[end] for end in ends)
        if _fits(falls, first) and _fits(less, second):
            bent = [curve_name(about[end]) for end in ends if CURVED in fits["flags"].values[end]]
            lost = [gaps_of_fit(fits, end, curve_name(about[end])) for end in ends]
            lacking = "; ".join(dict.fromkeys(filter(None, lost)))
            found.append(_of_pair(one, falls, less, bent)._replace(lacking=lacking))
    return distinct(found)


def distinct(found: Sequence[Result]) -> list[Result]:
    """Each once: parts that share kernels have their numbers twice, and a family is no larger."""
    seen, kept = set(), []
    for each in found:
        same = (each.statistic, each.against, each.at.get("curve"), each.per_seed.tobytes())
        if same not in seen or not np.nan_to_num(each.per_seed).any():
            kept.append(each)
        seen.add(same)
    return kept


def _of_pair(one: xr.Dataset, first: Wanted, second: Wanted, bent: Sequence[str]) -> Result:
    against = curve_name(dict(second))
    curved = f"; no pure power law: {', '.join(bent)}" if bent else ""
    return Result(
        statistic="difference of exponents",
        quantity="exponent",
        against=against if first["part"] == second["part"] else f"{against} of {second['part']}",
        units="1",
        at={"part": first["part"], "network of width": first["width"]},
        boundary=-1,
        interval=Interval(
            np.asarray(float(one["difference_estimate"])),
            np.asarray(float(one["difference_low"])),
            np.asarray(float(one["difference_high"])),
            np.asarray(int(one["difference_n"])),
        ),
        per_seed=np.asarray(one["difference_per_seed"].values, np.float64),
        note=f"n = {int(one['pair_n_min'])} to {int(one['pair_n_max'])}; "
        f"resolution ±{float(one['resolution']):.2g}{curved}",
    )


def changes(
    evidence: Evidence,
    analysis: str,
    kind: str,
    of: Callable[[FloatArray, float, float], FloatArray] | None = None,
    **wanted: Any,
) -> list[Result]:
    """Changes of an error at a fixed n (`fits.limitations.changes`).

    Args:
        evidence: fits of all experiments.
        analysis: of the experiment.
        kind: of the change.
        of: what to make of one value per seed, and of its two ends; None: as it is.
        wanted: part, curve, width, fit, layer, from_ and to; a tuple: one of them.
    """
    fits = evidence.curves(analysis)
    if fits is None:
        return []
    found = []
    for place in range(fits.sizes["change"]):
        one = fits.isel(change=place)
        known = {
            name.removeprefix("change_"): one[name].item()
            for name in ("change_part", "change_curve", "change_fit", "change_layer")
        }
        ends = float(one["change_from"]), float(one["change_to"])
        known["width"] = int(one["change_width"])
        known |= {"kind": one["change_kind"].item(), "from_": ends[0], "to": ends[1]}
        if _fits(known, {"kind": kind, **wanted}):
            values = np.asarray(one["change_per_seed"].values, np.float64)
            values = values if of is None else of(values, *ends)
            made = of_change(values, known, one, evidence.confidence(analysis))
            found.append(made._replace(lacking=gaps_of(fits, one)))
    parts = [str(each.at["part"]) for each in found]
    lost = [_lost_part(part, kind, fits) for part in parts_without(fits, wanted, parts)]
    return [*distinct(found), *(lost if kind in ALONG else [])]


def gaps_of(fits: xr.Dataset, one: xr.Dataset) -> str:
    """What a change, one of the fits', is along and has no error at, in words."""
    kind = str(one["change_kind"].item())
    if kind not in ALONG:
        return ""
    of = {name: one[f"change_{name}"].item() for name in ("part", "curve", "fit", "width")}
    return gaps_along(fits, of, int(one["change_samples"]), width=kind in OF_WIDTH)


def _lost_part(part: str, kind: str, fits: xr.Dataset) -> Result:
    nothing = np.full(fits.sizes["seed"], np.nan)
    made = of_seeds(
        nothing,
        float(fits.attrs["confidence"]),
        statistic=kind,
        quantity="error",
        against="",
        units="1",
        at={"part": part},
        boundary=-1,
    )
    return made._replace(lacking="all seeds diverged")


def of_change(values: FloatArray, known: Wanted, one: xr.Dataset, confidence: float) -> Result:
    """The result of one change, or of what was made of it."""
    made = of_seeds(
        values,
        confidence,
        statistic=str(known["kind"]),
        quantity="error",
        against=in_words(str(known["kind"]), known["from_"], known["to"]),
        units="1",
        at={
            name: known[name] for name in ("part", "curve", "width", "fit", "layer") if known[name]
        },
        boundary=-1,
    )
    half = float(made.interval.high - made.interval.low) / 2
    return made._replace(note=f"at {int(one['change_samples'])} samples; resolution ±{half:.2g}")


def parts_of_role(evidence: Evidence, analysis: str, *roles: str) -> tuple[str, ...]:
    """The parts of an experiment that play one of the roles."""
    fits = evidence.curves(analysis)
    if fits is None:
        return ()
    both = zip(fits["part"].values, fits["role"].values, strict=True)
    return tuple(dict.fromkeys(str(part) for part, role in both if role in roles))


def abouts(fits: xr.Dataset) -> Sequence[dict[str, Any]]:
    """What tells each curve from the others."""
    columns = [fits[name].values.tolist() for name in ABOUT]
    return [dict(zip(ABOUT, values, strict=True)) for values in zip(*columns, strict=True)]


def _fits(about: Wanted, wanted: Wanted) -> bool:
    return all(
        about[name] in value if isinstance(value, tuple) else about[name] == value
        for name, value in wanted.items()
    )
