"""What machine measured: enough to judge the numbers, nothing that names it."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

import psutil


def machine() -> list[str]:
    """Lines for the head of a CSV file."""
    memory = psutil.virtual_memory().total / 2**30
    return [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {platform.system()}, {_processor()}",
        f"{os.cpu_count()} cores, {memory:.0f} GiB; one core used; load {os.getloadavg()[0]:.1f}",
    ]


def _processor() -> str:
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = re.findall(r"^model name\s*: (.+)$", said, re.MULTILINE)
    widest = [flag for flag in ("avx512f", "avx2", "avx") if re.search(rf"\b{flag}\b", said)]
    return ", ".join([*names[:1], *widest[:1]])
