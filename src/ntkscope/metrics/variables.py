"""What each variable of a metrics table means: long name, units, source."""

from __future__ import annotations

_FORMS = {
    "": "",
    "_debiased": " (debiased: unbiased HSIC of Song et al. 2012)",
    "_uncentred": " (uncentred)",
}
_UNCENTRED_SOURCE = {
    "alignment": "kernel-target alignment, Cristianini et al. 2001",
    "distance_from_start": "kernel distance, Fort et al. 2020",
    "distance_from_boundary": "kernel distance, Fort et al. 2020",
    "velocity": "kernel velocity, Fort et al. 2020",
}

# name → (long name, units, source)
_MEANINGS = {
    "spectral_norm": ("largest eigenvalue λ_max of the NTK", "1", "definition"),
    "trace": ("trace of the NTK", "1", "definition"),
    "effective_rank": ("exp of the entropy of the eigenvalues", "1", "Roy & Vetterli 2007, eq. 3"),
    "participation_ratio": ("(tr Θ)² / ‖Θ‖²", "1", "definition"),
    "distance_from_start": (
        "1 − CKA from the NTK of the first snapshot",
        "1",
        "Kornblith et al. 2019, eq. 1",
    ),
    "distance_from_boundary": (
        "1 − CKA from the NTK of the last boundary at or before the step; NaN before the first",
        "1",
        "Kornblith et al. 2019, eq. 1",
    ),
    "velocity": (
        "(1 − CKA(Θ_t, Θ_{t+dt})) / dt; NaN where no snapshot is at t + dt",
        "1/step",
        "arXiv 2507.16039; Fort et al. 2020",
    ),
    "alignment": ("CKA of the NTK with YYᵀ, Y the one-hot labels", "1", "Cortes et al. 2012"),
    "eigenvalues": ("largest eigenvalues λ_i of the NTK, not centred", "1", "definition"),
    "label_projection": (
        "u_iᵀ YYᵀ u_i / tr YYᵀ, u_i the eigenvector of λ_i, not centred; NaN where λ_i is 0",
        "1",
        "definition",
    ),
    "share": (
        "⟨ΔΘ_l, HΔΘH⟩ / ‖HΔΘH‖², ΔΘ the change since the last boundary; NaN before the first and "
        "where nothing changed",
        "1",
        "definition",
    ),
    "loss": ("mean loss on test images of each task seen", "1", "training log"),
    "accuracy": ("accuracy on test images of each task seen", "1", "training log"),
    "diverged_step": ("first step that is not finite, −1 if none", "step", "training log, kernels"),
    "dead_step": (
        "first step whose NTK is zero or constant, so that CKA is undefined; −1 if none",
        "step",
        "definition",
    ),
}


def attributes(name: str) -> dict[str, str]:
    """NetCDF attributes of the metric `name`, with or without prefix `layer_` and form's suffix."""
    plain = name.removeprefix("layer_")
    suffix = next(form for form in reversed(_FORMS) if plain.endswith(form))
    plain = plain.removesuffix(suffix)
    long_name, units, source = _MEANINGS[plain]
    if suffix == "_uncentred":
        long_name = long_name.replace("CKA", "cosine")
        source = _UNCENTRED_SOURCE[plain]
    owner = "layer NTK: " if name.startswith("layer_") else ""
    return {"long_name": f"{owner}{long_name}{_FORMS[suffix]}", "units": units, "source": source}
