"""One case, all peers: first the same numbers, then their times by turns."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Case
from benchmarks.peers import OURS, PEERS, SGEMM, Peer
from benchmarks.process import Limits, PeerError, PeerProcess, python_of

TOLERANCE = 1e-4  # largest difference over largest entry, float32
_SHORTEST = 0.1  # seconds: shorter kernels are taken several times for one measurement


@dataclass
class Effort:
    """How long a case may take: seconds for each peer, and bounds of its rounds.

    `clock` is what counts: `seconds` (wall), or `cpu` where other processes keep the core busy.
    """

    seconds: float = 6.0
    fewest: int = 3
    most: int = 15
    clock: str = "seconds"


@dataclass
class Measured:
    """What one peer did in one case; `seconds` of each round, NaN where it sat out."""

    peer: Peer
    status: str = "ok"
    version: str = ""
    flops: float | None = None
    prepare: float = math.nan
    first: float = math.nan
    peak: float = math.nan
    error: float = math.nan
    seconds: list[float] = field(default_factory=list)
    cpu_share: list[float] = field(default_factory=list)


class Peers:
    """The processes of the peers, started side by side before anything is timed.

    Args:
        environment: of neural-tangents and ASDL.
        limits: of each.
        lasting: keep the processes from case to case; memory is then not what one case takes.
    """

    def __init__(self, environment: Path, limits: Limits, *, lasting: bool = False) -> None:
        self.environment, self.limits, self.lasting = environment, limits, lasting
        self.running: dict[str, PeerProcess] = {}

    @contextmanager
    def of(self, peers: list[Peer]) -> Iterator[dict[str, PeerProcess]]:
        """The processes of some peers, by name."""
        for peer in peers:
            if peer.name not in self.running:
                process = PeerProcess(peer, self.environment, self.limits)
                self.running[peer.name] = process
        try:
            yield self.running
        finally:
            if not self.lasting:
                self.close()

    def stop(self, name: str) -> None:
        """End one peer's process."""
        self.running.pop(name).close()

    def close(self) -> None:
        """End all processes."""
        for name in list(self.running):
            self.stop(name)


def measure(case: Case, peers: Peers, effort: Effort) -> list[Measured]:
    """Times, memory and agreement of every peer that takes the case."""
    found = [Measured(peer) for peer in PEERS if peer.takes(case)]
    for each in found:
        if not python_of(each.peer, peers.environment).exists():
            each.status = "not installed"
    able = [each for each in found if each.status == "ok"]
    with peers.of([each.peer for each in able]) as processes:
        _first_kernels(case, able, processes, peers)
        _agreement(able, processes)
        _rounds([each for each in able if each.status == "ok"], processes, peers, effort)
    return found


def _first_kernels(
    case: Case, able: list[Measured], processes: dict[str, PeerProcess], peers: Peers
) -> None:
    """Let each peer prepare and take the kernel once; those that cannot are stopped."""
    limits = peers.limits
    ours = math.inf
    for each in able:
        process = processes[each.peer.name]
        try:
            ready = process.ask("prepare", case=asdict(case))
            each.version, each.prepare = ready["version"], ready["seconds"]
            each.flops = ready["flops"]
            once = process.ask("first", limit=limits.for_one(each.peer, ours))
            each.first, each.peak = once["seconds"], once["peak"]
            if each.peer.name == OURS:
                ours = each.first
        except PeerError as why:
            each.status = str(why)
            peers.stop(each.peer.name)


def _agreement(able: list[Measured], processes: dict[str, PeerProcess]) -> None:
    """Compare some entries of the kernels with ours; a peer that differs is not timed."""
    same = [each for each in able if each.status == "ok" and each.peer.name != SGEMM]
    if not any(each.peer.name == OURS for each in same):
        for each in same:
            each.status = "nothing to compare with"
        return
    with tempfile.TemporaryDirectory() as folder:
        wanted = _entries(processes[OURS], Path(folder))
        for each in same:
            entries = _entries(processes[each.peer.name], Path(folder))
            each.error = _difference(entries, wanted)
            if not each.error <= TOLERANCE:
                each.status = f"another kernel: differs by {each.error:.1g}"


def _entries(process: PeerProcess, folder: Path) -> NDArray[Any]:
    path = folder / "entries.npy"
    process.ask("save", path=str(path))
    entries: NDArray[Any] = np.load(path, allow_pickle=False)
    return entries


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    if a.shape != b.shape:
        return math.inf
    return float(np.abs(a - b).max() / np.abs(b).max())


def _rounds(
    able: list[Measured], processes: dict[str, PeerProcess], peers: Peers, effort: Effort
) -> None:
    """Time the peers by turns, as often as ours. Slow ones sit out the later rounds."""
    wanted = {
        each.peer.name: min(max(math.ceil(effort.seconds / each.first), effort.fewest), effort.most)
        for each in able
    }
    for number in range(wanted.get(OURS, 0)):
        for each in [e for e in able if e.status == "ok"]:
            timed = {"seconds": math.nan, "cpu": math.nan}
            if number < wanted[each.peer.name]:
                times = max(1, min(20, math.ceil(_SHORTEST / each.first)))
                try:
                    limit = 2 * times * peers.limits.seconds
                    timed = processes[each.peer.name].ask("run", times=times, limit=limit)
                except PeerError as why:
                    each.status = str(why)
                    peers.stop(each.peer.name)
            each.seconds.append(timed[effort.clock])
            each.cpu_share.append(timed["cpu"] / timed["seconds"])
