"""`make bench`: every case, every peer; prints table and verdicts, writes CSV and figure."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pandas as pd

from benchmarks.cases import chosen
from benchmarks.figure import draw
from benchmarks.machine import machine
from benchmarks.measure import Effort, Peers, measure
from benchmarks.process import ROOT, Limits
from benchmarks.report import printed, verdicts
from benchmarks.table import rows_of


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    options = _options(arguments)
    limits = Limits(options.limit, memory=int(options.memory * 1e9), core=_core())
    effort = Effort(0.1, 2, 3) if options.quick else Effort(options.seconds)
    effort.clock = "cpu" if options.cpu_time else "seconds"
    peers = Peers(options.environment, limits, lasting=options.quick)
    rows = []
    try:
        for case in chosen(options.cases, options.quick):
            found = rows_of(case, measure(case, peers, effort))
            print(printed(pd.DataFrame(found)), flush=True)
            rows += found
    finally:
        peers.close()
    table = pd.DataFrame(rows)
    print("\nsmall sizes: no target is judged" if options.quick else verdicts(table))
    _write(table, _output(options))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--cases", default="", help="words of cases' names, comma-separated")
    parser.add_argument("--quick", action="store_true", help="few small cases: a smoke test")
    parser.add_argument("--seconds", type=float, default=6, help="for each peer and case")
    parser.add_argument("--cpu-time", action="store_true", help="on a busy machine: CPU seconds")
    parser.add_argument("--limit", type=float, default=100, help="seconds for one kernel")
    parser.add_argument("--memory", type=float, default=10, help="GB that a peer may take")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-bench")
    parser.add_argument("--output", type=Path, help="without suffix; .csv, .pdf, .png are added")
    return parser.parse_args(arguments)


def _core() -> int:
    """The last core that this process may use."""
    return max(os.sched_getaffinity(0))


def _output(options: argparse.Namespace) -> Path:
    """A whole run replaces the reference; others go where nothing is committed."""
    whole = not options.quick and not options.cases
    default = "benchmarks/results/cpu" if whole else "results/benchmarks/bench"
    return Path(options.output or ROOT / default)


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".csv").open("w", encoding="utf-8") as file:
        file.write("".join(f"# {line}\n" for line in machine()))
        table.to_csv(file, index=False, float_format="%.4g")
    draw(table, path)
    print(f"written: {path}.csv, .pdf, .png")


if __name__ == "__main__":
    main()
