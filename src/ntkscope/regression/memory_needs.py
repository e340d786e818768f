"""The peak of a regression job, known before it begins: a killed job says nothing.

Peaks measured of MLPs' kernels at n = 1000 to 8000 were 0.8 to 1.0 of it, never above.
Nothing larger than memory is regressed: neither kernels by tiles nor Nyström's or conjugate
gradients' solutions are built into this stage.
"""

from __future__ import annotations

import math

from ntkscope.config.memory_needs import bytes_to_regress
from ntkscope.errors import NtkscopeError
from ntkscope.regression.job import SPECTRUM_SAMPLES, RegressionJob

_INFINITE_BYTES = 2**27  # of tiles of an infinite kernel


def check_memory(job: RegressionJob, memory: int) -> None:
    """Refuse a job that would not fit.

    Args:
        job: of it.
        memory: of the whole process, in bytes.

    Raises:
        NtkscopeError: says how much it would take, and the largest n that fits.
    """
    n = job.spec.sizes[-1]
    if predicted_bytes(job, n) <= memory:
        return
    fits = _largest(job, n, memory)
    raise NtkscopeError(
        f"regressions on {n} samples take {predicted_bytes(job, n) / 1e9:.1f} GB, and "
        f"{memory / 1e9:.1f} GB are given, which do for {fits}",
        where=f"samples.kernel, infinite or trained, of {job.spec.id}",
        remedy=f"give more resources.mem_mb, or no n above {fits}: kernels that memory does not "
        "hold (tiles, Nyström) are not built into this stage",
    )


def predicted_bytes(job: RegressionJob, n: int) -> int:
    """The peak of the process with n samples: kernels, and the largest solution beside them.

    What the kernels took beside themselves is added: the process keeps it, in blocks too small for
    a system.
    """
    spec, item = job.spec, job.dtype.itemsize
    kernel, cross = item * n**2, item * n * spec.test
    solved = max(spec.leave_one_out_most, SPECTRUM_SAMPLES)
    known = bytes_to_regress(spec, n, math.prod(job.task.shape), solved)
    empirical_here = spec.source != "infinite" and job.device.type == "cpu"
    working = job.working_bytes if empirical_here else _INFINITE_BYTES
    taken = working + (max(kernel, cross) if spec.ensemble > 1 else 0)
    few = min(n, SPECTRUM_SAMPLES)
    layers = item * len(job.layers) * few * (few + spec.test)
    return known + taken + layers


def _largest(job: RegressionJob, n: int, memory: int) -> int:
    """The most samples that fit, by bisection; 0: none."""
    fits, too_many = 0, n
    while too_many - fits > 1:
        half = (fits + too_many) // 2
        fits, too_many = (half, too_many) if predicted_bytes(job, half) <= memory else (fits, half)
    return fits
