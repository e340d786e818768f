"""How many samples are held and differentiated at once, within a budget of memory."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass

import psutil
import torch

from ntkscope.errors import ModelError
from ntkscope.runtime.allocation import keep_freed_memory

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgtp", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_PASS_BYTES = {"cpu": 3 * 2**25}  # of one forward and backward pass: enough for good products
_KEPT = 2**28  # bytes that stay with the process
_PASS_BYTES_ELSEWHERE = 2**31  # what keeps a GPU busy


@dataclass(frozen=True)
class Need:
    """Bytes a sample: `fixed`, and `each` for every cotangent."""

    fixed: int = 0
    each: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.fixed + other.fixed, self.each + other.each)

    def of(self, cotangents: int) -> int:
        """Bytes for so many cotangents."""
        return self.fixed + self.each * cotangents


@dataclass
class Portions:
    """How many samples at once.

    Attributes:
        held: rows whose terms are kept.
        beside: columns whose terms are kept while they are multiplied with the rows.
        chunk: differentiated in one pass.
    """

    held: int
    beside: int
    chunk: int


def reuse_freed_memory() -> None:
    """Keep what a pass has freed for the next one, also in processes that are not ours.

    Page faults were more than half of the time of infinite kernels.
    """
    keep_freed_memory(_KEPT // 4, _KEPT)


def parse_bytes(memory: int | str) -> int:
    """Bytes of a number or of text such as `2GB` or `512 MiB`.

    Raises:
        ValueError: neither.
    """
    text = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([a-z]*)\s*", str(memory).lower())
    found = int(float(text[1]) * _UNITS.get(text[2], 0)) if text else 0
    if found < 1:
        raise ValueError(f"memory = {memory!r}; give bytes, or text such as '2GB'")
    return found


def free_bytes(device: torch.device) -> int:
    """Memory that a device could give now; unknown devices are taken to have plenty."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) if device.type == "cpu" else sys.maxsize


def pass_bytes(device: torch.device) -> int:
    """What one forward and backward pass may take, where no budget says less."""
    return _PASS_BYTES.get(device.type, _PASS_BYTES_ELSEWHERE)


def portions(
    memory: int | str | None,
    samples: int,
    working: int,
    terms: int,
    chunk: int | None = None,
    others: int = 0,
    one_pass: int = _PASS_BYTES["cpu"],
) -> Portions:
    """Split the samples so that a pass, its terms and the terms held fit.

    Where a pass takes little more than what is kept of it, all samples make one: nothing is copied.

    Args:
        memory: the budget in bytes or as text; None: everything is held.
        samples: how many there are.
        working: bytes a sample in a forward and backward pass.
        terms: bytes a sample of what is kept of it.
        chunk: at most so many samples a pass.
        others: how many columns there are besides, if they are not the same samples.
        one_pass: bytes that a pass may take at most.

    Raises:
        ModelError: not even two samples fit.
    """
    most = min(samples, chunk or samples)
    if working > 3 * terms:
        most = _evenly(samples, max(1, min(most, one_pass // working)))
    if memory is None:
        return Portions(samples, sys.maxsize, most)
    budget, each = parse_bytes(memory), max(working + terms, 1)
    if (samples + others) * terms + most * each <= budget:
        return Portions(samples, sys.maxsize, most)
    passing = max(1, min(most, min(one_pass, budget // 4) // each))
    room = (budget - passing * each) // max(terms, 1)
    beside = room // 8
    held = room - beside
    if held < 1:
        raise ModelError(
            f"two samples' gradients do not fit into memory = {memory!r}",
            where="memory",
            remedy=f"give at least {each + terms} bytes, or compute in float32",
        )
    return Portions(min(held, samples), max(beside, passing), passing)


def _evenly(samples: int, most: int) -> int:
    """As few passes, but all of about the same size."""
    return math.ceil(samples / math.ceil(samples / most))
