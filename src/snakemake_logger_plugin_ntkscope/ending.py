"""What is said at the end: where figures are, their headline numbers, where the findings are."""

from __future__ import annotations

import csv
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_logger_plugin_ntkscope.study import FOLDERS, Figure, Study

_SHOWN = 3
_EXPONENT = "exponent of norm_drop"
_OF_RUNS = "norm_drop"
_WITHOUT = re.compile(r"without width [\d., e+]*\d")
_DIVERGED = re.compile(r"n=\d+: (its network )?diverged(;|$)")
_LONE = "all"  # the key of the part of learning curves without parts
_HEADLINED = {"network": "network", "infinite": "infinite kernel"}


def results(requested: Mapping[str, Figure], study: Study) -> list[str]:
    """Lines on the figures that were asked for and are there, and on the findings.

    The headlines are of a few figures only; of many, where they lie.
    """
    there = {name: each for name, each in requested.items() if Path(each.files[0]).exists()}
    lines = []
    if len(there) > _SHOWN:
        folder = Path(next(iter(there.values())).files[0]).parent
        lines.append(f"figures:  {folder}/ ({', '.join(there)})")
    else:
        for each in there.values():
            lines.append(f"figure:   {each.files[0]}")
            lost = "" if Path(each.table).exists() else " (not there any more)"
            numbers = f"numbers:  {each.table}{lost}"
            if numbers not in lines:
                lines += [*(f"          {line}" for line in headline(Path(each.table))), numbers]
    tables = dict.fromkeys(each.table for each in there.values())
    lines += [f"lost:     {line}: see {t}" for t in tables if (line := diverged(Path(t)))]
    papers = {each.paper for each in there.values()}
    for paper, table in study.findings.items():
        if paper in papers and Path(table).exists():
            lines.append(f"findings: {table}")
        elif paper in papers:
            lines.append(f"findings: not yet judged (ask for {table})")
    return lines


def others(words: Sequence[str], requested: Mapping[str, Figure]) -> list[str]:
    """Lines on the files that a command line names and that are there, but for figures."""
    drawn = {file for each in requested.values() for file in each.files}
    named = dict.fromkeys(Path(w).as_posix() for w in words if w.startswith(FOLDERS))
    files = [file for file in named if file not in drawn and Path(file).exists()]
    told = (
        (f"made:     {file}", list(filter(None, [*headline(Path(file)), diverged(Path(file))])))
        for file in files
    )
    return [line for made, more in told for line in (made, *(f"          {each}" for each in more))]


def headline(table: Path) -> list[str]:
    """The numbers of an experiment's table that its paper is about; none where it has none.

    Of streams: the exponents of the norm's drop in width. Of learning curves: those of the error in
    the number of samples.
    """
    return [line for row in _rows(table) if (line := _in_words(row))][: 2 * _SHOWN]


def diverged(table: Path) -> str:
    """In how many of an experiment's runs, or learning curves, no seed is left; "": in none."""
    rows = _rows(table)
    streams = [row for row in rows if row.get("quantity") == _OF_RUNS and "left_out" in row]
    at = list(streams[0])[: list(streams[0]).index("boundary")] if streams else []
    runs = {tuple(row[axis] for axis in at) for row in streams}
    gone = {tuple(row[axis] for axis in at) for row in streams if _none_is_left(row)}
    if gone:
        return f"all seeds diverged or died in {len(gone)} of {len(runs)} runs"
    curves = [row for row in rows if row.get("statistic") == "exponent"]
    lost = [row for row in curves if _DIVERGED.search(row.get("note") or "")]
    some = f"all seeds diverged at some n of {len(lost)} of {len(curves)} learning curves"
    return some if lost else ""


def _none_is_left(row: Mapping[str, str]) -> bool:
    used = [row.get(name) or "0" for name in ("n", "undefined", "censored")]
    return row["left_out"] not in ("", "0") and set(used) == {"0"}


def _rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table; none of what is no table."""
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeError, csv.Error):
        return []


def _in_words(row: Mapping[str, str]) -> str:
    falls = row.get("statistic") == "exponent"  # error ~ n^−exponent
    number = _with_half_interval(row, -1 if falls else 1)
    if not number:
        return ""
    if row.get("quantity") == _EXPONENT:
        regime = f" ({row['regime']})" if row.get("regime") else ""
        note = row.get("note", "")
        curved = ", not a pure power law" if "curve" in note else ""
        lost = _WITHOUT.search(note)
        return f"norm drop ∝ width^{number}{regime}{curved}" + (f", {lost[0]}" if lost else "")
    if falls and row.get("curve") in _HEADLINED:
        width = f", width {row['width']}" if row["curve"] != "infinite" else ""
        part = row["part"] if row["part"] != _LONE else row.get("title", "")
        return f"error ∝ n^{number} ({part}: {_HEADLINED[row['curve']]}{width})"
    return ""


def _with_half_interval(row: Mapping[str, str], sign: int) -> str:
    """`−0.64 ± 0.06`, half the interval; nothing where there is no estimate."""
    try:
        estimate, low, high = (float(row[name]) for name in ("estimate", "low", "high"))
    except (KeyError, ValueError):
        return ""
    if not all(map(math.isfinite, (estimate, low, high))):
        return ""
    return f"{sign * estimate:.2f} ± {(high - low) / 2:.2f}".replace("-", "−")


def interrupted(done: int, total: int, command: Sequence[str], *, mend: bool) -> list[str]:
    """What is done, and how it goes on; mend: after something is mended."""
    how = "once that is mended, the same command" if mend else "the same command"
    return [f"{done} of {total} done; {how} goes on: {shlex.join(command)}"]
