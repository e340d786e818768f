"""What the page says, gathered from the files that the workflow made."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_KEPT = ("commit", "host", "platform", "device")


def verdicts(tables: Sequence[Path], figures: Sequence[Path]) -> list[dict[str, str]]:
    """The rows of tables of findings, each with the `interval` in words.

    Args:
        tables: CSV files; those that are no findings are passed over.
        figures: where given, only claims that one of these shows (whatever the file's kind).
    """
    shown = {figure.with_suffix("").as_posix() for figure in figures}
    rows = []
    for table in tables:
        with table.open(encoding="utf-8", newline="") as lines:
            found = [row for row in csv.DictReader(lines) if "verdict" in row and "claim" in row]
        for row in found:
            name = Path(row["figure"]).with_suffix("").as_posix() if row["figure"] else ""
            if not shown or name in shown:
                rows.append({**row, "interval": _interval(row), "anchor": name.rpartition("/")[2]})
    return rows


def _interval(row: Mapping[str, str]) -> str:
    if not row["estimate"]:
        return "–"
    numbers = [f"{float(row[name]):.3g}" for name in ("estimate", "low", "high") if row[name]]
    estimate, *ends = (number.replace("-", "−") for number in numbers)
    return f"{estimate} [{', '.join(ends)}]" if ends else estimate


def origins(outputs: Iterable[Path]) -> dict[str, list[str]]:
    """What the stores say of where they are from: commits, hosts, devices, versions, each once.

    Args:
        outputs: of all jobs; those that are Zarr stores are read.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for store in outputs:
        record = _provenance(store)
        for key in _KEPT:
            if record.get(key):
                found[key][str(record[key])] = None
        for package, version in (record.get("versions") or {}).items():
            found[package][str(version)] = None
    return {key: list(values) for key, values in found.items()}


def _provenance(store: Path) -> dict[str, Any]:
    try:
        attributes = json.loads((store / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        record = attributes["provenance"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if isinstance(record, str):
        record = json.loads(record)
    return record if isinstance(record, dict) else {}


def times(jobs: Iterable[Any]) -> list[tuple[str, int, float]]:
    """Rule, jobs, wall seconds of all of them; the longest first."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        if job.endtime >= job.starttime:
            seconds[str(job.rule)].append(job.endtime - job.starttime)
    rows = [(rule, len(each), sum(each)) for rule, each in seconds.items()]
    return sorted(rows, key=lambda row: -row[2])
