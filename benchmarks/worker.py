"""A peer's process: answers JSON lines on a pipe, one core, memory counted from after its imports.

Requests: {"do": "prepare", "case": {…}}, {"do": "first"}, {"do": "save", "path": …},
{"do": "run", "times": n}. Answers hold `seconds` (wall), `cpu`, `peak` (bytes), or `failed`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.cases import Case, compared

_KILO = 1024


class Worker:
    """One peer; holds the case that is prepared and its last kernel."""

    def __init__(self, module: str, variant: str) -> None:
        self.peer: Any = importlib.import_module(f"benchmarks.peers.{module}")
        self.variant = variant
        self.imported = _status("VmRSS")

    def prepare(self, case: dict[str, Any]) -> dict[str, Any]:
        """Build the network, compile where the peer compiles."""
        self.case = Case(**{**case, "shape": tuple(case["shape"])})
        self.kernel = None
        began = time.perf_counter()
        self.take, self.pick = self.peer.prepare(self.case, self.variant)
        said = {"seconds": time.perf_counter() - began, "version": self.peer.version()}
        flops = getattr(self.peer, "flops", None)
        return {**said, "flops": flops(self.case) if flops else None}

    def first(self) -> dict[str, Any]:
        """Take the kernel for the first time, and say how much memory that took."""
        gc.collect()
        _forget_peak()
        timed = self.run(1)
        return {**timed, "peak": max(0, _status("VmHWM") - self.imported)}

    def save(self, path: str) -> dict[str, Any]:
        """Write some entries of the last kernel, to be compared."""
        np.save(path, self.pick(self.kernel, *compared(self.case)))
        return {}

    def run(self, times: int) -> dict[str, Any]:
        """Take the kernel so many times; mean seconds, wall and CPU."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            self.kernel = None
            self.kernel = self.take()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"seconds": wall / times, "cpu": cpu / times}


def serve(worker: Worker, requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end."""
    tasks: dict[str, Callable[..., dict[str, Any]]] = {
        name: getattr(worker, name) for name in ("prepare", "first", "save", "run")
    }
    for line in requests:
        request = json.loads(line)
        try:
            answer = tasks[request.pop("do")](**request)
        except Exception as error:
            answer = {"failed": _why(error)}
        print(json.dumps(answer), file=answers, flush=True)


def _why(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    memory = ("allocate memory", "out of memory", "Out of memory", "MemoryError")
    return "out of memory" if any(word in said for word in memory) else said.splitlines()[0][:200]


def _status(key: str) -> int:
    """Bytes of an entry of /proc/self/status: VmRSS, or VmHWM, its highest value."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * _KILO
    raise KeyError(key)


def _forget_peak() -> None:
    """Let the highest resident size start anew (Linux); else it includes the preparation."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        print("the peak of memory includes the preparation", file=sys.stderr)


def main(module: str, variant: str, core: str, memory: str) -> None:
    """Serve one peer on one core with at most so many bytes of memory."""
    os.sched_setaffinity(0, {int(core)})
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    serve(Worker(module, variant), sys.stdin, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
