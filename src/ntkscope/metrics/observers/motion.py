"""How the NTK and its layers' move: distances, velocity, alignment, under each form of CKA."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.alignment import label_kernel
from ntkscope.metrics.centring import Centring
from ntkscope.metrics.observers.observer import (
    Curves,
    KernelObserver,
    Name,
    Stream,
    Variable,
    register,
)
from ntkscope.metrics.observers.tracker import Tracker

_KORNBLITH, _FORT = "Kornblith et al. 2019, eq. 1", "Fort et al. 2020"

_CENTRED = {
    "distance_from_start": Variable(
        "NTK distance from the start", "1 − CKA from the NTK of the first snapshot", "1", _KORNBLITH
    ),
    "distance_from_boundary": Variable(
        "NTK distance from the last boundary",
        "1 − CKA from the NTK of the last boundary at or before the step; NaN before the first",
        "1",
        _KORNBLITH,
    ),
    "velocity": Variable(
        "NTK velocity",
        "(1 − CKA(Θ_t, Θ_{t+dt})) / dt; NaN where no snapshot is at t + dt",
        "1/step",
        f"arXiv 2507.16039; {_FORT}",
    ),
    "alignment": Variable(
        "NTK alignment with the labels",
        "CKA of the NTK with YYᵀ, Y the one-hot labels",
        "1",
        "Cortes et al. 2012",
    ),
}
_UNCENTRED_SOURCE = {
    "alignment": "kernel-target alignment, Cristianini et al. 2001",
    "distance_from_start": f"kernel distance, {_FORT}",
    "distance_from_boundary": f"kernel distance, {_FORT}",
    "velocity": f"kernel velocity, {_FORT}",
}


def _debiased(variable: Variable) -> Variable:
    return replace(
        variable,
        long_name=f"{variable.long_name} (debiased)",
        definition=f"{variable.definition} (debiased: unbiased HSIC of Song et al. 2012)",
    )


def _uncentred(name: str, variable: Variable) -> Variable:
    return replace(
        variable,
        long_name=f"{variable.long_name} (uncentred)",
        definition=f"{variable.definition.replace('CKA', 'cosine')} (uncentred)",
        source=_UNCENTRED_SOURCE[name],
    )


@register
class Motion(KernelObserver):
    """Four curves of the NTK under each form of CKA: debiased not for a full NTK.

    Its curves also have two flags of each snapshot and seed: `diverged` (not finite) and
    `undefined` (CKA is: for that reason, or because the kernel is zero or constant).
    """

    metadata: ClassVar[dict[str, Variable]] = {
        **_CENTRED,
        **{f"{name}_uncentred": _uncentred(name, each) for name, each in _CENTRED.items()},
        **{f"{name}_debiased": _debiased(each) for name, each in _CENTRED.items()},
    }

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        forms: dict[str, Centring] = {"": "centred", "_uncentred": "uncentred"}
        if stream.outputs == 1:
            forms["_debiased"] = "debiased"
        self._trackers = {suffix: _tracker(stream, form) for suffix, form in forms.items()}

    def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
        """Name → (seed,) of (seed, M, M)."""
        row: Curves = {"diverged": np.asarray(~np.isfinite(kernel).all(axis=(-2, -1)))}
        for suffix, tracker in self._trackers.items():
            found, undefined = tracker.update(step, kernel)
            row |= {f"{name}{suffix}": value for name, value in found.items()}
            if not suffix:
                row["undefined"] = undefined
        return row

    def mark_boundary(self) -> None:
        """Distances are from here on."""
        for tracker in self._trackers.values():
            tracker.mark_boundary()


@register
class LayerMotion(KernelObserver):
    """The same four curves of each layer NTK, under centred CKA."""

    array: ClassVar[Name] = "layer_ntk"
    metadata: ClassVar[dict[str, Variable]] = {
        f"layer_{name}": replace(
            each,
            long_name=f"layer {each.long_name}",
            definition=f"layer NTK: {each.definition}",
            dims=("seed", "snapshot", "layer"),
        )
        for name, each in _CENTRED.items()
    }

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._tracker = _tracker(stream, "centred")

    def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
        """Name → (seed, layer) of (seed, layer, M, M)."""
        found, _ = self._tracker.update(step, kernel)
        return {f"layer_{name}": value for name, value in found.items()}

    def mark_boundary(self) -> None:
        """Distances are from here on."""
        self._tracker.mark_boundary()


def _tracker(stream: Stream, form: Centring) -> Tracker:
    labels = stream.labels
    target = None if labels is None else label_kernel(labels, stream.outputs)
    return Tracker(stream.dt, target, form, stream.outputs, stream.tolerance)
