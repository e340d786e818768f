"""The findings as tables: CSV for machines, Markdown for readers, LaTeX for papers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from ntkscope.fits.findings.claim import SUPPORTED, Finding, compared, judge
from ntkscope.fits.findings.evidence import CURVE_FITS, Evidence
from ntkscope.fits.findings.registry import claims
from ntkscope.stores import read_netcdf, write_text

_TEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∝": r"$\propto$",
    "≠": r"$\neq$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "α": r"$\alpha$",
    "ε": r"$\varepsilon$",
    "κ": r"$\kappa$",
    "τ": r"$\tau$",
    "²": r"$^2$",
    "…": r"\dots{}",
}


def write_findings(
    fits: Mapping[str, Path],
    csv: Path,
    markdown: Path,
    tex: Path,
    *,
    paper: str,
    figures: str,
    confidence: float,
    record: dict[str, Any],
    repeated: Mapping[str, Path] | None = None,
) -> None:
    """Judge every claim of a paper and write the verdicts.

    Args:
        fits: name of each experiment → its table of kind `fits` or `curve_fits`.
        csv, markdown, tex: the files.
        paper: whose claims.
        figures: folder of the figures, relative to the folder that results are relative to.
        confidence: of a claim's interval, such as 0.95.
        record: provenance, printed below the Markdown table.
        repeated: the fits of the same experiments with other rounding, if they were made.

    Raises:
        StoreError: a table of fits is missing, damaged or of another kind.
    """

    def verdicts(paths: Mapping[str, Path]) -> list[Finding]:
        read = {name: read_netcdf(path, "fits", CURVE_FITS) for name, path in paths.items()}
        return find(read, paper, figures, confidence)

    found = verdicts(fits)
    if repeated:
        found = [compared(*both) for both in zip(found, verdicts(repeated), strict=True)]
    for path, text in (
        (csv, _csv(found)),
        (markdown, as_markdown(found, markdown.parent, record)),
        (tex, as_tex(found)),
    ):
        write_text(text, path)


def find(
    fits: Mapping[str, xr.Dataset], paper: str, figures: str, confidence: float
) -> list[Finding]:
    """The verdict on every claim of a paper.

    Args:
        fits: name of each experiment → its fits.
        paper: whose claims.
        figures: folder of the figures.
        confidence: of a claim's interval.
    """
    evidence = Evidence(fits, figures)
    return [judge(claim, evidence, confidence) for claim in claims(paper)]


def _csv(found: Sequence[Finding]) -> str:
    import pandas as pd

    return pd.DataFrame(found, columns=Finding._fields).to_csv(index=False, float_format="%.6g")


def as_markdown(found: Sequence[Finding], folder: Path, record: Mapping[str, Any]) -> str:
    """A table for each source, links to figures relative to `folder`."""
    counts = {
        v: sum(f.verdict == v for f in found) for v in dict.fromkeys(f.verdict for f in found)
    }
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    lines = ["# Findings", "", f"{len(found)} claims: {tally}. {_RULE}", ""]
    for source in dict.fromkeys(f.source for f in found):
        lines += [f"## {source}", "", *_MD_HEAD]
        lines += [_markdown_row(f, folder) for f in found if f.source == source]
        lines.append("")
    made = ", ".join(f"{key} {record[key]}" for key in ("commit", "started") if key in record)
    return "\n".join([*lines, f"Made by ntkscope: {made}." if made else "", ""])


_RULE = (
    "A claim is *supported* if its interval lies wholly on the claimed side, *opposite* if wholly "
    "on the other, else *not supported*; *not tested* where there is no data. A claim of every "
    "width, rate, … is judged by the least favourable of them, with Bonferroni-adjusted intervals. "
    "Where part of it has no data, as all seeds diverged, it is *not resolved*, not supported. "
    "*By construction*: what is compared is the twin to the bit, so that nothing was tested. "
    "Intervals are t intervals over seeds unless the note says otherwise. Where everything was "
    "trained a second time with other rounding, nor are claims resolved whose verdicts differ."
)
_MD_HEAD = [
    "| claim | statistic | estimate [interval] | n | verdict | note | figure |",
    "|---|---|---|---|---|---|---|",
]


def _markdown_row(finding: Finding, folder: Path) -> str:
    link = ""
    if finding.figure:
        path = Path(os.path.relpath(finding.figure, folder)).as_posix()
        link = f"[{finding.experiment}]({path})"
    verdict = f"**{finding.verdict}**" if finding.verdict == SUPPORTED else finding.verdict
    texts = (finding.claim, finding.statistic, _numbers(finding), finding.n, verdict, finding.note)
    return "| " + " | ".join([*(str(text).replace("|", "\\|") for text in texts), link]) + " |"


def _numbers(finding: Finding) -> str:
    if math.isnan(finding.estimate):
        return "–"
    low, high = (f"{end:.3g}".replace("-", "−") for end in (finding.low, finding.high))
    return f"{finding.estimate:.3g} [{low}, {high}]".replace("-", "−")


def as_tex(found: Sequence[Finding]) -> str:
    """A `longtable` (package longtable), one row a claim."""
    head = _tex_row(("claim", "statistic", "estimate [interval]", "$n$", "verdict"), str)
    rows = [
        _tex_row((f.claim, f.statistic, _numbers(f), f.n, f.verdict), tex_escaped) for f in found
    ]
    return "\n".join(
        [
            r"\begin{longtable}{p{.3\linewidth}p{.27\linewidth}p{.18\linewidth}rl}",
            r"\hline",
            head,
            r"\hline",
            r"\endhead",
            *rows,
            r"\hline",
            r"\end{longtable}",
            "",
        ]
    )


def _tex_row(cells: Sequence[object], escape: Callable[[str], str]) -> str:
    return " & ".join(escape(str(cell)) for cell in cells) + r" \\"


def tex_escaped(text: str) -> str:
    """Text with what TeX would read as commands, and letters that its fonts lack, replaced."""
    return "".join(_TEX.get(letter, letter) for letter in text).replace("–", "--")
