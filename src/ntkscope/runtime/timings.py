"""Where a workflow's time went, from its benchmark files: `python -m ntkscope.runtime.timings`."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from ntkscope.errors import NtkscopeError

BENCHMARKS = Path("results/benchmarks")


def read_benchmarks(folder: Path) -> pd.DataFrame:
    """One row per job: rule, wall seconds `s`, `cpu_time` (s), `max_rss` (MB).

    Raises:
        FileNotFoundError: there is no benchmark file below the folder.
        NtkscopeError: one cannot be read.
    """
    files = sorted(folder.rglob("*.tsv"))
    if not files:
        raise FileNotFoundError(f"no benchmark file below {folder}: run the workflow first")
    tables = [_read(file).assign(rule=file.relative_to(folder).parts[0]) for file in files]
    return pd.concat(tables)[["rule", "s", "cpu_time", "max_rss"]]


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, sep="\t", na_values=["NA", "-"])
        return table[["s", "cpu_time", "max_rss"]].astype(float)
    except (ValueError, LookupError):
        raise NtkscopeError(
            "this is no benchmark file of Snakemake, or a damaged one",
            where=file,
            remedy=f"delete it: rm {file}",
        ) from None


def summarise(jobs: pd.DataFrame) -> pd.DataFrame:
    """A row a rule: jobs, wall and CPU seconds, share of the CPU time, largest job (MB)."""
    rules = jobs.groupby("rule").agg(
        jobs=("s", "size"),
        wall_s=("s", "sum"),
        cpu_s=("cpu_time", "sum"),
        largest_mb=("max_rss", "max"),
    )
    rules.insert(3, "cpu_share", rules["cpu_s"] / rules["cpu_s"].sum())
    return rules.sort_values("cpu_s", ascending=False)


def main() -> None:
    """Print the summary of `results/benchmarks`, or of the folder given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BENCHMARKS
    try:
        table = summarise(read_benchmarks(folder))
    except (FileNotFoundError, NtkscopeError) as error:
        sys.exit(str(error))
    print(table.round({"wall_s": 1, "cpu_s": 1, "cpu_share": 3, "largest_mb": 0}).to_string())


if __name__ == "__main__":
    main()
