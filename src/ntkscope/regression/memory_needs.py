"""The peak of a regression job, known before it begins: a killed job says nothing.

Peaks measured of MLPs' kernels at n = 1000 to 8000 were 0.8 to 1.0 of it, never above.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ntkscope.config.memory_needs import (
    bytes_by_tiles,
    bytes_of_inputs,
    bytes_to_regress,
)
from ntkscope.errors import NtkscopeError
from ntkscope.regression.job import SPECTRUM_SAMPLES, RegressionJob
from ntkscope.runtime.logs import log

_INFINITE_BYTES = 2**27  # of tiles of an infinite kernel


def samples_in_memory(job: RegressionJob, memory: int) -> int:
    """Most samples whose kernel is held in memory and solved directly: all, if they fit.

    Or else the most of the job's n that do, and the rest is done by tiles. At least the samples of
    leave-one-out and of spectra are held.

    Args:
        job: of it.
        memory: of the whole process, in bytes.

    Raises:
        NtkscopeError: not even by tiles; says how much it would take, and the largest n that fits.
    """
    n = job.spec.sizes[-1]
    held = _held(job, n, memory)
    if not held:
        taken = min(predicted_bytes(job, n), predicted_bytes_by_tiles(job, n))
        fits = _largest(n, lambda fewer: _held(job, fewer, memory) > 0)
        raise NtkscopeError(
            f"regressions on {n} samples take {taken / 1e9:.1f} GB, and {memory / 1e9:.1f} GB are "
            f"given, which do for {fits}",
            where=f"samples.kernel, infinite or trained, of {job.spec.id}",
            remedy=f"give more resources.mem_mb, or no n above {fits}",
        )
    if held < n:
        log.info("kernels of more than %d samples in tiles, by conjugate gradients", held)
    return held


def _held(job: RegressionJob, n: int, memory: int) -> int:
    """As `samples_in_memory`, of a job with n samples; 0: they do not fit."""
    if predicted_bytes(job, n) <= memory:
        return n
    least = min(n, max(job.spec.leave_one_out_most, SPECTRUM_SAMPLES))
    beside = memory - bytes_of_inputs(job.spec, n, math.prod(job.task.shape))
    fits = _largest(n, lambda fewer: predicted_bytes(job, fewer) <= beside)
    if fits < least or predicted_bytes_by_tiles(job, n) > memory:
        return 0
    return max(least, *(size for size in job.spec.sizes if size <= fits), 0)


def predicted_bytes(job: RegressionJob, n: int) -> int:
    """The peak of the process with n samples: kernels, and the largest solution beside them.

    What the kernels took beside themselves is added: the process keeps it, in blocks too small for
    a system.
    """
    spec, item = job.spec, job.dtype.itemsize
    kernel, cross = item * n**2, item * n * spec.test
    solved = max(spec.leave_one_out_most, SPECTRUM_SAMPLES)
    known = bytes_to_regress(spec, n, math.prod(job.task.shape), solved)
    taken = _working(job) + (max(kernel, cross) if spec.ensemble > 1 else 0)
    return known + taken + _layers(job, n)


def predicted_bytes_by_tiles(job: RegressionJob, n: int) -> int:
    """The peak with n samples whose kernel is on the disk, at its largest n."""
    known = bytes_by_tiles(job.spec, n, math.prod(job.task.shape))
    return known + _working(job) + _layers(job, n)


def _working(job: RegressionJob) -> int:
    """What a kernel takes beside itself to be computed."""
    empirical_here = job.spec.source != "infinite" and job.device.type == "cpu"
    return job.working_bytes if empirical_here else _INFINITE_BYTES


def _layers(job: RegressionJob, n: int) -> int:
    """Of the layers' kernels."""
    few = min(n, SPECTRUM_SAMPLES)
    return job.dtype.itemsize * len(job.layers) * few * (few + job.spec.test)


def _largest(n: int, fits: Callable[[int], bool]) -> int:
    """The most samples below n that fit, by bisection; 0: none."""
    most, too_many = 0, n
    while too_many - most > 1:
        half = (most + too_many) // 2
        most, too_many = (half, too_many) if fits(half) else (most, half)
    return most
