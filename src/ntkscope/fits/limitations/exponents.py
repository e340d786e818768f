"""All exponents and their differences as tables: CSV for machines, Markdown and LaTeX to read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkscope.fits.findings.write import tex_escaped
from ntkscope.fits.limitations.curves import KIND
from ntkscope.fits.limitations.rows import COLUMNS, as_rows, curve_name
from ntkscope.stores import read_netcdf, write_text

_HEAD = ("part", "curve", "exponent", "n", "seeds", "curvature", "with offset", "note")
_PAIR_HEAD = ("part", "curves", "difference", "n", "seeds", "resolution", "verdict")
_RULE = (
    "Test error ~ n^−exponent, so that a larger exponent is better. One slope per seed and a t "
    "interval over seeds; in brackets its ends. Seeds have their own training and test samples: "
    "drawn anew, of the same base images where these are few, or, of a data set of plain images, "
    "that set in another order, so that the intervals do not tell of another set. "
    "Differences are paired by seed and taken on the n that both curves have in their fits; the "
    "resolution is half their interval: a larger difference would have been seen. The exponent "
    "with offset, of a n^−α + c, is given only where it is identified. Curves that were made at "
    "fewer than three n of the range, and differences that could not be taken, are in the CSV "
    "alone."
)
_KERNEL = re.compile(r"K(?:\^([^\W_]+))?(?:_(\w+|∞))?")


def write_exponents(fits: Mapping[str, Path], csv: Path, markdown: Path, tex: Path) -> None:
    """Write the exponents of all learning curves.

    Args:
        fits: name of each experiment → its table of kind `curve_fits`.
        csv: a row for each statistic of each experiment, its changes too; columns as of
            `rows.COLUMNS` after the experiment.
        markdown: two tables for each experiment, exponents and their differences.
        tex: one `longtable` (package longtable) of all exponents, one of all differences.

    Raises:
        StoreError: a table of fits is missing, damaged or of another kind.
    """
    rows = {name: as_rows(read_netcdf(path, KIND)) for name, path in fits.items()}
    empty = pd.DataFrame(columns=["experiment", *COLUMNS])
    parts = [each.assign(experiment=name) for name, each in rows.items()]
    whole = pd.concat(parts, ignore_index=True) if parts else empty
    text = whole[["experiment", *COLUMNS]].to_csv(index=False, float_format="%.6g")
    for path, content in (
        (csv, text),
        (markdown, as_markdown(rows)),
        (tex, as_tex(rows)),
    ):
        write_text(content, path)


def as_markdown(rows: Mapping[str, pd.DataFrame]) -> str:
    """Two tables for each experiment; name of it → its rows."""
    lines = ["# Exponents of learning curves", "", _RULE, ""]
    for name, each in readable(rows).items():
        lines += [f"## {name}", ""]
        for head, cells in ((_HEAD, _exponents(each)), (_PAIR_HEAD, _differences(each))):
            if cells:
                lines += [_markdown_row(head), "|" + "---|" * len(head)]
                lines += [*map(_markdown_row, cells), ""]
    return "\n".join(lines)


def as_tex(rows: Mapping[str, pd.DataFrame]) -> str:
    """Two `longtable`s, over all experiments."""
    rows = readable(rows)
    exponents = [(name, *cells) for name, each in rows.items() for cells in _exponents(each)]
    pairs = [(name, *cells) for name, each in rows.items() for cells in _differences(each)]
    return _longtable(("experiment", *_HEAD), exponents) + _longtable(
        ("experiment", *_PAIR_HEAD), pairs
    )


def readable(rows: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of exponents and differences that there are, or that lack points left out."""
    return {
        name: each[each["estimate"].notna() | each["note"].str.contains("is above|at the floor")]
        for name, each in rows.items()
    }


def _exponents(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """The cells of each curve; curvature and exponent with offset follow it in the rows."""
    found: list[tuple[str, ...]] = []
    for _, row in rows.iterrows():
        match row["statistic"]:
            case "exponent":
                about = (str(row["part"]), curve_name(dict(row)), _interval(row), _range(row))
                found.append((*about, str(row["seeds"]), "–", "–", str(row["note"])))
            case "curvature":
                found[-1] = (*found[-1][:5], _interval(row), *found[-1][6:])
            case "exponent with offset":
                found[-1] = (*found[-1][:6], _with_offset(row), found[-1][7])
    return found


def _with_offset(row: pd.Series[Any]) -> str:
    known = str(row["note"]).startswith("c = ")
    return f"{_interval(row)}, {row['note']}" if known else str(row["note"])


def _differences(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    return [
        (
            str(row["part"]),
            f"{curve_name(dict(row))} − {row['against']}",
            _interval(row),
            _range(row),
            str(row["seeds"]),
            "–" if np.isnan(row["resolution"]) else f"{row['resolution']:.2g}",
            "; ".join(filter(None, (str(row["verdict"]), str(row["note"])))),
        )
        for _, row in rows[rows["statistic"] == "difference of exponents"].iterrows()
    ]


def _interval(row: pd.Series[Any]) -> str:
    if np.isnan(row["estimate"]):
        return "–"
    ends = f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    return ends.replace("-", "−")


def _range(row: pd.Series[Any]) -> str:
    return f"{row['n_min']}–{row['n_max']}" if row["n_points"] > 0 else "–"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _longtable(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = r"p{.1\linewidth}" * len(head)
    lines = [rf"\begin{{longtable}}{{{widths}}}", r"\hline", _tex_row(head), r"\hline"]
    body = [_tex_row(cells) for cells in rows]
    return "\n".join([*lines, r"\endhead", *body, r"\hline", r"\end{longtable}", ""])


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(_tex(cell) for cell in cells) + r" \\"


def _tex(text: str) -> str:
    """Text for TeX, kernels' names as mathematics."""
    parts, end = [], 0
    for match in _KERNEL.finditer(text):
        if match[1] or match[2]:
            parts += [_plain(text[end : match.start()]), _symbol(match[1], match[2])]
            end = match.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    return tex_escaped(text).replace("→", r"$\to$").replace("∞", r"$\infty$")


def _symbol(above: str | None, below: str | None) -> str:
    power = f"^{{{above}}}" if above else ""
    index = f"_{{{below}}}".replace("∞", r"\infty") if below else ""
    return f"$K{power}{index}$"
