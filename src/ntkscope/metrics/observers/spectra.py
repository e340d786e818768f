"""Size and spectrum of the NTK, and what its largest eigenvectors see of the labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.alignment import label_projection
from ntkscope.metrics.observers.observer import (
    Curves,
    KernelObserver,
    Variable,
    register,
)
from ntkscope.metrics.spectrum import spectrum

_RANKED = ("seed", "snapshot", "rank")


@register
class Spectra(KernelObserver):
    """`spectrum` of each snapshot, with eigenvectors told by their `label_projection`."""

    metadata: ClassVar[dict[str, Variable]] = {
        "spectral_norm": Variable("NTK spectral norm", "largest eigenvalue λ_max of the NTK"),
        "trace": Variable("NTK trace", "trace of the NTK"),
        "effective_rank": Variable(
            "NTK effective rank",
            "exp of the entropy of the eigenvalues",
            source="Roy & Vetterli 2007, eq. 3",
        ),
        "participation_ratio": Variable("NTK participation ratio", "(tr Θ)² / ‖Θ‖²"),
        "eigenvalues": Variable(
            "NTK eigenvalues", "largest eigenvalues λ_i of the NTK, not centred", dims=_RANKED
        ),
        "label_projection": Variable(
            "label projection",
            "u_iᵀ YYᵀ u_i / tr YYᵀ, u_i the eigenvector of λ_i, not centred; NaN where λ_i is 0",
            dims=_RANKED,
        ),
    }

    def update(self, step: int, kernel: NDArray[np.float64]) -> Curves:
        """Name → (seed[, rank]) of (seed, M, M)."""
        found = spectrum(kernel, self.stream.tolerance)._asdict()
        vectors = found.pop("eigenvectors")
        labels, outputs = self.stream.labels, self.stream.outputs
        unknown = np.full_like(found["eigenvalues"], np.nan)
        known = labels is not None
        found["label_projection"] = label_projection(vectors, labels, outputs) if known else unknown
        return found
