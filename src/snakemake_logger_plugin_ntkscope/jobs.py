"""The jobs of a run of Snakemake: planned, running, finished; how long the rest will take."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

_PROGRESS = re.compile(r": (\d+) of (\d+)$", re.MULTILINE)
_WAITS = re.compile(r" WARNING (waiting for .*), which has the lock .*$")
_NEWS = re.compile(
    r" WARNING (waiting for .*|not from .*lost|.*is damaged: .*|.*made again|.*beg[iu]n.* anew)$",
    re.MULTILINE,
)
_TAIL = 2000
_FILES_OF_A_STAGE = 300


@dataclass(frozen=True)
class Job:
    """One job: its stage (rule), what it makes, where its log is, when it began (s)."""

    stage: str
    label: str
    log: Path | None
    began: float

    def __str__(self) -> str:
        return f"{self.stage} {self.label}".strip()

    def progress(self) -> str:
        """`120 of 300` or whom it waits for, as its log says last; nothing where that says none."""
        end = tail(self.log) if self.log else ""
        if waits := _WAITS.search(end.rstrip()):
            return waits[1]
        found = _PROGRESS.findall(end)
        return "{} of {}".format(*found[-1]) if found else ""

    def news(self) -> list[str]:
        """What its log says of waiting for another, and of damages that it mends."""
        return _NEWS.findall(tail(self.log)) if self.log else []


@dataclass
class Jobs:
    """All jobs of a run; a table may be drawn of them by another thread.

    Attributes:
        planned: stage → how many jobs, in the order of the stages.
        cores: how many jobs run beside each other, at most (on a cluster, nodes).
        earlier: stage → mean wall seconds of its jobs in earlier runs.
    """

    planned: dict[str, int] = field(default_factory=dict)
    cores: int = 1
    earlier: Mapping[str, float] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    _seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def total(self) -> int:
        """All jobs of this run."""
        return sum(self.planned.values())

    def start(self, number: int, job: Job) -> None:
        """A job begins; one that failed and is tried again, too."""
        self.failed.pop(number, None)
        self.running[number] = job

    def finish(self, number: int, now: float) -> tuple[Job, float] | None:
        """A job has ended well: which, and the seconds it took."""
        job = self.running.pop(number, None)
        if job is None:
            return None
        self.done[job.stage] += 1
        self._seconds[job.stage].append(now - job.began)
        return job, now - job.began

    def fail(self, number: int) -> Job | None:
        """A job has ended with an error."""
        job = self.running.pop(number, None)
        if job is not None:
            self.failed[number] = job
        return job

    def left(self, stage: str) -> int:
        """Jobs of a stage that neither run nor are done."""
        running = sum(job.stage == stage for job in list(self.running.values()))
        return max(0, self.planned.get(stage, 0) - self.done[stage] - running)

    def seconds_left(self, now: float) -> float | None:
        """Wall seconds until all is done, by the jobs of each stage so far, or None."""
        means = {stage: self._mean(stage) for stage in self.planned}
        known = [mean for mean in means.values() if mean is not None]
        if not known:
            return None
        typical = fmean(known)
        left = {stage: mean if mean is not None else typical for stage, mean in means.items()}
        waiting = sum(left[stage] * self.left(stage) for stage in left)
        rest = [
            max(0.0, left.get(job.stage, typical) - (now - job.began))
            for job in list(self.running.values())
        ]
        beside = min(self.cores, len(rest) + sum(self.left(stage) for stage in left))
        return max(max(rest, default=0.0), (waiting + sum(rest)) / max(1, beside))

    def _mean(self, stage: str) -> float | None:
        """Of this run's jobs as soon as there are three, else of earlier runs', else of any."""
        here = self._seconds[stage]
        if len(here) < 3 and stage in self.earlier:
            return self.earlier[stage]
        return fmean(here) if here else None


def mean_seconds(benchmarks: Path, stages: Iterable[str]) -> dict[str, float]:
    """Mean wall seconds of the jobs of stages, from the benchmark files of earlier runs."""
    found = {}
    for stage in stages:
        files = sorted((benchmarks / stage).rglob("*.tsv"))[:_FILES_OF_A_STAGE]
        seconds = [each for file in files for each in _seconds_of(file)]
        if seconds:
            found[stage] = fmean(seconds)
    return found


def _seconds_of(benchmark: Path) -> list[float]:
    try:
        with benchmark.open(encoding="utf-8", newline="") as lines:
            return [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    except (OSError, KeyError, ValueError):
        return []  # a job is writing it, or was killed while it did


def tail(log: Path) -> str:
    """The end of a log; nothing where there is none yet."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def clock(seconds: float) -> str:
    """`4 s`, `3 min`, `2 h 05 min`."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
