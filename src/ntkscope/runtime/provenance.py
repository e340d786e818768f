"""What made a store: versions, commit, machine, settings."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("ntkscope", "torch", "numpy", "scipy", "xarray", "zarr", "statsmodels", "snakemake")

try:
    __version__ = version("ntkscope")
except PackageNotFoundError:  # sources on the path, not installed
    __version__ = "unknown"


def provenance(**facts: Any) -> dict[str, Any]:
    """A JSON-able record for a store's attributes: `facts` (config, seeds, device, …) and the rest.

    Jobs add `wall_seconds` when they end (of the last try alone, where a job was resumed).
    """
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "platform": platform.platform(),
        "host": platform.node(),
        "command": Path(sys.argv[0]).name,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **facts,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of the working tree, `-dirty` if it has uncommitted changes, or `unknown`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path.cwd(), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
