"""Claims of Figures 1C and 5: the kernel during training."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from ntkscope.fits.findings.claim import Claim, less_than, more_than
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.limitations.claims.lookups import PAPER, changes, pairs
from ntkscope.fits.results import Result, of_seeds
from ntkscope.statistics.paired import FloatArray, t_interval

_ANALYSIS = "time_dynamics"
_SHARE = 0.5
_EARLY = 0.75


def _per_octave(ratio: FloatArray, first: float, last: float) -> FloatArray:
    return ratio / math.log2(last / first)


def _steps(evidence: Evidence) -> list[Result]:
    wanted = {"curve": "during", "fit": "fresh"}
    return changes(evidence, _ANALYSIS, "step", _per_octave, **wanted)


def _slowing(evidence: Evidence) -> list[Result]:
    """Rate over the last quarter of the octaves of training − half the rate before."""
    fits = evidence.curves(_ANALYSIS)
    if fits is None:
        return []
    wanted = (fits["change_kind"] == "step") & (fits["change_curve"] == "during")
    steps = fits.isel(change=np.flatnonzero(wanted & (fits["change_fit"] == "fresh")))
    places = zip(steps["change_part"].values, steps["change_width"].values, strict=True)
    confidence = evidence.confidence(_ANALYSIS)
    found = [_at_end(steps, str(part), int(w), confidence) for part, w in dict.fromkeys(places)]
    lacking = "; ".join(dict.fromkeys(filter(None, (each.lacking for each in _steps(evidence)))))
    return [each._replace(lacking=lacking) for each in found if each is not None]


def _at_end(steps: xr.Dataset, part: str, width: int, confidence: float) -> Result | None:
    """Of one network; None where all steps are in the last quarter, or none is."""
    same = (steps["change_part"] == part) & (steps["change_width"] == width)
    own = steps.isel(change=np.flatnonzero(same))
    ends = np.log2(np.stack([own["change_from"].values, own["change_to"].values], axis=1))
    late = ends.mean(axis=1) > ends[0, 0] + _EARLY * (ends[-1, 1] - ends[0, 0])
    if not late.any() or late.all():
        return None
    octaves = ends[:, 1] - ends[:, 0]
    ratios = np.asarray(own["change_per_seed"].values, np.float64)
    before, after = (ratios[t].sum(axis=0) / octaves[t].sum() for t in (~late, late))
    means = [float(t_interval(each, confidence).estimate) for each in (before, after)]
    return of_seeds(
        after - _SHARE * before,
        confidence,
        statistic="rate",
        quantity="error",
        against="last quarter of the octaves",
        units="log ratio per octave",
        at={"part": part, "width": width},
        boundary=-1,
        note=f"{means[0]:.3g} per octave up to step {2 ** ends[~late][-1, 1]:.0f}, "
        f"{means[1]:.3g} after",
    )


CLAIMS = [
    Claim(
        "kernel_improves_throughout",
        "The empirical NTK continues to improve throughout training",
        f"{PAPER}, Figures 1C and 5A",
        _ANALYSIS,
        "log ratio of the errors of K^t on fresh samples, per octave of t, at every step and the "
        "one before",
        less_than(0.0),
        _steps,
    ),
    Claim(
        "kernel_does_not_slow",
        "The improvement of the empirical NTK does not slow down after an initial part of training",
        f"{PAPER}, Figure 5A",
        _ANALYSIS,
        "log change of error per octave of t over the last quarter of the octaves − half of that "
        "before",
        less_than(0.0, "< 0: at the end at least half as fast as before"),
        _slowing,
    ),
    Claim(
        "network_beats_kernels_during",
        "The network's error falls faster with n than that of its kernel at any time of training",
        f"{PAPER}, Figure 5B",
        _ANALYSIS,
        "exponent of the network − that of K^t at every t, fitted on fresh samples",
        more_than(0.0),
        lambda evidence: pairs(
            evidence, _ANALYSIS, {"curve": "network"}, {"curve": "during", "fit": "fresh"}
        ),
    ),
]
