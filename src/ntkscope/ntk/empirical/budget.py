"""How many samples are held and differentiated at once, within a budget of memory."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass

import psutil
import torch

from ntkscope.errors import ArgumentError, ModelError
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.runtime.allocation import retain_freed_memory

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgtp", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}


@dataclass(frozen=True)
class BytesPerSample:
    """Bytes per sample: `fixed`, and `per_output_vector` for each of those."""

    fixed: int = 0
    per_output_vector: int = 0

    def __add__(self, other: BytesPerSample) -> BytesPerSample:
        return BytesPerSample(
            self.fixed + other.fixed, self.per_output_vector + other.per_output_vector
        )

    def divided(self, times: int) -> BytesPerSample:
        """Of a dtype so many times as narrow."""
        return BytesPerSample(self.fixed // times, self.per_output_vector // times)

    def total(self, output_vectors: int) -> int:
        """Bytes for so many output vectors."""
        return self.fixed + self.per_output_vector * output_vectors


@dataclass
class Blocking:
    """How many samples at once.

    Attributes:
        row_block: rows whose gradients are kept.
        column_block: columns whose gradients are kept while they are multiplied with the rows.
        batch: differentiated in one pass.
    """

    row_block: int
    column_block: int
    batch: int


def reuse_freed_memory(retained: int = TUNING.retained_bytes) -> None:
    """Keep what a pass has freed for the next one, also in processes that are not ours.

    Page faults were more than half of the time of infinite kernels.
    """
    retain_freed_memory(retained // 4, retained)


def parse_bytes(memory: int | str) -> int:
    """Bytes of a number or of text such as `2GB` or `512 MiB`.

    Raises:
        ArgumentError: neither.
    """
    text = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([a-z]*)\s*", str(memory).lower())
    found = int(float(text[1]) * _UNITS.get(text[2], 0)) if text else 0
    if found < 1:
        raise ArgumentError(
            f"memory = {memory!r} is no amount of memory",
            remedy="give bytes, or text such as '2GB'",
        )
    return found


def free_bytes(device: torch.device) -> int:
    """Memory that a device could give now; unknown devices are taken to have plenty."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) if device.type == "cpu" else sys.maxsize


def pass_bytes(device: torch.device, tuning: Tuning) -> int:
    """What one forward and backward pass may take, where no budget says less."""
    return tuning.pass_bytes if device.type == "cpu" else tuning.pass_bytes_gpu


def choose_blocking(
    memory: int | str | None,
    samples: int,
    working: int,
    gradients: int,
    chunk: int | None = None,
    others: int = 0,
    one_pass: int = TUNING.pass_bytes,
    fewest: int = TUNING.pass_samples,
) -> Blocking:
    """Split the samples so that a pass, its gradients and the gradients kept fit.

    Where a pass takes little more than what is kept of it, all samples make one: nothing is copied.

    Args:
        memory: the budget in bytes or as text; None: everything is kept.
        samples: how many there are.
        working: bytes per sample of a forward and backward pass.
        gradients: bytes per sample of what is kept of it.
        chunk: samples, at most, per pass.
        others: how many columns there are besides, if they are not the same samples.
        one_pass: bytes that a pass may take at most, but for the fewest samples.
        fewest: samples that a pass should have, where the budget allows.

    Raises:
        ModelError: not even two samples fit.
    """
    most = min(samples, chunk or samples)
    if working > 3 * gradients:
        most = _evenly(samples, max(1, min(most, max(fewest, one_pass // working))))
    if memory is None:
        return Blocking(samples, sys.maxsize, most)
    budget, per_sample = parse_bytes(memory), max(working + gradients, 1)
    if (samples + others) * gradients + most * per_sample <= budget:
        return Blocking(samples, sys.maxsize, most)
    batch = max(1, min(most, min(one_pass, budget // 4) // per_sample))
    left = (budget - batch * per_sample) // max(gradients, 1)
    columns = left // 8
    rows = left - columns
    if rows < 1:
        raise ModelError(
            f"two samples' gradients do not fit into memory = {memory!r}",
            where="memory",
            remedy=f"give at least {per_sample + gradients} bytes, or compute in float32",
        )
    return Blocking(min(rows, samples), max(columns, batch), batch)


def _evenly(samples: int, most: int) -> int:
    """As few passes, but all of about the same size."""
    return math.ceil(samples / math.ceil(samples / most))
