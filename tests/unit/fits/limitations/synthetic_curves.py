"""Made-up learning curves of every analysis, with the errors that a prototype found, and noise.

Errors are drawn as the real ones are: each seed has its own level and slope, and its own test set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.fits.limitations.curves import fit
from ntkscope.fits.limitations.table import LayerRow, Row, as_table

SEEDS = 5
TEST = 4000
SIZES = (250, 500, 1000, 2000, 4000)
NETWORK_SIZES = (*SIZES, 8000)

_PAIR4 = {
    "network": (0.416, 0.333, 0.224, 0.145, 0.101, 0.080),
    "infinite": (0.432, 0.373, 0.327, 0.274, 0.222),
    "initial 512": (0.457, 0.405, 0.380, 0.345, 0.304),
    "initial 64": (0.464, 0.440, 0.413, 0.393, 0.363),
}
_PLAIN = {
    "network": (0.261, 0.205, 0.158, 0.118, 0.078, 0.061),
    "infinite": (0.248, 0.180, 0.130, 0.092, 0.061),
    "initial 512": (0.260, 0.213, 0.175, 0.130, 0.098),
    "initial 64": (0.290, 0.250, 0.215, 0.180, 0.150),
}
_POSITIVE = {
    "network": (0.30, 0.20, 0.115, 0.068, 0.045, 0.041),
    "infinite": (0.38, 0.34, 0.285, 0.235, 0.19),
    "initial 512": (0.395, 0.37, 0.335, 0.295, 0.26),
}
_NEGATIVE = {
    "network": (0.245, 0.219, 0.200, 0.182, 0.165, 0.160),
    "infinite": (0.240, 0.201, 0.168, 0.140, 0.117),
    "initial 512": (0.25, 0.215, 0.186, 0.161, 0.139),
}
_AFTER = (0.350, 0.287, 0.214, 0.143, 0.108, 0.084)
_STEPS = (10, 30, 100, 200, 400, 800, 1600, 3000)
_DURING = (0.408, 0.404, 0.325, 0.232, 0.151, 0.118, 0.110, 0.105)
_TRAINING = (0.499, 0.489, 0.451, 0.309, 0.173, 0.133, 0.122, 0.110)
_WIDTHS = (8, 16, 32, 64, 128, 256, 512)
_WIDTH_CURVES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "fixed_rate": (
        (0.308, 0.26, 0.211, 0.215, 0.223, 0.226, 0.229),
        (0.465, 0.463, 0.46, 0.417, 0.40, 0.40, 0.39),
    ),
    "scaled_rate": (
        (0.27, 0.285, 0.22, 0.206, 0.241, 0.285, 0.311),
        (0.465, 0.463, 0.46, 0.417, 0.40, 0.40, 0.39),
    ),
    "ntk": (
        (0.449, 0.42, 0.386, 0.38, 0.377, 0.366, 0.359),
        (0.46, 0.45, 0.44, 0.42, 0.40, 0.385, 0.375),
    ),
}
_HYPERPARAMETERS = {
    "base": ("base", (0.343, 0.23, 0.145, 0.101)),
    "low_rate": ("low_rate", (0.388, 0.28, 0.200, 0.14)),
    "high_rate": ("high_rate", (0.294, 0.22, 0.166, 0.125)),
    "full_batch": ("full_batch", (0.311, 0.248, 0.197)),
    "no_momentum": ("no_momentum", (0.295, 0.21, 0.151, 0.105)),
    "convergence": ("convergence", (0.347, 0.23, 0.143, 0.10)),
    "logistic": ("logistic", (0.318, 0.22, 0.142, 0.10)),
}


class _Maker:
    """Rows of an experiment that is being made up."""

    def __init__(self, seeds: int, seed: int) -> None:
        self.seeds, self.generator = seeds, np.random.default_rng(seed)
        self.rows: list[Row] = []
        self.layers: list[LayerRow] = []
        self.currency: dict[str, str] = {}
        self.test: dict[str, int] = {}

    def part(self, name: str, role: str, title: str, currency: str = "zero_one") -> dict[str, Any]:
        self.currency[name], self.test[name] = currency, TEST
        return {
            "part": name,
            "role": role,
            "label": name.replace("_", " "),
            "task": "digit_pairs",
            "title": title,
            "network": "mlp",
            "parametrisation": "standard",
        }

    def errors(self, means: Sequence[float], currency: str) -> np.ndarray:
        """(point, seed): level and slope vary by seed, then the test samples."""
        x = np.linspace(-1, 1, len(means))[:, None] if len(means) > 1 else np.zeros((1, 1))
        level, tilt = self.generator.normal(0, [[[0.02]], [[0.015]]], (2, 1, self.seeds))
        true = np.asarray(means)[:, None] * np.exp(level + tilt * x)
        if currency == "squared":
            scale = np.sqrt(2 / TEST)
            return np.asarray(true * (1 + scale * self.generator.standard_normal(true.shape)))
        return np.asarray(self.generator.binomial(TEST, np.clip(true, 0, 0.6)) / TEST)

    def curve(
        self,
        part: Mapping[str, Any],
        curve: str,
        sizes: Sequence[int],
        means: Sequence[float],
        **key: Any,
    ) -> None:
        currency = self.currency[part["part"]]
        errors = self.errors(means, currency)
        for place, (n, error) in enumerate(zip(sizes, errors, strict=True)):
            own = {"width": 64, "rate": 0.0, "trained_on": 0, "step": -1, "fit": "own"} | key
            last = place == len(sizes) - 1
            values = self.values(curve, error, n, currency, last)
            reason = np.full(self.seeds, "", "U16")
            self.rows.append(Row({**part, "curve": curve, "n": n, **own}, values, reason))

    def values(
        self, curve: str, error: np.ndarray, n: int, currency: str, last: bool
    ) -> dict[str, np.ndarray]:
        ones = np.ones(self.seeds)
        spread = error * (1 - error) if currency == "zero_one" else 2 * error**2
        found = {
            "error": error,
            "squared_error": error if currency == "squared" else np.minimum(2.2 * error, 1.0),
            "test_se": np.sqrt(spread / TEST),
            "diverged": 0 * ones,
        }
        if curve == "network":
            return found | {"best_is_last": (n >= 8000) * ones, "train_error": 0.004 * ones}
        edge = 1.0 * (error > 0.42)
        found |= {"ridge": np.where(edge > 0, 100.0, 1e-2), "ridge_edge": edge}
        if last:
            noise = self.generator.normal(0, 0.03, (3, self.seeds))
            base = 1.0 - 2 * error
            found |= {
                "alignment": np.clip(base * 0.6, 0, 1) * np.exp(noise[0]),
                "effective_dimension": 20 + 150 * error * np.exp(noise[0]),
                "capacity": 1.4 + noise[1],
                "source": 1 + 0.6 * base + noise[2],
                "predicted_exponent": 0.6 * base + noise[2],
            }
        return found

    def kernels(self, part: Mapping[str, Any], curves: Mapping[str, Sequence[float]]) -> None:
        """Network and kernels of initialisation; `initial 512` is of width 512."""
        for name, means in curves.items():
            kind, _, width = name.partition(" ")
            sizes = NETWORK_SIZES if kind == "network" else SIZES
            key: dict[str, Any] = {"width": {"infinite": 0, "network": 64}.get(kind) or 0}
            if width:
                key["width"] = int(width)
            if kind == "network":
                key |= {"rate": 0.02, "fit": ""}
            self.curve(part, kind, sizes[: len(means)], means, **key)

    def table(self, analysis: str) -> xr.Dataset:
        data = as_table(
            self.rows,
            self.layers,
            range(self.seeds),
            currency=self.currency,
            test=self.test,
            facts={"made up": True},
        )
        return data.assign_attrs(experiment=analysis, analysis=analysis, confidence=0.95)


def _scaling(make: _Maker) -> None:
    make.kernels(make.part("pairs", "claim", "digit pairs"), _PAIR4)
    make.kernels(make.part("parity", "plain", "digit parity"), _PLAIN)
    make.kernels(make.part("single_index", "positive", "single index"), _POSITIVE)
    make.kernels(make.part("gaussian", "negative", "Gaussian process", "squared"), _NEGATIVE)
    _after_part(make, make.part("pairs", "claim", "digit pairs"))
    _during_part(make, make.part("pairs", "claim", "digit pairs"))


def _after_part(make: _Maker, part: Mapping[str, Any]) -> None:
    for m, error in zip(NETWORK_SIZES, _AFTER, strict=True):
        key = {"rate": 0.02, "trained_on": m, "fit": "fresh"}
        flat = [error * (n / 500) ** -0.08 for n in SIZES[1:]]
        make.curve(part, "after", SIZES[1:], flat, **key)
        own = [e * (1.0 if n == m else 1.02) for n, e in zip(SIZES, _after_own(error), strict=True)]
        upto = [n for n in SIZES if n <= m]
        own[len(upto) - 1] = _PAIR4["network"][len(upto) - 1]
        make.curve(part, "after", upto, own[: len(upto)], **key | {"fit": "own"})


def _after_own(error: float) -> list[float]:
    return [error * (n / 500) ** -0.08 for n in SIZES]


def _during_part(make: _Maker, part: Mapping[str, Any]) -> None:
    for step, error in zip(_STEPS, _DURING, strict=True):
        for samples, factor in (("fresh", 1.0), ("own", 1.05)):
            means = [error * factor * (n / 1000) ** -0.1 for n in SIZES[1:]]
            key = {"rate": 0.02, "trained_on": 4000, "step": step, "fit": samples}
            make.curve(part, "during", SIZES[1:], means, **key)
    for step, error in zip(_STEPS, _TRAINING, strict=True):
        key = {"rate": 0.02, "step": step, "fit": ""}
        make.curve(part, "network", [4000], [error], **key)


def _after_kernel(make: _Maker) -> None:
    part = make.part("pairs", "", "digit pairs")
    make.kernels(part, _PAIR4)
    _after_part(make, part)
    _layers(make, "after")


def _layers(make: _Maker, curve: str) -> None:
    for m, error in zip(NETWORK_SIZES, _AFTER, strict=True):
        for layer, factor in {"hidden1": 1.05, "hidden2": 1.1, "hidden3": 1.3, "out": 1.6}.items():
            key = {"layer_part": "pairs", "layer_curve": curve, "layer_trained_on": m}
            key |= {"layer_step": -1, "layer": layer, "layer_n": 500}
            means = [min(error * factor, 0.5)]
            make.layers.append(LayerRow(key, make.errors(means, "zero_one")[0]))


def _time_dynamics(make: _Maker) -> None:
    part = make.part("pairs", "", "digit pairs")
    make.kernels(part, _PAIR4)
    _during_part(make, part)


def _width(make: _Maker) -> None:
    for role, (networks, kernels) in _WIDTH_CURVES.items():
        part = make.part(role, role, "digit pairs")
        part["parametrisation"] = "ntk" if role == "ntk" else "standard"
        for width, error, kernel in zip(_WIDTHS, networks, kernels, strict=True):
            sizes = (500, 1000, 2000)
            scaled = [error * (n / 1000) ** -0.5 for n in sizes]
            key = {"width": width, "rate": 0.02 * min(1, 64 / width), "fit": ""}
            make.curve(part, "network", sizes, scaled, **key)
            flat = [kernel * (n / 1000) ** -0.12 for n in sizes]
            make.curve(part, "initial", sizes, flat, width=width)
        make.curve(part, "infinite", (500, 1000, 2000), (0.40, 0.345, 0.30), width=0)
    part = make.part("over_samples", "over_samples", "digit pairs")
    for width, level in ((16, 0.25), (64, 0.2), (256, 0.19)):
        errors = [level * (n / 1000) ** -0.5 for n in (500, 1000, 2000)]
        make.curve(part, "network", (500, 1000, 2000), errors, width=width, rate=0.02, fit="")
    make.curve(part, "infinite", (500, 1000, 2000), (0.40, 0.345, 0.30), width=0)


def _hyperparameters(make: _Maker) -> None:
    for name, (role, means) in _HYPERPARAMETERS.items():
        part = make.part(name, role, "digit pairs")
        sizes = SIZES[1 : 1 + len(means)]
        make.curve(part, "network", sizes, means, rate=0.02, fit="")
        for curve in ("infinite", "initial 512"):
            kind, _, width = curve.partition(" ")
            errors = _PAIR4[curve][1:5]
            make.curve(part, kind, SIZES[1:], errors, width=int(width or 0))


def _kernel_spectra(make: _Maker) -> None:
    part = make.part("pairs", "", "digit pairs")
    make.kernels(part, _PAIR4)
    _after_part(make, part)
    _during_part(make, part)
    _layers(make, "after")


_MAKERS: dict[str, Callable[[_Maker], None]] = {
    "scaling": _scaling,
    "width": _width,
    "hyperparameters": _hyperparameters,
    "after_kernel": _after_kernel,
    "time_dynamics": _time_dynamics,
    "kernel_spectra": _kernel_spectra,
}
ANALYSES = tuple(_MAKERS)


def learning_curves(analysis: str, seeds: int = SEEDS, seed: int = 0) -> xr.Dataset:
    """A table of kind `learning_curves` of an analysis, as `collect_curves` writes it."""
    make = _Maker(seeds, seed)
    _MAKERS[analysis](make)
    return make.table(analysis)


def curve_fits(analysis: str, seeds: int = SEEDS, seed: int = 0) -> xr.Dataset:
    """The table of kind `curve_fits` of `learning_curves`, as `fit_curves` writes it."""
    return fit(learning_curves(analysis, seeds, seed), (500, 4000), 0.4, 0.95, analysis)
