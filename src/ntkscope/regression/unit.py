"""One work item: all regressions with one kernel of one seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from ntkscope.regression.curve import Samples, regress_nested
from ntkscope.regression.job import SPECTRUM_SAMPLES, RegressionJob, Source
from ntkscope.regression.kernel_pair import (
    KernelPair,
    empirical_block,
    infinite_block,
    is_usable,
    layer_pairs,
    mean_outputs,
    tiled_pair,
    whole_pair,
)
from ntkscope.regression.spectrum import target_alignment, target_spectrum
from ntkscope.stores.atomic_write import remove

Found = dict[str, np.ndarray]


class Limit(NamedTuple):
    """What memory holds, and where the tiles of kernels go that it does not.

    Attributes:
        samples: most of a kernel that is held, and solved directly.
        folder: of the tiles.
    """

    samples: int
    folder: Path


class Unit:
    """A seed's kernel of one source.

    Args:
        job: of it.
        seed: position among the task's seeds.
        source: whose kernel.
        alive: called now and then.
        limit: of memory.
    """

    def __init__(
        self,
        job: RegressionJob,
        seed: int,
        source: Source,
        alive: Callable[[], None],
        limit: Limit,
    ) -> None:
        self._job, self._seed, self._source, self._alive = job, seed, source, alive
        self._limit = limit
        self._test = self._inputs("test", job.spec.test)

    def regress(self) -> Found:
        """Name → array of the store without its axes seed and source; {} of no kernel."""
        infinite = self._source.width == 0
        members = [] if infinite else self._job.members(self._seed, self._source)
        if members is None:
            return {}
        found = [self._fit(fit, members) for fit in self._job.spec.fits]
        if not all(found):
            return {}
        return _stacked(found)

    def _fit(self, fit: str, members: Sequence[nn.Module]) -> Found:
        """The curve of a fit, and of one of the fits what else is known of its kernel."""
        began = time.perf_counter()
        x = self._inputs(SPLITS[fit], self._job.fitted(self._source, fit))
        tiles = self._limit.folder / f"{self._seed}-{self._job.sources.index(self._source)}-{fit}"
        pair = self._pair(members, x, tiles)
        seconds = np.array(time.perf_counter() - began)
        self._alive()
        if not is_usable(pair):
            remove(tiles)
            return {}
        samples = self._samples(pair, members, fit, x)
        fits = self._job.spec.fits
        about = self._about(samples, members, x) if fit == described(fits) else {}
        found = self._curve(samples) | about | {"kernel_seconds": seconds}
        remove(tiles)
        return found

    def _curve(self, samples: Samples) -> Found:
        job = self._job
        curve = regress_nested(samples, job.spec.sizes, job.ridges, job.task.error, self._alive)
        return curve | {"undefined": np.array(job.spec.sizes) > len(samples.targets)}

    def _pair(self, members: Sequence[nn.Module], x: Tensor, tiles: Path) -> KernelPair:
        """In memory where it holds them, or else in a folder of tiles."""
        if members:
            block = empirical_block(members, self._job.working_bytes)
        else:
            assert self._job.definition.layers is not None
            block = infinite_block(self._job.definition.layers)
        if len(x) <= self._limit.samples:
            return whole_pair(block, x, self._test)
        return tiled_pair(block, x, self._test, tiles, self._limit.samples, self._alive)

    def _samples(
        self, pair: KernelPair, members: Sequence[nn.Module], fit: str, x: Tensor
    ) -> Samples:
        """With the outputs of the network itself as f₀, where they are subtracted."""
        subtract = bool(members) and self._job.spec.offset == "subtract"
        f0, test_f0 = (
            mean_outputs(members, each) if subtract else np.zeros(len(each))
            for each in (x, self._test)
        )
        targets = self._targets(SPLITS[fit], len(x))
        return Samples(*pair, targets, self._targets("test", len(self._test)), f0, test_f0)

    def _about(self, samples: Samples, members: Sequence[nn.Module], x: Tensor) -> Found:
        """Spectrum, alignment and layers' errors on the first samples."""
        most = spectrum_samples(self._job)
        kernel, targets, _ = samples.first(most)
        out = {name: np.full(most, np.nan) for name in ("eigenvalue", "target_power")}
        n = len(targets)
        out["eigenvalue"][:n], out["target_power"][:n] = target_spectrum(kernel, targets)
        out["alignment"] = np.array(target_alignment(kernel, targets))
        if self._job.layers:
            out["layer_error"] = self._layer_errors(samples, members, x[:n])
        return out

    def _layer_errors(
        self, samples: Samples, members: Sequence[nn.Module], x: Tensor
    ) -> np.ndarray:
        """Test error [layer] with each layer's kernel alone, of the first member of an ensemble.

        NaN of a layer whose kernel is zero.
        """
        pairs, n = layer_pairs(members[0], x, self._test, self._job.working_bytes), len(x)
        error, ridges = self._job.task.error, self._job.ridges
        out = np.full(len(self._job.layers), np.nan)
        for at, name in enumerate(self._job.layers):
            if is_usable(pairs[name]):
                part = samples.with_pair(*pairs[name])
                out[at] = regress_nested(part, [n], ridges, error)["error"][0]
        return out

    def _inputs(self, split: str, n: int) -> Tensor:
        job = self._job
        return job.task.inputs(split, self._seed, n, job.dtype, job.device)

    def _targets(self, split: str, n: int) -> np.ndarray:
        return self._job.task.targets(split, self._seed, n).numpy().astype(np.float64)


SPLITS = {"own": "train", "fresh": "fresh"}
"""A fit → the task's split that its samples are of."""


def described(fits: Sequence[str]) -> str:
    """The fit whose samples spectra, alignments and layers' errors are of."""
    return "fresh" if "fresh" in fits else fits[0]


def spectrum_samples(job: RegressionJob) -> int:
    """Samples of spectra, alignments and layers' errors, where the fit has so many."""
    return min(SPECTRUM_SAMPLES, job.spec.sizes[-1])


def _stacked(found: Sequence[Found]) -> Found:
    """Curves of all fits, what is known of one, and the seconds of all kernels."""
    curves = set.intersection(*(set(each) for each in found)) - {"kernel_seconds", *ABOUT}
    whole = {name: np.stack([each[name] for each in found]) for name in sorted(curves)}
    about = {name: each[name] for each in found for name in ABOUT if name in each}
    seconds = np.sum([each["kernel_seconds"] for each in found])
    return whole | about | {"kernel_seconds": np.array(seconds)}


ABOUT = ("eigenvalue", "target_power", "alignment", "layer_error")
"""What is known of a kernel beside its curves."""
