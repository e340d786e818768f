"""What all tests share: one thread each, property tests without deadlines, GPU tests skipped."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# Before torch or a BLAS is imported; workers and jobs would otherwise fight for the cores.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Where a shell started the tests in the background SIGINT is ignored, and so by all they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A noisy machine is not a failure; on CI the examples are the same every time.
settings.register_profile("ntkscope", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ntkscope")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that need a GPU where there is none."""
    wanting = [item for item in items if "gpu" in item.keywords]
    if wanting and not _has_gpu():
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
