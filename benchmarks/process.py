"""A peer's process as its parent sees it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import Peer

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Limits:
    """What a peer may use.

    Attributes:
        seconds: for one kernel, at most.
        times_ours: the same as a multiple of ntkscope's time, but at least `least` seconds.
        preparation: seconds for imports and compilation.
        memory: bytes.
        core: of the CPU.
    """

    seconds: float = 100.0
    times_ours: float = 20.0
    least: float = 10.0
    preparation: float = 300.0
    memory: int = 10 * 10**9
    core: int = 0

    def for_one(self, peer: Peer, ours: float) -> float:
        """Seconds for one kernel of a peer, where ntkscope takes `ours`.

        neural-tangents always has the most: the targets want its times, however long.
        """
        if peer.own_environment:
            return self.seconds
        return min(self.seconds, max(self.least, self.times_ours * ours))


class PeerError(Exception):
    """A peer gave no kernel; the message says why, in few words."""


def python_of(peer: Peer, environment: Path) -> Path:
    """The interpreter of a peer: this one, or that of the peers' own environment."""
    return environment / "bin/python" if peer.own_environment else Path(sys.executable)


class PeerProcess:
    """One peer, started at once; `ask` waits for its answers.

    Args:
        peer: who.
        environment: where neural-tangents and ASDL are installed.
        limits: what it may use.
    """

    def __init__(self, peer: Peer, environment: Path, limits: Limits) -> None:
        self.limits = limits
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (close ends it)
        command = [python_of(peer, environment), "-m", "benchmarks.worker", peer.module]
        command += [peer.variant, str(limits.core), str(limits.memory)]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=_one_thread(environment),
            cwd=ROOT,
        )
        self.output = b""

    def ask(self, do: str, *, limit: float | None = None, **details: Any) -> dict[str, Any]:
        """A request's answer.

        Raises:
            PeerError: it failed, died, or took longer than `limit` seconds.
        """
        request = json.dumps({"do": do, **details}) + "\n"
        try:
            self.process.stdin.write(request.encode())  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        answer: dict[str, Any] = json.loads(self._line(limit or self.limits.preparation))
        if "failed" in answer:
            raise PeerError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def _line(self, limit: float) -> bytes:
        until = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            while b"\n" not in self.output:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise PeerError(f"> {limit:.0f} s")
                read = os.read(self.process.stdout.fileno(), 2**16)  # type: ignore[union-attr]
                if not read:
                    raise PeerError(self._last_words())
                self.output += read
        line, _, self.output = self.output.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """Why the process died."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        memory = code == -9 or any("bad_alloc" in line or "allocat" in line for line in lines)
        return "out of memory" if memory else (lines or [f"exit status {code}"])[-1][:200]


def _one_thread(environment: Path) -> dict[str, str]:
    """The environment of a process of one thread that knows ntkscope, ASDL and the benchmarks."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = [os.environ.get("PYTHONPATH", ""), str(environment / "with-torch")]
    return {
        **os.environ,
        **dict.fromkeys(names, "1"),
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    }
