"""Our own claims: what a kernel's spectrum predicts, and which layers carry the improvement."""

from __future__ import annotations

import numpy as np

from ntkscope.fits.findings.claim import OURS, Claim, less_than, more_than, some, within
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.limitations.changes import SPECTRAL
from ntkscope.fits.limitations.claims.lookups import abouts, changes, distinct
from ntkscope.fits.limitations.rows import curve_name
from ntkscope.fits.results import Result, of_seeds

_ANALYSIS = "kernel_spectra"
_LAYERS = "after_kernel"
_CLOSE = 0.03  # the exponents predicted before training are 0.1 to 0.17


def _predictions(evidence: Evidence, *kinds: str) -> list[Result]:
    """Measured − predicted exponent of squared error, of each kernel of these kinds."""
    fits = evidence.curves(_ANALYSIS)
    if fits is None:
        return []
    found = [
        of_seeds(
            np.asarray(fits["excess_per_seed"].values[place], np.float64),
            evidence.confidence(_ANALYSIS),
            statistic="measured − predicted",
            quantity="exponent of squared error",
            against=curve_name(dict(about)),
            units="1",
            at={"part": about["part"]},
            boundary=-1,
            note=f"predicted {float(fits['predicted_exponent'].values[place]):.3g}",
        )
        for place, about in enumerate(abouts(fits))
        if about["curve"] in kinds
    ]
    return distinct(found)


def _first_less_last(evidence: Evidence) -> list[Result]:
    """Log improvement of the first layer's kernel − that of the last, part by part."""
    found = []
    for analysis in (_LAYERS, _ANALYSIS):
        layers = changes(evidence, analysis, "layer")
        for part in dict.fromkeys(str(each.at["part"]) for each in layers):
            own = [each for each in layers if each.at["part"] == part]
            names = [str(each.at["layer"]) for each in own]
            improved = {
                name: float(each.interval.estimate) for name, each in zip(names, own, strict=True)
            }
            listed = ", ".join(f"{name} {ratio:.3g}" for name, ratio in improved.items())
            found.append(
                of_seeds(
                    own[0].per_seed - own[-1].per_seed,
                    evidence.confidence(analysis),
                    statistic="difference of log ratios",
                    quantity="error",
                    against=f"{names[0]} − {names[-1]}",
                    units="log ratio",
                    at={"part": part},
                    boundary=-1,
                    note=f"log ratios of errors: {listed}",
                )
            )
        if found:
            return found
    return found


def _predicted(identity: str, words: str, *kinds: str) -> Claim:
    return Claim(
        f"spectrum_predicts_{identity}",
        f"Capacity and source of the spectrum predict the exponent of {words}",
        OURS,
        _ANALYSIS,
        "exponent of the squared error − min(a − 1, 2 b), a of the target's power and b of the "
        "eigenvalues",
        within(_CLOSE),
        lambda evidence: _predictions(evidence, *kinds),
    )


def _goes_with(curve: str, quantity: str) -> Claim:
    kernel, axis = {
        "after": ("after-kernel", "the samples m that its network is trained on"),
        "during": ("kernel during training", "time"),
    }[curve]
    better = {
        "alignment": less_than(0.0),
        "effective_dimension": more_than(0.0),
        "predicted_exponent": less_than(0.0),
    }[quantity]
    words = {
        "alignment": "its alignment with the targets rises",
        "effective_dimension": "its effective dimension falls",
        "predicted_exponent": "the exponent rises that its spectrum predicts",
    }[quantity]
    return Claim(
        f"{quantity}_goes_with_{curve}",
        f"The error of the {kernel} falls along {axis} as {words}",
        OURS,
        _ANALYSIS,
        f"correlation of log error with {quantity.replace('_', ' ')} within each seed",
        better,
        lambda evidence: changes(evidence, _ANALYSIS, quantity, curve=curve),
    )


CLAIMS = [
    *(_goes_with(curve, quantity) for curve in ("after", "during") for quantity in SPECTRAL),
    _predicted("initial", "kernels before training", "infinite", "initial"),
    _predicted("after", "kernels after training", "after"),
    Claim(
        "layers_differ",
        "The layers' kernels do not share alike in the improvement of the after-kernel",
        OURS,
        _LAYERS,
        "log ratio of the error at the largest m to that at the smallest, first layer − last",
        some(),
        _first_less_last,
    ),
]
