"""The store of kind `regression`: which arrays it has, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.ntk.kinds import normalisation
from ntkscope.regression.curve import CURVE
from ntkscope.regression.job import RegressionJob
from ntkscope.regression.unit import SPLITS, described, spectrum_samples
from ntkscope.stores import Array, ZarrStore

_MEANING = {
    "error": "test error in the task's currency: share of wrong signs, or squared error over the "
    "variance of the test targets",
    "squared_error": "mean squared test error",
    "loo_error": "leave-one-out error of the ridge, in the criterion's currency; NaN above "
    "leave_one_out_most",
    "ridge": "ridge used, relative to the kernel's mean diagonal",
    "ridge_edge": "-1: the ridge chosen is the lowest of the grid, and smaller ones would matter; "
    "1: the highest; 0: neither",
    "ridge_from": "n on which the ridge was chosen",
    "residual": "relative residual of conjugate gradients, with a kernel that memory did not hold; "
    "0: solved directly",
    "regression_seconds": "seconds of choice, solution and prediction",
    "undefined": "no such regression: more samples than the network was trained on, or it diverged",
    "prediction": "prediction for the test samples",
    "kernel_seconds": "seconds of the kernels of all fits, on the largest n",
    "alignment": "centred kernel alignment of K with the targets' outer product",
    "eigenvalue": "eigenvalues of K / mean diagonal / N, descending",
    "target_power": "(u_i^T y)^2 / |y|^2",
    "layer_error": "test error, as `error`, of a regression with the layer's kernel alone",
}


def begin_store(job: RegressionJob, path: Path, record: dict[str, Any]) -> ZarrStore:
    """The store that was begun at `path`, or a new one.

    Args:
        job: what it is of.
        path: its place.
        record: provenance.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return ZarrStore.allocate(
        path,
        "regression",
        _arrays(job),
        coords=_coordinates(job),
        mask=("seed", "source"),
        attrs=_attributes(job, record),
        going_on=True,
    )


def of_items(store: ZarrStore) -> list[str]:
    """Names of the arrays of which each work item writes a chunk, in a store of this kind."""
    return [name for name in _MEANING if name in store.group]


def _arrays(job: RegressionJob) -> dict[str, Array]:
    """One chunk a work item."""
    spec, curve = job.spec, ("fit", "n")
    sizes = {
        "fit": len(spec.fits),
        "n": len(spec.sizes),
        "test": spec.test,
        "eigen": spectrum_samples(job),
        "layer": len(job.layers),
    }
    dims: dict[str, tuple[tuple[str, ...], Any]] = {
        **{name: (curve, kind) for name, kind in CURVE.items()},
        "undefined": (curve, np.bool_),
        "prediction": ((*curve, "test"), np.float32),
        "kernel_seconds": ((), np.float64),
        "alignment": ((), np.float64),
        "eigenvalue": (("eigen",), np.float64),
        "target_power": (("eigen",), np.float64),
    }
    if job.layers:
        dims["layer_error"] = (("layer",), np.float64)
    lead = (len(spec.task.seeds), len(job.sources))
    return {
        name: Array(
            ("seed", "source", *more),
            (*lead, *(sizes[dim] for dim in more)),
            np.dtype(kind),
            (1, 1, *(sizes[dim] for dim in more)),
            {"long_name": _MEANING[name]},
        )
        for name, (more, kind) in dims.items()
    }


def _coordinates(job: RegressionJob) -> dict[str, tuple[tuple[str, ...], Any]]:
    spec, sources = job.spec, job.sources
    fit, most = described(spec.fits), spectrum_samples(job)
    coords: dict[str, tuple[tuple[str, ...], Any]] = {
        "seed": (("seed",), spec.task.seeds),
        "trained_on": (("source",), [source.trained_on for source in sources]),
        "step": (("source",), [source.step for source in sources]),
        "width": (("source",), [source.width for source in sources]),
        "fit": (("fit",), list(spec.fits)),
        "n": (("n",), spec.sizes),
    }
    if job.layers:
        coords["layer"] = (("layer",), job.layers)
        few = [min(most, job.fitted(source, fit)) for source in sources]
        coords["layer_n"] = (("source",), few)
    return coords


def _attributes(job: RegressionJob, record: dict[str, Any]) -> dict[str, Any]:
    spec, infinite = job.spec, job.spec.source == "infinite"
    return {
        "regression": spec.id,
        "kernel": spec.source,
        "normalisation": normalisation("trace"),
        "parametrisation": "ntk" if infinite else spec.network.parametrisation,
        "ensemble": spec.ensemble,
        "error_currency": job.task.error,
        "criterion": job.ridges.criterion,
        "ridges": list(spec.ridges),
        "leave_one_out_most": spec.leave_one_out_most,
        "offset": "ignore" if infinite else spec.offset,
        "precision": spec.precision,
        "spectrum_fit": described(spec.fits),
        "splits": {fit: SPLITS[fit] for fit in spec.fits},
        "provenance": record,
    }
